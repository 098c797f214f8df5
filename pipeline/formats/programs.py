"""What a program that was made elsewhere says of itself, and the part `adopt` of a format, which
takes it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .contract import Arrays


@dataclass(frozen=True)
class Port:
    """An input or an output of a program."""

    dtype: str
    """As numpy names it, or string; what numpy has no word for as its own format calls it."""
    shape: tuple[int | None, ...] | None
    """Rows first, None where the size varies; None where the program does not say it at all."""


@dataclass(frozen=True, kw_only=True)
class Program:
    """What a program that was made elsewhere says of itself."""

    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    versions: Mapping[str, str]
    """What made it -> its version, as far as the file says so."""
    notes: tuple[str, ...] = ()
    """Sentences for the person who adopts it."""


class Adopter(Protocol):
    """The part `adopt`. Nothing of a file is run, or read by its framework, before the screen has
    let it in."""

    def describe(self, path: Path) -> Program:
        """Reads what it takes and answers. Raises ValueError, one line without the path, for a
        program that the format cannot hold."""

    def adopt(
        self, path: Path, directory: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]
    ) -> None:
        """Writes the program as the format's files, which have been screened then. `inputs` and
        `outputs` have the names that they get, each with that in the program; outputs that are not
        named are left out. Raises ValueError as `describe` does."""

    def load_with(
        self, directory: Path, weights: Mapping[str, np.ndarray]
    ) -> Callable[[Arrays], Arrays]:
        """Returns what `load` does, of the program with these weights in place of its own; they are
        named as in `weights`, and have no shape."""

    def predictor(self, directory: Path) -> Any | None:
        """Returns the program of the format's files, for other formats to export; None where it
        cannot be had."""
