"""The section `train` of params.yaml: the loop, the step, what judges an epoch."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pipeline.config import command_params, metric_names
from pipeline.config.bounds import Range
from pipeline.config.command_params import CommandHistory
from pipeline.config.distributed_params import Distributed
from pipeline.config.reading import Component
from pipeline.errors import ParamsError

DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Metric:
    function: Component
    """A function (true, answered) of sklearn.metrics, which sees a whole split's decisions at once;
    or a class of torchmetrics or keras.metrics, which sees one batch after the other."""
    output: str | None = None
    """Null is the first output."""
    target: str | None = None
    """Or an input, that the output is compared with; null is the only target."""
    decision: Literal["argmax", "value"] | float | Component | None = None
    """How an answer becomes a decision: the class with the largest value, the answer as it is, 1
    above a threshold, or a function of numpy. Null goes by the target, and by what the loss says of
    a single column; a class judges answers as they are."""
    axis: int | None = None
    """Of the classes, for argmax; null is the one that the target does not have."""


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    metric: str
    """A column of history.csv, for instance val/loss."""
    mode: Literal["min", "max"]
    patience: Annotated[int, Range(least=1)]
    """Epochs without a better value after which training ends."""


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """What is validated, chosen and exported is an average of the weights after each step; training
    goes on with the weights."""

    kind: Literal["ema", "swa"]
    """Exponential, or the mean of all steps."""
    decay: Annotated[float, Range(above=0, below=1)] | None = None
    """What stays of an ema at a step."""
    start: Annotated[int, Range(least=1)] = 1
    """The first epoch whose steps count."""

    def __post_init__(self) -> None:
        if (self.decay is None) == (self.kind == "ema"):
            expected = "a number, 0.999 for instance" if self.kind == "ema" else "none"
            raise ParamsError(
                f"train.averaging.decay: found {self.decay}, expected {expected} for {self.kind}"
            )


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """Low-rank adapters (LoRA) in layers of a net that starts from a checkpoint: they alone are
    trained, beside new_weights, and what predicts is the net merged with them."""

    r: Annotated[int, Range(least=1)]
    """Of each; the smaller, the fewer weights are trained."""
    alpha: Annotated[float, Range(above=0)]
    """An adapter counts alpha / r times."""
    dropout: Annotated[float, Range(least=0, below=1)]
    """Of what goes into an adapter, in training; 0 for none."""
    targets: tuple[str, ...]
    """Layers that get one: names, or those of parts that they lie in, where * stands for any
    text."""


@dataclass(frozen=True, kw_only=True)
class Train:
    epochs: Annotated[int, Range(least=0)]
    """None is for a model that stays what train.start has."""
    batch_size: Annotated[int, Range(least=1)]
    """Rows that go through the model at once, a step; the last step of an epoch takes what is
    left."""
    accumulate: Annotated[int, Range(least=1)]
    """Batches whose gradients make one step, the mean over their rows; the last step of an epoch
    takes what is left, in batches as equal as they can be."""
    lr: Annotated[float, Range(above=0)]
    """Learning rate; reaches the optimizer through ${train.lr}."""
    schedule_by: Literal["epoch", "step"]
    """When model.scheduler advances; one that has come to its end stays there."""
    seed: Annotated[int, Range(least=0)]
    """Of the initial weights, of dropout and of the order of the rows."""
    device: Literal["cpu", "cuda", "auto"]
    threads: Annotated[int, Range(least=1)]
    """Of the arithmetic; changes the last bits of larger models, so it is a parameter. In conf/ and
    on the command line `auto` is the number of processors of the machine that composes."""
    parent: str | None
    """Digest of the complete model in parents/ that training goes on from, with its optimizer where
    it stood (`python -m pipeline.resume`); null trains the model from the beginning."""
    start: str | None
    """Digest of the checkpoint in checkpoints/ whose weights training begins with; nothing is
    adapted to the data then, but what new_weights names (`python -m pipeline.adopt`)."""
    start_with: Literal["weights", "optimizer"]
    """What of it is taken: the weights alone, or the states of optimizer and schedule, too."""
    new_weights: tuple[str, ...]
    """Weights that keep their initial values, which the checkpoint lacks or has in another shape:
    names, or those of parts that they lie in, where * stands for any text."""
    clip_norm: Annotated[float, Range(above=0)] | None
    """Largest norm of the whole gradient; null does not clip."""
    class_weights: Literal["balanced"] | Mapping[str, float] | None
    """What each class weighs in the loss, by name (or number), or the rarer the more in the
    training rows; of the only target with classes."""
    distributed: Distributed
    precision: Literal["float32", "bfloat16", "float16"]
    """Of a step's arithmetic, where it may be narrower (autocast); float16 scales the loss. Weights
    and predictions are in float32."""
    averaging: Averaging | None
    freeze: tuple[str, ...]
    """Weights that no step changes: names, or those of parts that they lie in, where * stands for
    any text. A batch norm that is frozen as a whole learns no statistics either."""
    adapter: Adapter | None
    early_stopping: EarlyStopping | None
    keep: Annotated[int, Range(least=1)] | None
    """Epochs whose checkpoints stay, the last ones, beside the best and the worst of every column
    of history.csv, whichever of the two is better; null keeps all."""
    metrics: Mapping[str, Component | Metric]
    """A function by itself judges the first output and the only target. Logged as val/<name> and
    test/<name>."""
    command: str | None
    """A program of your own that trains in the place of the loop here, with its words; {output} is
    the folder that it writes its checkpoint and its log to, {data} the prepared rows, {arguments} a
    JSON file of `arguments`, {options} the same as --name value (or they come last), {resume} the
    last checkpoint of one that was killed, or nothing; {seed}, {threads}, {device}, {epochs},
    {batch_size} and {lr} are those of this section."""
    code: tuple[str, ...]
    """Files and folders that the command runs or reads, beside those that stand in it and what they
    import of the repository."""
    arguments: Mapping[str, Any]
    """Whatever the command is to know."""
    checkpoint: str | None
    """The checkpoint below {output} that is taken in, a file or folder, where * stands for any text
    and the newest of several counts; null is the newest of all."""
    history: str | CommandHistory | None
    """The log below {output}, or how it is read; null finds it."""

    def __post_init__(self) -> None:
        for name in self.metrics:
            metric_names.demand_loggable(name)
        if self.start and self.parent:
            raise ParamsError(
                "train.start: found one beside train.parent, expected one of the two; set the "
                "other to null"
            )
        if self.start and not DIGEST.fullmatch(self.start):
            raise ParamsError(
                f"train.start: found {self.start}, expected the sha256 of a checkpoint in "
                "checkpoints/; `python -m pipeline train.start=<path>` takes one in"
            )
        if not self.epochs and not self.start:
            raise ParamsError("train.epochs: found 0, expected at least 1 without train.start")
        command_params.demand_consistent(self)
        self._demand_adapter_fits()

    @property
    def adapts(self) -> bool:
        """Returns whether an adapter of the checkpoint in `start` is trained; a complete model that
        is trained on brings its own."""
        return self.adapter is not None and self.parent is None

    def _demand_adapter_fits(self) -> None:
        if not self.adapts:
            return
        wrong = {
            "start": self.start is None and "one: an adapter is of the weights of a checkpoint",
            "start_with": self.start_with == "optimizer" and "weights: an adapter has none of it",
            "averaging": self.averaging is not None and "null: an adapter is merged as it is",
        }
        for name, expected in wrong.items():
            if expected:
                value = getattr(self, name)
                shown = "null" if value is None else "one" if name == "averaging" else value
                raise ParamsError(
                    f"train.{name}: found {shown} with train.adapter, expected {expected}"
                )
