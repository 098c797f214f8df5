"""What a framework is: a module of functions that build a model and train it step by step.

Its state is one object, `build`'s result, that every other function takes. Inputs and targets are
arrays by name, rows first; `rows` are the numbers of the rows that a step sees.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from ._accumulation import Accumulation
from ._adapting import Adapting
from ._averaging import Averaging
from ._parts import Parts, Spec, Term

__all__ = [
    "Accumulation",
    "Adapting",
    "Arrays",
    "Averaging",
    "Framework",
    "Parts",
    "RanksModule",
    "Spec",
    "Term",
    "TrainingModule",
]

Arrays = Mapping[str, np.ndarray]
T = TypeVar("T")
"""The state of a training: model, loss, optimizer, schedule."""
T_contra = TypeVar("T_contra", contravariant=True)
"""The same, where it is only taken."""


class TrainingModule(Protocol[T_contra]):
    """What the stages train with: a framework, or a complete model in the place of one."""

    @property
    def SUFFIX(self) -> str:  # noqa: N802
        """The ending of the files that `save` writes."""

    @property
    def TRAINS(self) -> bool:  # noqa: N802
        """Returns whether it has steps and a loss; a program that was made elsewhere has
        neither."""

    @property
    def FAULTS(self) -> tuple[type[Exception], ...]:  # noqa: N802
        """What the library raises of its own for a model or a batch that it cannot compute."""

    def seed(self, value: int, training: T_contra, /) -> None:
        """Seeds every generator that a step may draw from."""

    def adapt(self, training: T_contra, inputs: Arrays) -> None:
        """Fits the preprocessing to the training rows, which may be memory-mapped. Raises
        ValueError in one line."""

    def step(self, training: T_contra, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> Any:
        """Takes one step on these rows; returns its loss, which `float` takes."""

    def end_epoch(self, training: T_contra, val_loss: float = float("nan")) -> None:
        """Brings the learning rate to that of the next epoch; a schedule that has come to its end
        stays there. `val_loss` is what the epoch reached, for a schedule that goes by it."""

    def evaluate(
        self, training: T_contra, inputs: Arrays, targets: Arrays | None
    ) -> tuple[dict[str, np.ndarray], float]:
        """Returns the outputs by name in evaluation mode, and the loss (NaN without targets), of
        one batch. Raises ValueError where the model returns other things."""

    def state(self, training: T_contra) -> dict[str, np.ndarray]:
        """Returns the weights that predict and the optimizer's state by name, net/<name> and
        optimizer/<name>; where those are averages, also trained/<name>."""

    def views(self, training: T_contra) -> Iterable[tuple[str, np.ndarray]]:
        """Yields what `state` returns, one after the other; the next step may change it."""

    def set_weights(self, training: T_contra, weights: Arrays) -> None:
        """Sets those of `state`'s net/<name> that are named, to the values there."""

    def save(self, training: T_contra, path: Path) -> None:
        """Writes all that the next step depends on but the seed; the same state gives the same
        bytes, whatever the file is called."""

    def snapshot(self, training: T_contra) -> Callable[[Path], None]:
        """Returns what writes to a path, from another thread and later, what `save` would now."""

    def load(self, training: T_contra, path: Path) -> None:
        """Brings the training to where it was when `save` wrote the file. Raises ValueError for
        another model's file."""

    def sources(self, training: T_contra) -> list[str]:
        """Returns the top-level packages, other than the framework's, that its parts come from."""

    def randomness(self, training: T_contra, /) -> dict[str, np.ndarray]:
        """Returns the states of the framework's own generators that `save` does not write."""

    def set_randomness(self, training: T_contra, states: Arrays, /) -> None:
        """Sets what `randomness` returned."""


class RanksModule(TrainingModule[T_contra], Protocol[T_contra]):
    """What several processes, the ranks, train with: each calls the same functions in the same
    order. `save` writes a folder, of which every rank writes its part; `step` gets the rows of all
    of them. Before `meet` it is one process that looks at what ranks wrote."""

    asked: Callable[[], bool]
    """Whether this rank was asked to end."""
    end: Callable[[], None]
    """Is called on every rank after the same step, once any of them was asked to end."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""

    @property
    def world(self) -> int:
        """How many ranks there are."""

    def meet(self, timeout: float) -> None:
        """Brings the ranks together; afterwards they wait for each other for so many seconds."""

    def part(self) -> None:
        """Ends what `meet` began."""

    def spread(self, training: T_contra) -> None:
        """Has the ranks share a training that each has built and begun alike. Raises ValueError,
        one line, for what they cannot."""

    def gathered(self, value: Any) -> list[Any] | None:
        """Returns the ranks' values to rank 0, and None to the others."""

    def of_first(self, value: Any) -> Any:
        """Returns the value that rank 0 has."""

    def wait(self) -> None:
        """Returns when all ranks have come here."""

    def buffers_apart(self, training: T_contra) -> list[str]:
        """Returns the names of what a model has learnt beside its weights otherwise on each
        rank."""


class Framework(TrainingModule[T], Protocol[T]):
    """pipeline/frameworks/<name>.py."""

    @property
    def BASES(self) -> Mapping[str, Any]:  # noqa: N802
        """The class that each part of a model's configuration is of: net, loss, optimizer,
        scheduler, and `augment` where the framework has no layers of its own for it."""

    @property
    def PARTS(self) -> Mapping[str, Any]:  # noqa: N802
        """`packages`, where these classes come from, and `parts`, the classes that may stand in
        their arguments: the rest of a config.targets.Kind."""

    def configure(self, threads: int, replicas: int = 1) -> None:
        """Makes the process deterministic, but for the seed; before anything is built. There are
        several replicas only for a framework that the parameters let have them."""

    def seed(self, value: int, training: T | None = None, /) -> None:
        """Seeds every generator that a step, or without a training the initial weights, draw
        from."""

    def build(self, parts: Parts) -> T:
        """Builds the parts. Raises ValueError in one line that begins with the parameter at fault,
        also for what a part defines for a loop of its own, which would never be called."""

    def loss_of(
        self, training: T, inputs: Arrays, outputs: Arrays, targets: Arrays
    ) -> float | None:
        """Returns the loss of these outputs in evaluation mode, whatever the model answers; None
        where the model computes its loss itself. Raises KeyError or ValueError where a target that
        it compares is left out."""

    def state_outside(self, training: T) -> dict[str, bytes]:
        """Returns a digest of each value that the model's own parts hold in attributes and that
        `save` does not write, by name."""

    def predictor(self, training: T, inputs: Arrays) -> Any:
        """Returns the model in evaluation mode, which formats export: it is called with the inputs
        in their order, of which these are an example, and returns the outputs in theirs."""

    def weight_specs(self, training: T, naming: str) -> dict[str, Spec]:
        """Returns every tensor that a checkpoint of this model holds beside the optimizer's, by the
        names of a kind of checkpoint; "own" are the framework's own. A tensor that the model holds
        under several names has an entry for each."""

    def start(
        self, training: T, naming: str, weights: Mapping[str, Any], optimizer: Any, scheduler: Any
    ) -> list[str]:
        """Sets the tensors that are named as `weight_specs` names them, which fit in shape and are
        brought to the model's dtype and device; then the optimizer's and the schedule's state, as
        pipeline.foreign reads them, or leaves those alone for None. Returns notes, a sentence each.
        Raises ValueError, one line, for a state that does not fit; then nothing counts as set."""

    def save_whole(self, training: T, path: Path) -> None:
        """Writes what `save` does, and with an adapter the weights that it is of, too, which `load`
        expects the training to have where a file lacks them."""

    def unmerged(self, training: T, inputs: Arrays) -> dict[str, np.ndarray]:
        """Returns the outputs by name of the weights and the adapter apart, in evaluation mode;
        nothing where there is no adapter."""

    def over_ranks(self, strategy: str) -> RanksModule[T]:
        """Returns what trains over several processes. Raises ValueError, one line, where there is
        nothing that could; it is not called where the parameters refuse it."""
