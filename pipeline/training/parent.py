"""A complete model in the place of a framework: the stages train it on with none of its source.

It has the functions of pipeline/frameworks/<name>.py; what they do is the format's `load_training`.
"""

import json
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline import formats, provenance
from pipeline.config.params import Train
from pipeline.errors import IncompleteArtifact, ParamsError
from pipeline.project import PARENTS

SUFFIX = ".tar"
Arrays = Mapping[str, np.ndarray]


@dataclass
class Training:
    trainer: Any
    form: str
    """The format that the trainer is of."""
    base: ModuleType
    """Of the framework: it sets the process up."""
    sources: list[str]


def schema(parent: str) -> dict[str, Any]:
    """Of the complete model with this digest."""
    found: dict[str, Any] = json.loads((PARENTS / parent / "schema.json").read_text())
    return found


def trained(parent: str) -> int:
    """Epochs behind the complete model, its own parents' included."""
    found = schema(parent)
    return int(found["epochs_before"] + found["epoch"])


def form(complete_model: Path) -> str:
    """The format that it is trained on in. Raises IncompleteArtifact.

    A training step alone is not enough: the stages look at losses between the steps, too.
    """
    trains: list[str] = json.loads((complete_model / "formats.json").read_text())["trains"]
    known = formats.names()
    for name in (each for each in trains if each in known):
        if formats.declared(name).evaluates:
            return name
    raise IncompleteArtifact(
        f"{complete_model}: cannot be trained on; export it again with export.train=true"
    )


def build(base: ModuleType, train: Train, described: Mapping[str, Any]) -> Training:
    """The parent's training program, with its optimizer where it stood; only the learning rate may
    be set anew. `described` is the schema of the data. Raises ParamsError."""
    parent = PARENTS / str(train.parent)
    before, recorded = schema(parent.name), provenance.params(parent)["train"]
    _demand_alike(described, before)
    base.configure(train.threads)
    name = form(parent)
    trainer = formats.training_loader(name).load_training(parent)
    if train.clip_norm != recorded["clip_norm"]:
        raise ParamsError(
            f"train.clip_norm: found {train.clip_norm}, but {parent} clips to "
            f"{recorded['clip_norm']}, which is part of its step; expected the same"
        )
    if train.lr != recorded["lr"]:
        try:
            trainer.set_learning_rate(train.lr)
        except ValueError as fault:
            raise ParamsError(f"train.lr: {fault}") from None
    return Training(trainer, name, base, list(before["sources"]))


def demand_whole(parent: Path) -> None:
    """Raises IncompleteArtifact unless every byte is what its digest in parents/ names."""
    if not parent.is_dir():
        raise IncompleteArtifact(
            f"{parent}: missing; fetch it with `dvc pull {parent}.dvc`, or run "
            "`python -m pipeline.resume` with the complete model itself"
        )
    found = provenance.faults(parent)
    if not found and provenance.digest(parent) != parent.name:
        found = [f"{parent}: is the complete model {provenance.digest(parent)}"]
    if found:
        raise IncompleteArtifact(f"{found[0]}; fetch it again with `dvc checkout --force`")


def _demand_alike(described: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    for key in ("inputs", "target"):
        if described[key] != before[key]:
            raise ParamsError(
                f"data.{key}: found {json.dumps(described[key])}, expected what the complete model "
                f"was trained with: {json.dumps(before[key])}"
            )


def seed(value: int, training: Training) -> None:
    training.base.seed(value)
    training.trainer.seed(value)


def randomness(training: Training) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = training.base.randomness(training)
    return found


def set_randomness(training: Training, states: Arrays) -> None:
    training.base.set_randomness(training, states)


def adapt(training: Training, inputs: Arrays) -> None:
    """Nothing: preprocessing stays as it was fitted."""


def sources(training: Training) -> list[str]:
    return training.sources


def step(training: Training, inputs: Arrays, target: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """One step on the rows of these numbers; its loss, a scalar."""
    given = {name: array[rows] for name, array in inputs.items()}
    loss: np.ndarray = training.trainer.step(given, target[rows])
    return loss


def end_epoch(training: Training) -> None:
    training.trainer.end_epoch()


def predict(
    training: Training, inputs: Arrays, target: np.ndarray | None, batch_size: int
) -> tuple[list[np.ndarray], float]:
    """Outputs in evaluation mode, and the mean loss (NaN without a target)."""
    found: list[list[np.ndarray]] = []
    total, count = 0.0, len(next(iter(inputs.values())))
    for start in range(0, count, batch_size):
        rows = slice(start, min(start + batch_size, count))
        given = {name: array[rows] for name, array in inputs.items()}
        if target is None:
            answers = training.trainer.predict(given)
        else:
            answers, loss = training.trainer.evaluate(given, target[rows])
            total += float(loss) * (rows.stop - rows.start)
        found.append(list(answers.values()))
    joined = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    return joined, total / count if target is not None else float("nan")


def state(training: Training) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = training.trainer.state()
    return found


def save(training: Training, path: Path) -> None:
    """The format's files in one; the same state gives the same bytes."""
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(path, "w") as archive:
        training.trainer.save(Path(scratch))
        for name in provenance.files(Path(scratch)):
            info = tarfile.TarInfo(name)
            info.size = (Path(scratch) / name).stat().st_size
            with (Path(scratch) / name).open("rb") as file:
                archive.addfile(info, file)


def load(training: Training, path: Path) -> None:
    """As when `save` was called."""
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(path) as archive:
        archive.extractall(scratch, filter="data")
        loader = formats.training_loader(training.form)
        training.trainer = loader.load_training(Path(scratch))


def export(
    training: Training,
    form: str,
    inputs: dict[str, np.ndarray],
    outputs: list[str],
    directory: Path,
) -> None:
    """ValueError for a format that takes the source's model where a program will not do."""
    if form == training.form:
        training.trainer.save(directory)
        return
    promises = formats.declared(form).promises
    predictor = training.trainer.predictor() if promises.code_free else None
    if predictor is None:
        raise ValueError("is made from the model's source, which a complete model does not hold")
    formats.exporter(form).export(predictor, inputs, outputs, directory)
