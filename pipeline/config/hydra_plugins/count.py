"""`${count:data.targets.label.classes}` in conf/ is how many there are.

Hydra and DVC look for resolvers in packages of this name, which has no __init__.py so that other
plug-ins are found too; .dvc/config says where it is. Nothing of ours can be imported there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import OmegaConf


def count(key: str, *, _root_: Any) -> int | None:
    """Returns the length of a list or mapping of the configuration; a number or null as it is."""
    value = OmegaConf.select(_root_, key, throw_on_missing=True, default=count)
    if value is count:
        raise ValueError(f"no such key: {key}")
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str):
        return len(value)
    raise ValueError(f"{key}: found {value!r}, expected a list, a whole number or null")


def register() -> None:
    OmegaConf.register_new_resolver("count", count, replace=True)


register()
