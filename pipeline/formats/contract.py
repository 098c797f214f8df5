"""What a format is: a folder that declares what it promises and does it in parts.

Each part is a module that loads by itself: `load` never imports `export`. Within `formats/` imports
are relative, and nothing else of ours is imported, so that a copy of the folder runs alone.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .dimensions import FIXED, Dimensions
from .tolerance import Tolerance

Arrays = dict[str, np.ndarray]
Place = tuple[str, int, int, str]
"""File in the complete model, offset and length in bytes, and dtype as numpy names it."""


@dataclass(frozen=True, kw_only=True)
class Promises:
    """What `verify` holds a format to, and card and report tell."""

    code_free: bool
    """It loads, answers and trains on without the model's source."""
    safe_to_load: bool
    """Loading runs no code from the file."""
    trainable: bool
    """It can be trained on, if it was exported with a training."""
    same_bytes: bool
    """The same model gives the same bytes."""
    runtimes: tuple[str, ...]
    note: str
    """One line for people: what it does not promise."""

    def as_mapping(self) -> dict[str, Any]:
        return asdict(self) | {"runtimes": list(self.runtimes)}


@dataclass(frozen=True, kw_only=True)
class Format:
    """What a format says of itself, as `FORMAT` in its __init__.py."""

    promises: Promises
    frameworks: tuple[str, ...]
    """Whose models it takes."""
    requires: tuple[str, ...]
    """Distributions that loading takes."""
    imports: tuple[str, ...] = ()
    """Modules that take long to import, and that loading imports."""
    file: str
    """Its main file in a complete model."""
    entries: tuple[str, ...]
    """All that may lie at the top of a complete model for it: files and folders."""
    unread: tuple[str, ...] = ()
    """Those of its entries that loading it, to predict, does not read."""
    after: tuple[str, ...] = ()
    """Formats whose files its own refer to, so that it is exported after them."""
    weight_files: tuple[str, ...] = ()
    """Those of its files that hold weights byte for byte, so that other formats refer to them."""
    optimizer_files: tuple[str, ...] = ()
    """Those of its files that hold the optimizer's state byte for byte."""
    screens: bool = True
    """It has the part `screen`."""
    loads_changed: bool = False
    """Its part `load` is one of changes.py: no copy with other weights need be written."""
    serves: bool = False
    """It has the part `serving`: MLflow has a loader for it."""
    adopts: bool = False
    """It has the part `adopt`: it takes in programs that were made elsewhere."""
    evaluates: bool = False
    """Its Trainer can be asked for a loss between two steps, as the stages do that train it on."""
    tolerance: Tolerance
    """Of answers."""
    continuation: Tolerance | None = None
    """Of losses, weights, optimizer's state and answers after more training; None where it cannot
    be trained on."""

    @property
    def owns_weights(self) -> bool:
        return bool(self.weight_files)


class Exporter(Protocol):
    """The part `export`."""

    def export(
        self,
        model: Any,
        inputs: Arrays,
        outputs: list[str],
        directory: Path,
        dimensions: Dimensions = FIXED,
    ) -> None:
        """Writes the model, in evaluation mode, for any number of rows, and every size within the
        bounds of the dimensions.

        `inputs` is an example, `outputs` are the names of what the model returns. Raises ValueError
        in one line where the model does not fit; what it has begun to write is then removed by the
        caller.
        """


class TrainingExporter(Protocol):
    """The part `export` of a format that promises to be trainable."""

    def export(
        self,
        model: Any,
        inputs: Arrays,
        outputs: list[str],
        directory: Path,
        training: Any = None,
        targets: Arrays | None = None,
        seed: int = 0,
        dimensions: Dimensions = FIXED,
    ) -> None:
        """Writes the model as an Exporter does, and with `training`, what the framework built, also
        what it takes to go on; `targets` are an example, `seed` is that of the random numbers."""


class Loader(Protocol):
    """The part `load`."""

    def load(self, directory: Path) -> Callable[[Arrays], Arrays]:
        """Returns the function that makes outputs by name from inputs by name, rows first. Raises
        ValueError for a file that the format would not have written."""

    def refusals(self) -> tuple[type[Exception], ...]:
        """Returns what the loaded function raises on rows that it does not take; after `load`."""

    def weights(self, directory: Path) -> Mapping[str, Place]:
        """Returns where each weight lies, without a framework."""


class Trainer(Protocol):
    """A training that goes on where it stood when it was exported."""

    def step(self, inputs: Arrays, targets: Arrays) -> np.ndarray:
        """Takes one step on these rows; returns its loss, a scalar."""

    def end_epoch(self, val_loss: float = float("nan")) -> None:
        """Brings the learning rate to that of the next epoch; a schedule that has come to its end
        stays there. `val_loss` is what the epoch reached, for a schedule that goes by it."""

    def predict(self, inputs: Arrays) -> Arrays: ...

    def state(self) -> Arrays:
        """Returns weights and optimizer's state by name, as the framework names them."""

    def views(self) -> Iterable[tuple[str, np.ndarray]]:
        """Yields what `state` returns, one after the other; the next step may change it."""

    def save(self, directory: Path) -> None:
        """Writes the format's files anew."""


class EvaluatingTrainer(Trainer, Protocol):
    """A trainer that the stages can train on with: `Format.evaluates`."""

    def seed(self, value: int) -> None: ...

    def set_learning_rate(self, value: float) -> None:
        """Raises ValueError where the rate is baked in."""

    def evaluate(self, inputs: Arrays, targets: Arrays) -> tuple[Arrays, np.ndarray]:
        """Answers and mean loss in evaluation mode."""

    def set_weights(self, weights: Arrays) -> None:
        """Sets those of `state`'s net/<name> that are named."""

    def predictor(self) -> Any | None:
        """Returns the program that predicts, for other formats to export; None where it cannot be
        had."""


class TrainingLoader(Protocol):
    """The part `train`."""

    def load_training(self, directory: Path) -> Any:
        """Returns a Trainer; an EvaluatingTrainer where the format says so."""

    def optimizer_state(self, directory: Path) -> Mapping[str, Place]:
        """Returns where each tensor of the optimizer's state lies, without a framework."""


class Screen(Protocol):
    """The part `screen`."""

    def screen(self, directory: Path) -> None:
        """Raises ValueError for anything in the format's files that could run, reach out or unpack
        beyond its size. No framework reads them for this."""


class Card(Protocol):
    """The part `card`: lines of Python for README.md, which run from inside the directory."""

    def card(self, inputs: list[str], outputs: list[str]) -> str: ...


class TrainingCard(Card, Protocol):
    def training_card(
        self,
        inputs: list[str],
        outputs: list[str],
        targets: list[str],
        directory: Path,
        dimensions: Dimensions = FIXED,
    ) -> str:
        """Returns the lines that train on; `targets` are named as their arrays in
        examples/training.npz."""


@dataclass(frozen=True, kw_only=True)
class Flavor:
    """How MLflow's own loaders take the format, for MLmodel."""

    name: str
    content: Mapping[str, Any]
    loader: str
    """The module of MLflow that serves it."""
    data: str
    """What that loader is given, from the complete model."""
    runtime: str
    """The distribution that the loader predicts with."""
    takes_names: bool
    """Inputs go by name; otherwise one array in, one out."""
    first: int
    """Of several formats the one with the lowest number serves."""


class Serving(Protocol):
    """The part `serving`."""

    def flavor(self) -> Flavor: ...
