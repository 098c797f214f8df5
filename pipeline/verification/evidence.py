"""What the checks judge: the artifact, the trained model's record, and each format's answers."""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import provenance
from pipeline.complete_model.running import Ran
from pipeline.config.params import Tolerance, VerifyParams
from pipeline.data import arrays as prepared
from pipeline.data import sizes
from pipeline.errors import IncompleteArtifact
from pipeline.sandbox.reports import Answers, Batches, Ids, Training, by_kind
from pipeline.verification import influence, questions, tolerances
from pipeline.verification.influence import Influence
from pipeline.verification.questions import Questions

BATCHES = ("one", "seven", "many", "edge")
WIDE = ("wide",)
TEXTS = "tokenized.json"
STEPS = ("training", "trained")
STATE = "state"
OURS = ("pipeline", "models")


@dataclass(frozen=True)
class Stored(Mapping[str, np.ndarray]):
    """Arrays of an .npz, each read whenever it is asked for."""

    path: Path
    prefix: str
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> np.ndarray:
        with np.load(self.path) as arrays:
            array: np.ndarray = arrays[f"{self.prefix}{name}"]
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Holds what is judged, all of it read once but for the state that steps led to."""

    complete_model: Path
    checkpoint: Path
    params: VerifyParams
    digests: Mapping[str, str | None]
    """Of `complete_model` and `checkpoint`; None where there is no statement."""
    files: Mapping[str, int]
    """File of the complete model -> its bytes."""
    model: str
    """The name of the checkpoint's model."""
    metrics: Mapping[str, float]
    """The checkpoint's."""
    schema: Mapping[str, Any]
    """The checkpoint's; integrity sees to it that the complete model's is the same."""
    promises: Mapping[str, Mapping[str, Any]]
    """Format -> what it promises."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Format -> why it could not hold the model; it is not in the directory."""
    runtimes: tuple[str, ...] = ()
    """Those whose programs the complete model carries."""
    required: tuple[str, ...] = ()
    """Those of them that must be run here."""
    baseline: Batches
    wide: Batches = field(default_factory=dict)
    """The trained model's answers to far rows, where it answers those of `many` alike."""
    influence: Influence | None = None
    """None of a checkpoint that is older than the record."""
    questions: Questions | None = None
    """None likewise."""
    texts: Mapping[str, Any] = field(default_factory=dict)
    """Input that a tokenizer makes -> its file, texts, and the ids that the model learnt from."""
    ids: Ids | None = None
    """What the complete model's tokenizers make of the texts without the source."""
    notes: tuple[str, ...] = ()
    """What `checkpoint` noticed of the trained model, for people; and of the processor."""
    exact: bool = True
    """A processor like this one made the reference, so that equal bits can be asked for."""
    steps: Mapping[str, np.ndarray]
    """The steps that the source took on: `rows` of each, its `loss`, whether it `ends_epoch`; none
    of a program that was made elsewhere."""
    trained: Batches
    """What came of them, by the kinds that Training.results has."""
    state_digests: Mapping[str, str] = field(default_factory=dict)
    """Of the tensors of the state whose values were not recorded; see reference/trained.py."""
    test_rows: int
    """Of the test split."""
    without_source: Mapping[str, Answers] = field(default_factory=dict)
    """Format -> its answers where every package of the model's source is refused."""
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """The same, but for formats that do not promise to be code-free with the source at hand."""
    ran: Mapping[str, Ran] = field(default_factory=dict)
    """Runtime -> what came of its program; empty if integrity let none be run."""
    speeds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Format -> the same of it as `timing` has of a program, where any was run."""
    trainings: Mapping[str, Training] = field(default_factory=dict)
    """Format that promises to be trainable -> what it came to without the source."""

    @property
    def sources(self) -> list[str]:
        """Returns the top-level packages that a code-free format must do without."""
        return sorted({*OURS, *self.schema["sources"]})

    @property
    def trainable(self) -> list[str]:
        return [name for name, promises in self.promises.items() if promises["trainable"]]

    def answered(self) -> Iterator[tuple[str, Answers, Tolerance]]:
        """Yields the formats that there is something to judge of; for the others self_contained
        speaks."""
        for name, answers in self.answers.items():
            if answers.complete:
                yield name, answers, self.tolerance(name)

    def tolerance(self, name: str) -> Tolerance:
        """Returns how far the answers of a format may be off."""
        return tolerances.of_answers(self.params.verify, name, self.exact, self.schema)

    def training_tolerance(self, name: str) -> Tolerance:
        """Returns the same of what it comes to that is trained on."""
        return tolerances.of_training(self.params.verify, name, self.exact)


def read_evidence(
    complete_model: Path,
    checkpoint: Path,
    data: Path,
    params: VerifyParams,
    promises: Mapping[str, Mapping[str, Any]],
) -> Evidence:
    """Reads everything but the answers. Raises IncompleteArtifact."""
    schema = prepared.schema(checkpoint)
    batches = (*BATCHES, *sizes.of_batches(schema))
    paths = {batch: checkpoint / "reference" / f"{batch}.npz" for batch in batches}
    trains = "seed" in schema or any(each["trainable"] for each in promises.values())
    more = [checkpoint / "reference" / f"{each}.npz" for each in STEPS if trains]
    for path in (*paths.values(), *more):
        if not path.is_file():
            raise IncompleteArtifact(f"{path}: missing; run `dvc repro --force checkpoint`")
    wide = {batch: checkpoint / "reference" / f"{batch}.npz" for batch in WIDE}
    inputs, _ = prepared.split(data, "test")
    steps, trained, digests = _steps(checkpoint / "reference") if trains else ({}, {}, {})
    other = _other_processor(checkpoint)
    of_files = {n: (complete_model / n).stat().st_size for n in provenance.files(complete_model)}
    return Evidence(
        complete_model=complete_model,
        checkpoint=checkpoint,
        params=params,
        digests={"complete_model": _digest(complete_model), "checkpoint": _digest(checkpoint)},
        files=of_files,
        model=provenance.params(checkpoint)["model"]["name"],
        metrics=json.loads((checkpoint / "metrics.json").read_text()),
        schema=schema,
        promises=promises,
        baseline={batch: _outputs(path) for batch, path in paths.items()},
        wide={batch: _outputs(path) for batch, path in wide.items() if path.is_file()},
        influence=influence.read(checkpoint / "reference"),
        questions=questions.read(checkpoint / "reference"),
        texts=_texts(checkpoint / "reference" / TEXTS),
        notes=(*_notes(checkpoint / "reference" / "notes.json"), *filter(None, [other])),
        exact=other is None,
        steps=steps,
        trained=trained,
        state_digests=digests,
        test_rows=prepared.count(inputs),
    )


def _digest(directory: Path) -> str | None:
    statement = directory / provenance.NAME
    return provenance.digest(statement) if statement.is_file() else None


def _other_processor(directory: Path) -> str | None:
    if not (directory / provenance.NAME).is_file():  # integrity says so
        return None
    return tolerances.other_processor(provenance.read(directory))


def _texts(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return content


def _notes(path: Path) -> tuple[str, ...]:
    return tuple(map(str, json.loads(path.read_text()))) if path.is_file() else ()


def not_loaded(evidence: Evidence, reason: str) -> Evidence:
    """Returns the evidence as if each format had answered with `reason` alone."""
    silent = {name: Answers(error=reason, at="integrity") for name in evidence.promises}
    ids = Ids(error=reason, at="integrity") if evidence.texts else None
    idle = {name: Training(error=reason, at="integrity") for name in evidence.trainable}
    return dataclasses.replace(
        evidence, without_source=silent, answers=silent, trainings=idle, ids=ids
    )


def _steps(reference: Path) -> tuple[dict[str, np.ndarray], Batches, dict[str, str]]:
    with np.load(reference / "training.npz") as arrays:
        steps = {"loss": arrays["loss"], "ends_epoch": arrays["ends_epoch"]}
        steps["rows"] = np.bincount(arrays["step"])
    path = reference / "trained.npz"
    with np.load(path) as arrays:
        others = by_kind({key: arrays[key] for key in arrays if not key.startswith(f"{STATE}/")})
        names = tuple(k.removeprefix(f"{STATE}/") for k in arrays if k.startswith(f"{STATE}/"))
    digests = {name: str(text) for name, text in others.pop("digest", {}).items()}
    trained = {**others, STATE: Stored(path, f"{STATE}/", names)}
    losses = {str(number): loss for number, loss in enumerate(steps["loss"])}
    return steps, {**trained, "losses": losses}, digests


def _outputs(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as arrays:
        return {k.removeprefix("output."): arrays[k] for k in arrays if k.startswith("output.")}
