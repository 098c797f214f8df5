"""Layouts, a module each: how a server that is not run here wants a complete model's files to lie.

This module finds them by name. Each has `FORMAT`, whose files it takes; `files`, which says what is
to lie where; and `start`, the command that serves them.

It imports formats and runtimes.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, cast


class Layout(Protocol):
    """A module of this folder."""

    FORMAT: str

    def files(
        self, complete_model: Path, schema: Mapping[str, Any], name: str, version: int, batch: int
    ) -> Mapping[str, Path | str]:
        """Returns what is to lie in the server's folder, by its place there: a file to link to, or
        a text to write; `batch` is how many rows of requests the server may join, 0 for none.
        Raises ValueError in one line for a model that the server takes none of."""

    def start(self, folder: Path, name: str) -> str:
        """Returns a command that serves it."""


def names() -> list[str]:
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def layout(name: str) -> Layout:
    return cast(Layout, importlib.import_module(f"{__name__}.{name}"))
