"""The section `model` of params.yaml: the net, its loss and its optimizer."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pipeline.config.bounds import Plugin
from pipeline.config.reading import Component
from pipeline.errors import ParamsError

NO_LIBRARIES = ("data", "hydra", "models", "numpy", "omegaconf", "pipeline", "tensorflow", "torch")


@dataclass(frozen=True, kw_only=True)
class LossTerm:
    function: Component
    compares: tuple[str, ...] = ()
    """Names of outputs, targets and inputs that it is called with, in order; may be left out where
    its own parameters are called like them, where there is one target and the term is called as
    an output, or one of each."""
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Model:
    name: str
    framework: Annotated[str, Plugin("frameworks")] | None
    """Null of a program that none of them runs."""
    program: Annotated[str, Plugin("formats")] | None
    """The format of a program that is complete already: what train.start names takes the place of a
    net, and there is no loss and no optimizer then; null builds the net."""
    net: Component | None
    loss: Component | Mapping[str, LossTerm] | str | None
    """Called as loss(output, target), or with what its parameters name; several terms by name; or,
    of a PyTorch net that is called with the targets too, the output that is its loss. Null is for a
    net with a training_step, and for a Keras model that defines compute_loss or its steps."""
    augment: Component | None
    """A module of PyTorch that takes inputs and targets by name, and returns them changed at random
    (one tensor, a tuple in its order, or a dict); it acts in training alone. In Keras such layers
    are a part of the net."""
    libraries: tuple[str, ...]
    """Packages whose classes and functions the `_target_`s of net, loss and augment may name, those
    in their arguments too: transformers, timm. They are a source of the model, as models/ is, and
    run what they will when they are imported."""
    rename: Mapping[str, str | None]
    """Names that the checkpoint in train.start has for tensors, and those of the model: * stands
    for any text, the same in both; null leaves a tensor of the checkpoint out."""
    weights_of: str | None
    """Which of several sets of weights in the checkpoint is taken: the key that an average of them
    lies under (`ema`), or what the names of a net begin with; null takes those it was saved for."""
    optimizer: Component | None
    """With PyTorch it gets the net's parameters as its first argument, with Keras nothing."""
    scheduler: Component | None
    """Advances once an epoch, or a step (train.schedule_by). With PyTorch it gets the optimizer as
    its first argument; with Keras it is a LearningRateSchedule that is asked for the rate with the
    number of epochs trained, or of steps taken."""
    outputs: tuple[str, ...] | Mapping[str, str]
    """Names of what the net returns, in order, or names of some with their paths in it (a key, a
    field, an index, parts joined by dots)."""
    formats: tuple[Annotated[str, Plugin("formats")], ...]
    """What export.formats is unless it is set."""

    def __post_init__(self) -> None:
        for library in self.libraries:
            _demand_library(library)
        if self.loss == {}:
            raise ParamsError("model.loss: found no term, expected a loss or terms by name")
        for key in () if self.program else ("framework", "net", "optimizer"):
            if getattr(self, key) is None:
                raise ParamsError(f"model.{key}: found null, expected one; a program has none")
        for key in ("net", "loss", "augment", "optimizer", "scheduler") if self.program else ():
            if getattr(self, key) is not None:
                raise ParamsError(
                    f"model.{key}: found one beside model.program, expected null: a program is "
                    "complete as it is"
                )
        if not self.outputs:
            raise ParamsError("model.outputs: found none, expected a name at least")

    @property
    def paths(self) -> dict[str, str]:
        """Returns the path of each output in what the net returns."""
        if isinstance(self.outputs, Mapping):
            return dict(self.outputs)
        return {name: name for name in self.outputs}


def _demand_library(name: str) -> None:
    """Raises ParamsError for what is no library of models: Python's own modules start programs,
    and what makes components would make anything."""
    if not all(map(str.isidentifier, name.split("."))):
        raise ParamsError(f"model.libraries: found {name!r}, expected a package's name")
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top in NO_LIBRARIES:
        raise ParamsError(
            f"model.libraries: found {name}, expected a library of models such as transformers; "
            "write a function in models/ for all else"
        )
