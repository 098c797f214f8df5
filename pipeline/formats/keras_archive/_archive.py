"""The archive's members: what they are called, and what may lie in an archive at all."""

import re
from pathlib import Path
from typing import Any

from .._json import read_json
from .._zip import spans

FILE = "model.keras"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMBER = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets(/\w[\w.\- ]*)+")


def read_member(path: Path, member: str) -> Any:
    """Returns what a member of JSON holds; ValueError for what is none or would fill the memory."""
    return read_json(path, spans(path)[member], f"{path}: {member}")


def custom_objects(path: Path) -> dict[str, tuple[str, str]]:
    """Returns the module and the name of each class and function that is not Keras' own."""
    named: dict[str, tuple[str, str]] = read_member(path, METADATA)["custom_objects"]
    return named


def needs(directory: Path) -> list[str]:
    """Returns the classes and functions, `module.name` each, that it takes besides Keras."""
    named = custom_objects(directory / FILE).values()
    return sorted(f"{module}.{name}" for module, name in named)


def check_members(path: Path) -> None:
    members = spans(path)
    for name in members:
        if not MEMBER.fullmatch(name):
            raise ValueError(
                f"{path}: member {name!r} is none of Keras', expected {CONFIG}, {METADATA}, "
                f"{WEIGHTS} and assets; do not load it"
            )
    if not {CONFIG, METADATA, WEIGHTS} <= set(members):
        raise ValueError(f"{path}: malformed archive, expected each of Keras' members once")


def check_metadata(path: Path) -> None:
    content = read_member(path, METADATA)
    named = [part for pair in content["custom_objects"].values() for part in pair]
    names = [*content["signature"]["inputs"], *content["signature"]["outputs"], *named]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: {METADATA} holds other than names; do not load it")
