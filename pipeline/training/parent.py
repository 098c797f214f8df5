"""A complete model in the place of a framework: the stages train it on with none of its source.

It is a frameworks.contract.TrainingModule; what its functions do is the format's `load_training`.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import formats, provenance
from pipeline.config import earlier
from pipeline.config.params import Train
from pipeline.data import arrays
from pipeline.errors import ParamsError
from pipeline.formats.contract import EvaluatingTrainer
from pipeline.formats.dimensions import Dimensions
from pipeline.frameworks.contract import Framework
from pipeline.project import PARENTS
from pipeline.run.parent import demand_whole, training_format
from pipeline.training import as_one
from pipeline.training.parent_demands import COPY, admitted, demand_same_data, demand_same_step

SUFFIX = as_one.SUFFIX
TRAINS = True
FAULTS: tuple[type[Exception], ...] = ()
Arrays = Mapping[str, np.ndarray]


@dataclass
class Training:
    """The parent's training, where it stands."""

    trainer: EvaluatingTrainer
    form: str
    """The format that the trainer is of."""
    base: Framework[Any]
    """The framework that the model was made with; it sets the process up."""
    sources: list[str]
    admitted: "tempfile.TemporaryDirectory[str] | None" = None
    """Holds what was screened, and loaded, for as long as the training lasts."""


def schema(parent: str) -> dict[str, Any]:
    """Returns the schema of the complete model with this digest."""
    content: dict[str, Any] = json.loads((PARENTS / parent / "schema.json").read_text())
    return earlier.schema(content)


def threshold(parent: str, output: str, target: str) -> float | None:
    """Returns the threshold that the complete model's own metrics had for these."""
    recorded = schema(parent)
    for each in recorded.get("decisions", {}).values():
        if (each["output"], each["target"]) == (output, target) and each["threshold"] is not None:
            return float(each["threshold"])
    value: float | None = recorded.get("threshold")
    return value


def epochs_trained(parent: str) -> int:
    """Returns the epochs behind the complete model, its own parents' included."""
    before = schema(parent)
    return int(before["epochs_before"] + before["epoch"])


def build(base: Framework[Any], train: Train, described: Mapping[str, Any]) -> Training:
    """Loads the parent's training program, with its optimizer where it stood; only the learning
    rate may be set anew. `described` is the schema of the data. Raises ParamsError, and
    VerificationFailed for a parent that may not be loaded."""
    parent = PARENTS / str(train.parent)
    demand_whole(parent)
    before, recorded = schema(parent.name), provenance.params(parent)["train"]
    demand_same_data(described, before)
    base.configure(train.threads)
    name = training_format(parent)
    screened = admitted(parent, name)
    trainer = formats.training_loader(name).load_training(Path(screened.name) / COPY)
    demand_same_step(train, recorded, parent)
    if train.lr != recorded["lr"]:
        try:
            trainer.set_learning_rate(train.lr)
        except ValueError as fault:
            raise ParamsError(f"train.lr: {fault}") from None
    return Training(trainer, name, base, list(before["sources"]), screened)


def seed(value: int, training: Training) -> None:
    """Seeds the framework's generators and the program's own."""
    training.base.seed(value)
    training.trainer.seed(value)


def randomness(training: Training) -> dict[str, np.ndarray]:
    """Returns the states of the framework's generators."""
    return training.base.randomness(training)


def set_randomness(training: Training, states: Arrays) -> None:
    """Sets the states of the framework's generators."""
    training.base.set_randomness(training, states)


def adapt(training: Training, inputs: Arrays) -> None:
    """Does nothing: preprocessing stays as it was fitted."""


def sources(training: Training) -> list[str]:
    """Returns the packages that the parent was made of, as its schema names them."""
    return training.sources


def step(training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> np.ndarray:
    """Takes one step on the rows of these numbers; returns its loss, a scalar."""
    return training.trainer.step(arrays.rows_of(inputs, rows), arrays.rows_of(targets, rows))


def end_epoch(training: Training, val_loss: float = float("nan")) -> None:
    """Brings the learning rate to that of the next epoch."""
    training.trainer.end_epoch(val_loss)


def evaluate(
    training: Training, inputs: Arrays, targets: Arrays | None
) -> tuple[dict[str, np.ndarray], float]:
    """Returns the outputs by name in evaluation mode, and the loss (NaN without targets), of one
    batch."""
    if targets is None:
        return training.trainer.predict(dict(inputs)), float("nan")
    answers, loss = training.trainer.evaluate(dict(inputs), dict(targets))
    return answers, float(loss)


def state(training: Training) -> dict[str, np.ndarray]:
    """Returns weights and optimizer's state by name, as the framework names them."""
    return training.trainer.state()


def views(training: Training) -> Iterable[tuple[str, np.ndarray]]:
    """Yields the same, one after the other."""
    return training.trainer.views()


def set_weights(training: Training, weights: Arrays) -> None:
    """Sets weights named net/<name>, as `state` names them."""
    training.trainer.set_weights(dict(weights))


def save(training: Training, path: Path) -> None:
    """Writes the format's files as one; the same state gives the same bytes."""
    with tempfile.TemporaryDirectory() as scratch:
        training.trainer.save(Path(scratch))
        as_one.pack(Path(scratch), path)


def snapshot(training: Training) -> Callable[[Path], None]:
    """Returns what writes the format's files, which are written by now, as one."""
    scratch = tempfile.TemporaryDirectory()
    training.trainer.save(Path(scratch.name))

    def write(path: Path) -> None:
        with scratch:
            as_one.pack(Path(scratch.name), path)

    return write


def load(training: Training, path: Path) -> None:
    """Reads what `save` wrote."""
    with tempfile.TemporaryDirectory() as scratch:
        as_one.unpack(path, Path(scratch))
        loader = formats.training_loader(training.form)
        training.trainer = loader.load_training(Path(scratch))


def export(
    training: Training,
    form: str,
    inputs: dict[str, np.ndarray],
    outputs: list[str],
    directory: Path,
    dimensions: Dimensions,
) -> None:
    """Writes the model in a format. Raises ValueError for a format that is made from the source's
    model, where a program will not do."""
    if form == training.form:
        training.trainer.save(directory)
        return
    promises = formats.declared(form).promises
    predictor = training.trainer.predictor() if promises.code_free else None
    if predictor is None:
        raise ValueError("is made from the model's source, which a complete model does not hold")
    formats.exporter(form).export(predictor, inputs, outputs, directory, dimensions)
