"""The architecture: Keras makes an object of every entry in it that names a class.

classes.txt, constants.txt and functions.txt name what Keras may make or find, keys.txt what may
stand in an entry. All else must be named in the metadata, which says what is imported.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._lists import listed
from ._archive import CONFIG, custom_objects, read_member

LARGEST = 1 << 31  # of a number, which may be a size
HERE = Path(__file__).parent
CLASSES, FUNCTIONS = listed(HERE / "classes.txt"), listed(HERE / "functions.txt")
CONSTANTS = listed(HERE / "constants.txt")
KEYS = listed(HERE / "keys.txt")
UNREGISTERED = (None, "")
READ = ("vocabulary", "idf_weights")
"""Arguments of layers that are a file's name where they are a text."""


def configs(value: Any) -> Iterator[dict[str, Any]]:
    """Yields every entry that Keras would make an object of."""
    return (each for each in _dicts(value) if "class_name" in each)


def check_config(path: Path) -> None:
    """Raises ValueError for what could run, read a file or fill the memory.

    That holds even where the process allows Keras unsafe modes: nothing here asks for them.
    """
    content, own = read_member(path, CONFIG), custom_objects(path)
    _check_numbers(content, path)
    _check_files(content, path)
    for entry in configs(content):
        kind, module = entry["class_name"], entry.get("module")
        name = entry.get("config") if kind == "function" else _name(entry)
        if not _is_known(entry, own):
            raise ValueError(
                f"{path}: {module}.{kind} {str(name)[:200]!r} is Python code or no part of a "
                "model, expected layers and functions by name; write a layer class in place of "
                "Lambda"
            )
        others = set(entry) - KEYS
        if others:
            raise ValueError(
                f"{path}: {kind} {str(name)[:200]!r} has {sorted(others)}, expected none but "
                f"{sorted(KEYS)}; do not load it"
            )


def _name(entry: dict[str, Any]) -> Any:
    inner = entry.get("config")
    return inner.get("name", "") if isinstance(inner, dict) else ""


def _is_known(entry: dict[str, Any], own: dict[str, Any]) -> bool:
    """Tells whether Keras finds it in the lists, or among what the metadata says is imported.

    A name under which something is registered comes before class and module, so it must be theirs.
    """
    kind, module, inner = entry["class_name"], entry.get("module"), entry.get("config")
    registered = entry.get("registered_name")
    if not all(isinstance(each, str | None) for each in (kind, module, registered)):
        return False
    if kind in CONSTANTS:
        return module in UNREGISTERED and registered in UNREGISTERED
    if kind == "function":
        plain = registered in (*UNREGISTERED, kind, inner)
        return isinstance(inner, str) and (
            inner in own or (plain and f"{module}.{inner}" in FUNCTIONS)
        )
    plain = registered in (*UNREGISTERED, kind)
    return registered in own or (plain and f"{module}.{kind}" in CLASSES)


def _check_numbers(value: Any, path: Path, key: str = "") -> None:
    """Refuses a size that memory cannot hold, by one number alone."""
    if isinstance(value, dict):
        for name, inner in value.items():
            _check_numbers(inner, path, name)
    elif isinstance(value, list):
        for inner in value:
            _check_numbers(inner, path, key)
    elif isinstance(value, int) and abs(value) > LARGEST and "seed" not in key:
        raise ValueError(f"{path}: {key} is {value} in {CONFIG}, expected at most {LARGEST}")


def _check_files(value: Any, path: Path) -> None:
    for entry in _dicts(value):
        for key in READ:
            if isinstance(entry.get(key), str):
                raise ValueError(
                    f"{path}: {entry.get('name')!r} reads its {key} from {entry[key][:200]!r}, "
                    "expected the words themselves; give vocabularies as lists"
                )


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _dicts(inner)
