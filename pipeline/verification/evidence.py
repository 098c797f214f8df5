"""What the checks judge: the artifact, the trained model's record, and each format's answers."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Tolerance, VerifyParams
from pipeline.data import arrays as prepared
from pipeline.errors import IncompleteArtifact
from pipeline.verification import tolerances
from pipeline.verification.comparison import Batches

BATCHES = ("one", "seven", "many", "edge")
STEPS = ("training", "trained")
OURS = ("pipeline", "models")

Places = tuple[tuple[str, int, int], ...]
"""File, offset and bytes of each."""


@dataclass(frozen=True, kw_only=True)
class Answers:
    """What one process reported; whatever came before its error is there."""

    error: str | None
    """One line, or None if nothing went wrong."""
    at: str
    """What was being done when it ended, "done" at the end; see worker.py."""
    proofs: Mapping[str, str | None] = field(default_factory=dict)
    """Refused package -> the error on importing it; None if it could be imported."""
    outputs: Batches = field(default_factory=dict)
    again: Batches = field(default_factory=dict)
    reloaded: Batches = field(default_factory=dict)
    perturbed: Batches = field(default_factory=dict)
    test: np.ndarray | None = None
    """The scored output for every row of the test split."""
    weight: str | None = None
    """The one that was perturbed."""
    file: str | None = None
    places: Places = ()
    """Of each weight."""
    timing: Mapping[str, float] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the model itself answered everything; perturbing it is not its own doing."""
        return self.error is None or self.at.split(":")[0] in ("weights", "perturbed")

    @classmethod
    def read(cls, report: Path, answers: Path) -> "Answers":
        """What worker.py wrote."""
        found = json.loads(report.read_text())
        kinds: dict[str, Any] = {"outputs": {}, "again": {}, "reloaded": {}, "perturbed": {}}
        with np.load(answers) as arrays:
            for key in arrays:
                kind, *place = key.split("/", 2)
                if place:
                    kinds[kind].setdefault(place[0], {})[place[1]] = arrays[key]
                else:
                    kinds[kind] = arrays[key]
        found["places"] = tuple(tuple(place) for place in found.get("places", ()))
        return cls(**found, **kinds)


@dataclass(frozen=True, kw_only=True)
class Continued:
    """What one process reported that took the steps of the reference."""

    error: str | None
    at: str
    """What was being done when it ended, "done" at the end."""
    proofs: Mapping[str, str | None] = field(default_factory=dict)
    found: Batches = field(default_factory=dict)
    """Of the kinds that the reference has: `losses` by step, `state` by name, and the `answers` to
    the batch `seven`."""
    timing: Mapping[str, float] = field(default_factory=dict)
    places: Places = ()
    """Of the optimizer's state."""

    @classmethod
    def read(cls, report: Path, answers: Path) -> "Continued":
        """What worker.py wrote."""
        reported = json.loads(report.read_text())
        reported["places"] = tuple(tuple(place) for place in reported.get("places", ()))
        with np.load(answers) as arrays:
            found = by_kind({key: arrays[key] for key in arrays})
        return cls(**reported, found=found)


def by_kind(arrays: Mapping[str, np.ndarray]) -> Batches:
    """Arrays named <kind>/<name>."""
    found: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        found.setdefault(kind, {})[name] = array
    return found


@dataclass(frozen=True, kw_only=True)
class Evidence:
    complete_model: Path
    checkpoint: Path
    params: VerifyParams
    schema: Mapping[str, Any]
    """The checkpoint's; integrity sees to it that the complete model's is the same."""
    promises: Mapping[str, Mapping[str, Any]]
    """By format."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Format -> why it could not hold the model; it is not in the directory."""
    baseline: Batches
    steps: Mapping[str, np.ndarray]
    """That the source took on: `rows` of each, its `loss`, and whether it `ends_epoch`."""
    trained: Batches
    """What came of them, as in Continued."""
    target: np.ndarray
    """Of the test split."""
    clean: Mapping[str, Answers] = field(default_factory=dict)
    """By format, where every package of the model's source is refused."""
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """The same, but for formats that do not promise to be code-free with the source at hand."""
    continued: Mapping[str, Continued] = field(default_factory=dict)
    """By format that promises to be trainable."""

    @property
    def sources(self) -> list[str]:
        """Top-level packages that a code-free format must do without."""
        return sorted({*OURS, *self.schema["sources"]})

    @property
    def trainable(self) -> list[str]:
        return [name for name, promises in self.promises.items() if promises["trainable"]]

    def answered(self) -> Iterator[tuple[str, Answers, Tolerance]]:
        """The formats that there is something to judge of; for the others self_contained speaks."""
        for name, answers in self.answers.items():
            if answers.complete:
                yield name, answers, tolerances.of_answers(self.params.verify, name)


@dataclass(frozen=True, kw_only=True)
class Result:
    faults: list[tuple[str | None, str]] = field(default_factory=list)
    """Format, or None for the whole artifact, and one line."""
    measured: dict[str, Any] = field(default_factory=dict)
    """By format, and whatever else belongs to the whole artifact."""


def gather(
    complete_model: Path,
    checkpoint: Path,
    data: Path,
    params: VerifyParams,
    promises: Mapping[str, Mapping[str, Any]],
) -> Evidence:
    """Everything but the answers. Raises IncompleteArtifact."""
    paths = {batch: checkpoint / "reference" / f"{batch}.npz" for batch in BATCHES}
    for path in (*paths.values(), *(checkpoint / "reference" / f"{each}.npz" for each in STEPS)):
        if not path.is_file():
            raise IncompleteArtifact(f"{path}: missing; run `dvc repro --force checkpoint`")
    _, target = prepared.split(data, "test")
    steps, trained = _steps(checkpoint / "reference")
    return Evidence(
        complete_model=complete_model,
        checkpoint=checkpoint,
        params=params,
        schema=prepared.schema(checkpoint),
        promises=promises,
        baseline={batch: _outputs(path) for batch, path in paths.items()},
        steps=steps,
        trained=trained,
        target=target,
    )


def not_loaded(evidence: Evidence, reason: str) -> Evidence:
    """As if each format had answered with `reason` alone."""
    silent = {name: Answers(error=reason, at="integrity") for name in evidence.promises}
    still = {name: Continued(error=reason, at="integrity") for name in evidence.trainable}
    return dataclasses.replace(evidence, clean=silent, answers=silent, continued=still)


def _steps(reference: Path) -> tuple[dict[str, np.ndarray], Batches]:
    with np.load(reference / "training.npz") as arrays:
        steps = {"loss": arrays["loss"], "ends_epoch": arrays["ends_epoch"]}
        steps["rows"] = np.bincount(arrays["step"])
    with np.load(reference / "trained.npz") as arrays:
        trained = by_kind({key: arrays[key] for key in arrays})
    losses = {str(number): loss for number, loss in enumerate(steps["loss"])}
    return steps, {**trained, "losses": losses}


def _outputs(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {k.removeprefix("output."): arrays[k] for k in arrays if k.startswith("output.")}
