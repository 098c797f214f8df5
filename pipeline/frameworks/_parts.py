"""What a training is built of, as every framework gets it, and what a tensor of the model is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._accumulation import WHOLE, Accumulation
from ._adapting import Adapting
from ._averaging import Averaging


@dataclass(frozen=True, kw_only=True)
class Term:
    """A term of the loss: what a function makes of outputs, targets and inputs, times a weight."""

    loss: Callable[..., Any]
    """Makes the function."""
    compares: tuple[str, ...] = ()
    """Names of what it is called with, in order; none where its own parameters say it, or where
    there is one output and one target."""
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a training is built of."""

    net: Callable[..., Any]
    loss: Mapping[str, Term] | str | None
    """Terms by the parameter that describes each; the path of the output that is the loss, for a
    model that computes it, given the targets; or None, for one that has a loss, or a step, of its
    own."""
    optimizer: Callable[..., Any]
    scheduler: Callable[..., Any] | None
    inputs: Mapping[str, Mapping[str, Any]]
    """Dtype and the shape of a row by name; `missing`, where the model fills what is missing."""
    targets: Mapping[str, Mapping[str, Any]]
    outputs: Mapping[str, str]
    """Output -> its path in what the net returns."""
    device: str
    clip_norm: float | None
    accumulation: Accumulation = WHOLE
    replicas: int = 1
    """Copies of the net in this process that take each step together, each of its own rows; several
    only of a framework that has been configured for as many."""
    schedule_by: str = "epoch"
    """Or "step": when the scheduler advances."""
    augment: Callable[..., Any] | None = None
    """Makes what changes inputs and targets at random, in a step alone."""
    averaging: Averaging | None = None
    """Of the weights, for the model that predicts."""
    class_weights: tuple[float, ...] | None = None
    """Of the only target with classes, in the loss of a step."""
    precision: str = "float32"
    """Of a step's arithmetic; weights and predictions are in float32."""
    freeze: Sequence[str] = ()
    """Patterns of names of weights, and of parts that they lie in, which no step changes. A batch
    norm all of which is frozen does not learn statistics either."""
    adapter: Adapting | None = None
    """What is trained beside new weights, of a net that starts from a checkpoint."""


@dataclass(frozen=True)
class Spec:
    """What a tensor of a model is, as a checkpoint has to hold it."""

    shape: tuple[int, ...]
    dtype: str
    """As numpy names it, or bfloat16."""
    same_as: str = ""
    """The first of the names that the model holds this very tensor under, where this is another."""
