"""Formats, a folder each: what it declares, and the parts that do it.

This module finds them by name, wherever the folder lies. contract.py says what each has to be.

It imports nothing of ours, so that a confined process can have a copy of the folder and no more.
"""

import importlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, cast

from .changes import ChangedLoader
from .contract import (
    Exporter,
    Format,
    Loader,
    Screen,
    Serving,
    TrainingCard,
    TrainingExporter,
    TrainingLoader,
)
from .programs import Adopter


def names() -> list[str]:
    folders = Path(__file__).parent.glob("[!_]*/__init__.py")
    return sorted(path.parent.name for path in folders)


def declared(name: str) -> Format:
    return cast(Format, importlib.import_module(f"{__name__}.{name}").FORMAT)


def in_order(chosen: list[str]) -> list[str]:
    """Returns them so that one that refers to another's file comes after it."""
    return sorted(chosen, key=lambda name: len(set(declared(name).after) & set(chosen)))


def unread(name: str) -> Callable[[str], bool]:
    """Returns whether a file of a complete model is one of formats' that loading this one, to
    predict, does not read."""
    form, listed = declared(name), {entry for each in names() for entry in declared(each).entries}
    needed = set(form.entries) - set(form.unread)
    for other in map(declared, form.after):
        needed |= {*other.weight_files, *(other.optimizer_files if form.promises.trainable else ())}

    def is_unread(file: str) -> bool:
        above = {file, *(str(folder) for folder in PurePosixPath(file).parents)}
        return bool(above & listed) and not above & needed

    return is_unread


def exporter(name: str) -> Exporter:
    return cast(Exporter, _part(name, "export"))


def training_exporter(name: str) -> TrainingExporter:
    """Returns the exporter of a format that promises to be trainable."""
    return cast(TrainingExporter, _part(name, "export"))


def loader(name: str) -> Loader:
    return cast(Loader, _part(name, "load"))


def changed_loader(name: str) -> ChangedLoader:
    """Returns the loader of a format that loads files as if they had changes."""
    return cast(ChangedLoader, _part(name, "load"))


def training_loader(name: str) -> TrainingLoader:
    """Returns the loader of a format that promises to be trainable."""
    return cast(TrainingLoader, _part(name, "train"))


def screen(name: str) -> Screen:
    """Returns the screen of a format that screens."""
    return cast(Screen, _part(name, "screen"))


def adopter(name: str) -> Adopter:
    """Returns the adopter of a format that adopts."""
    return cast(Adopter, _part(name, "adopt"))


def card(name: str) -> TrainingCard:
    """Returns the card; `training_card` is there for a format that promises to be trainable."""
    return cast(TrainingCard, _part(name, "card"))


def serving(name: str) -> Serving:
    """Returns the serving part of a format that serves."""
    return cast(Serving, _part(name, "serving"))


def _part(name: str, part: str) -> Any:
    return importlib.import_module(f"{__name__}.{name}.{part}")
