"""What a kind of checkpoint is that was made elsewhere: a module that knows it by its content, and
opens it without running anything of it. Its framework is imported where it works with it alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.formats.programs import Program


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A checkpoint that was made elsewhere, opened."""

    framework: Literal["pytorch", "keras"] | None
    """None of a program that no framework runs."""
    program: Program | None = None
    """What the program takes and answers, of one that is complete already; it takes the place of a
    net, and has no weights to match."""
    weights: Mapping[str, Any]
    """What the file calls a tensor -> the tensor, which has `shape` and `dtype` and is read when it
    is asked for: torch's own, mapped from the file, or what `numpy.asarray` takes."""
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other sets of weights that it holds, such as an average of them, by the word that
    `model.weights_of` takes."""
    optimizer_of: str | None = None
    """Which set the optimizer's state is of; None: `weights`."""
    naming: str = "own"
    """How the file names tensors: a word that the framework's `weight_specs` takes."""
    optimizer: Any = None
    """The optimizer's state, as the framework's `start` takes it; None where there is none."""
    scheduler: Any = None
    """That of the schedule of the learning rate."""
    epoch: int | None = None
    """Epochs behind it, where the file says so."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Package -> the version that wrote the file, where it says so."""
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    """Of its training, as far as the file says them; JSON's values."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """Values of the section `model` of params.yaml that the checkpoint itself says, by dotted key;
    what a person says goes before them."""
    notes: Sequence[str] = ()
    """Sentences for the person who adopts it: what was left aside or brought home."""


class Kind(Protocol):
    """pipeline/foreign/<name>.py."""

    TITLE: str
    """What people call it: "Lightning checkpoint"."""
    GIVES: str | None
    """What `read` gives: the "weights" of a net, or a "program" with its own; None where it raises:
    `adopt --trust-pickle` opens a pickle, `adopt --base` an adapter."""

    def recognizes(self, path: Path) -> bool:
        """Returns whether the content at the path, a file or a folder, whatever its name, is of
        this kind. It is asked of anything, and exactly one kind says yes."""

    def read(self, path: Path) -> Foreign:
        """Opens it. Nothing in it is executed, and what it unpacks to is bounded by its size.
        Raises DataError, one line that begins with the path."""
