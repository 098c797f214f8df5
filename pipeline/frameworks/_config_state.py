"""What layers of Keras learn or are given and hold in their configuration alone, by names that a
file and a model share. No framework is known here: a configuration is JSON's values."""

from collections.abc import Iterator, Mapping
from typing import Any

KEYS = {
    "Discretization": ("bin_boundaries",),
    "Normalization": ("mean", "variance"),
    "StringLookup": ("vocabulary",),
    "IntegerLookup": ("vocabulary",),
    "TextVectorization": ("vocabulary",),
}
"""Layer's class -> what of its configuration decides its answers as weights do."""


def values(config: Any) -> Iterator[tuple[str, str, str, Any]]:
    """Yields a name, that of the layer, the key and its value, in the order in which layers stand
    in the configuration of a model; None is a value too."""
    counts: dict[str, int] = {}
    for entry in _entries(config):
        kind, own = entry["class_name"], entry["config"]
        number = counts[kind] = counts.get(kind, -1) + 1
        for key in KEYS[kind]:
            yield f"config/{kind}:{number}/{key}", str(own.get("name")), key, plain(own.get(key))


def plain(value: Any) -> Any:
    """Returns arrays and tuples, as Keras describes them too, as lists."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        return plain(inner.get("value")) if isinstance(inner, Mapping) else None
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return list(map(plain, value)) if isinstance(value, list | tuple) else value


def _entries(config: Any) -> Iterator[dict[str, Any]]:
    waiting = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            kind = each.get("class_name")
            if isinstance(kind, str) and kind in KEYS and isinstance(each.get("config"), dict):
                yield each
                continue
        inner = each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
        waiting += reversed(list(inner))
