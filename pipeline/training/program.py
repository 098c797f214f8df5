"""A program that was made elsewhere in the place of a framework: it answers, and does no more.

It is a frameworks.contract.TrainingModule without steps. What its functions do is the format's
`load`, and what `adopt` wrote is what the stages hand on.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import formats, frameworks
from pipeline.config.params import Train
from pipeline.errors import ModelError
from pipeline.files import temporary_folder
from pipeline.formats.contract import Place
from pipeline.formats.dimensions import Dimensions
from pipeline.training import as_one

Arrays = Mapping[str, np.ndarray]
TASK = "adopt"
NO_STEPS = "a program that was made elsewhere takes no steps; expected train.epochs=0"


@dataclass
class Training:
    """The program, once it is loaded."""

    schema: Mapping[str, Any]
    """Of the data."""
    directory: "tempfile.TemporaryDirectory[str] | None" = None
    """Holds the format's files, which have been screened."""
    predict: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None

    changed: dict[str, np.ndarray] = field(default_factory=dict)
    """Weights that were set, which the files have otherwise."""

    @property
    def path(self) -> Path:
        assert self.directory is not None, "the program is not loaded"
        return Path(self.directory.name)


@dataclass(frozen=True)
class ProgramModule:
    """What the stages ask of a program, by the format that holds it."""

    form: str
    SUFFIX = as_one.SUFFIX
    TRAINS = False

    @property
    def FAULTS(self) -> tuple[type[Exception], ...]:  # noqa: N802
        """Returns what the program raises on rows that it does not take."""
        return formats.loader(self.form).refusals()

    def build(self, train: Train, schema: Mapping[str, Any]) -> Training:
        """Returns a training that is empty until `adopt` or `load`, in a process that is set up."""
        if base := framework_of(self.form):
            frameworks.framework(base).configure(train.threads)
        return Training(schema)

    def adopt(
        self,
        training: Training,
        source: Path,
        inputs: Mapping[str, str],
        outputs: Mapping[str, str],
        threads: int,
    ) -> None:
        """Brings the program at `source` into the format's form, in a confined process, and loads
        it. Raises ModelError for one that the format cannot hold."""
        directory = tempfile.TemporaryDirectory(prefix="program-")
        ports = {"inputs": dict(inputs), "outputs": dict(outputs)}
        _adopt_confined(self.form, source, Path(directory.name), ports, threads)
        self._load(training, directory)

    def _load(self, training: Training, directory: "tempfile.TemporaryDirectory[str]") -> None:
        """Screens the files, as `examine` does, before anything loads them."""
        loader = formats.loader(self.form)
        try:
            formats.screen(self.form).screen(Path(directory.name))
            training.predict = loader.load(Path(directory.name))
        except ValueError as fault:
            text = str(fault).replace(f"{directory.name}/", "")
            raise ModelError(f"the program cannot be loaded: {text}") from None
        training.directory = directory

    def seed(self, value: int, training: Training, /) -> None:
        """Does nothing: a program draws no random numbers, or answers otherwise the second time."""

    def adapt(self, training: Training, inputs: Arrays) -> None:
        """Does nothing: preprocessing is the program's."""

    def step(self, training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> Any:
        """Raises ModelError."""
        raise ModelError(NO_STEPS)

    def end_epoch(self, training: Training, val_loss: float = float("nan")) -> None:
        """Raises ModelError."""
        raise ModelError(NO_STEPS)

    def evaluate(
        self, training: Training, inputs: Arrays, targets: Arrays | None
    ) -> tuple[dict[str, np.ndarray], float]:
        """Returns the outputs by name, and NaN: it has no loss."""
        assert training.predict is not None, "the program is not loaded"
        return training.predict({k: np.array(v) for k, v in inputs.items()}), float("nan")

    def state(self, training: Training) -> dict[str, np.ndarray]:
        """Returns the weights by name, net/<name>, without their shapes, as they lie in the files;
        what numpy lacks as unsigned integers."""
        places = formats.loader(self.form).weights(training.path)
        held = {name: place for name, place in places.items() if place[2]}
        own = {name: _values(training.path, place) for name, place in held.items()}
        return {f"net/{name}": each for name, each in (own | training.changed).items()}

    def views(self, training: Training) -> Iterable[tuple[str, np.ndarray]]:
        """Yields the same."""
        return self.state(training).items()

    def set_weights(self, training: Training, weights: Arrays) -> None:
        """Loads the program with those that are named in the place of its own."""
        training.changed |= {k.removeprefix("net/"): np.array(v) for k, v in weights.items()}
        training.predict = None
        load = formats.adopter(self.form).load_with
        training.predict = load(training.path, training.changed)

    def save(self, training: Training, path: Path) -> None:
        """Writes the format's files as one."""
        as_one.pack(training.path, path)

    def snapshot(self, training: Training) -> Callable[[Path], None]:
        """Returns what writes the format's files: no step changes them."""
        return lambda path: self.save(training, path)

    def load(self, training: Training, path: Path) -> None:
        """Reads what `save` wrote, and screens it again."""
        directory = tempfile.TemporaryDirectory(prefix="program-")
        as_one.unpack(path, Path(directory.name))
        self._load(training, directory)

    def sources(self, training: Training) -> list[str]:
        """Returns none: nothing of ours is in it."""
        return []

    def randomness(self, training: Training, /) -> dict[str, np.ndarray]:
        """Returns none: there is nothing to go on with."""
        return {}

    def set_randomness(self, training: Training, states: Arrays, /) -> None:
        """Does nothing."""

    def export(
        self,
        training: Training,
        form: str,
        inputs: dict[str, np.ndarray],
        outputs: list[str],
        directory: Path,
        dimensions: Dimensions,
    ) -> None:
        """Writes the program itself, or what another format makes of it. Raises ValueError where
        that takes a source."""
        if form == self.form:
            _copy(training.path, directory)
            return
        predictor = formats.adopter(self.form).predictor(training.path)
        if predictor is None or not formats.declared(form).promises.code_free:
            raise ValueError("is made from the model's source, which a program does not hold")
        formats.exporter(form).export(predictor, inputs, outputs, directory, dimensions)


def framework_of(form: str) -> str | None:
    """Returns the framework that runs a format's programs; None where that is none of ours."""
    takes = formats.declared(form).frameworks
    return takes[0] if len(takes) == 1 else None


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _values(directory: Path, place: Place) -> np.ndarray:
    file, offset, size, dtype = place
    kind = np.dtype(dtype)
    return np.fromfile(directory / file, kind, size // kind.itemsize, offset=offset)


def _adopt_confined(
    form: str, source: Path, directory: Path, ports: Mapping[str, Mapping[str, str]], threads: int
) -> None:
    """Fills the directory with what the format's `adopt` makes of the program, in a process that
    can read nothing else. Raises ModelError."""
    from pipeline.examine import settings
    from pipeline.sandbox import supervisor
    from pipeline.sandbox.reports import Ids, read

    with temporary_folder() as scratch:
        work_dir, limits = scratch / TASK, settings().limits
        job = supervisor.new_job(
            work_dir,
            "adopt",
            form,
            complete_model=source,
            batches={},
            training=source,
            threads=threads,
            refused=["pipeline", "models"],
            copy=str(work_dir / "adopted"),
            ports=ports,
        )
        readable = supervisor.with_link_targets(source)
        report = read(Ids, job, supervisor.run(job, work_dir, readable, limits), limits)
        if report.error is not None or report.at != "done":
            text = (report.error or "it did not finish").removeprefix("ValueError: ")
            raise ModelError(f"{source}: {text}")
        _copy(work_dir / "adopted", directory)
