"""What a framework's tests do with a small training: steps of it, and the same steps of what was
exported of it, without its source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frameworks.contract import Accumulation

Arrays = Mapping[str, np.ndarray]
STEPS = [np.arange(0, 16), np.arange(16, 23), np.arange(23, 39), np.arange(39, 46)]
"""The rows of each step; an epoch ends after the second."""
SEED = 7


def small_table() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns inputs and labels of 64 rows."""
    random = np.random.default_rng(0)
    rows = {"x": random.normal(size=(64, 4)).astype(np.float32)}
    return rows, {"label": random.integers(0, 3, 64)}


def in_bytes(state: Arrays) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in state.items()}


@dataclass(frozen=True)
class Stepping:
    """A framework, the format that trains on what it built, and the rows that both see."""

    framework: Any
    form: Any
    rows: Arrays
    labels: Arrays
    output: str
    are_alike: Callable[[np.ndarray, np.ndarray], bool]
    """Whether the program's answers and the framework's are as near as the format promises."""

    def stepped(self, training: Any, steps: Sequence[np.ndarray] = STEPS) -> list[float]:
        """Takes the steps; an epoch ends after the second."""
        losses = []
        for number, rows in enumerate(steps):
            losses.append(float(self.framework.step(training, self.rows, self.labels, rows)))
            if number == 1:
                self.framework.end_epoch(training, 0.5)
        return losses

    def exported(self, training: Any, directory: Path) -> Any:
        """Returns the trainer of what is exported of it."""
        few = {"x": self.rows["x"][:7]}
        model = self.framework.predictor(training, few)
        labels = {"label": self.labels["label"][:7]}
        self.form.export(model, few, [self.output], directory, training, labels, SEED)
        return self.form.load_training(directory)

    def differing(self, training: Any, trainer: Any) -> list[str]:
        """Returns what another training without the source comes to otherwise: losses, states and
        answers, after an epoch's end too."""
        self.framework.seed(SEED, training)
        trainer.seed(SEED)
        ours, theirs = self.stepped(training), []
        self.framework.seed(SEED)
        for number, rows in enumerate(STEPS):
            batch = {"x": self.rows["x"][rows]}, {"label": self.labels["label"][rows]}
            theirs.append(float(trainer.step(*batch)))
            if number == 1:
                trainer.end_epoch(0.5)
        mine, other = in_bytes(self.framework.state(training)), in_bytes(trainer.state())
        wrong = [] if ours == theirs else [f"losses {ours} {theirs}"]
        wrong += sorted(k for k in {*mine, *other} if mine.get(k) != other.get(k))
        answers, _ = self.framework.evaluate(training, self.rows, self.labels)
        if not self.are_alike(trainer.predict(self.rows)[self.output], answers[self.output]):
            wrong.append("answers")
        return wrong

    def demand_trains_on(
        self, training: Any, folder: Path, look: Callable[[Any], None] = lambda trainer: None
    ) -> None:
        """Fails unless it trains on without its source, bit for bit, and once more from what that
        saves; neither exporting it nor to `look` at the trainer may change it."""
        self.stepped(training)
        before = in_bytes(self.framework.state(training))
        trainer = self.exported(training, folder)
        look(trainer)
        assert in_bytes(self.framework.state(training)) == before == in_bytes(trainer.state())
        assert self.differing(training, trainer) == []
        (folder / "again").mkdir()
        trainer.save(folder / "again")
        assert self.differing(training, self.form.load_training(folder / "again")) == []

    def demand_goes_on(self, first: Any, second: Any, folder: Path) -> None:
        """Fails unless a training that is loaded goes on as the one that was saved."""
        saved, end = (folder / f"{name}{self.framework.SUFFIX}" for name in ("first", "end"))
        self.stepped(first)
        self.framework.save(first, saved)
        self.framework.load(second, saved)
        ends = []
        for each in (first, second):
            self.framework.seed(SEED, each)
            losses = self.stepped(each)
            self.framework.save(each, end)
            ends.append((losses, end.read_bytes()))
        assert ends[0] == ends[1]

    def demand_same_snapshot(self, training: Any, folder: Path) -> None:
        """Fails unless a snapshot is what is saved, and stays that while training goes on."""
        saved, written = (folder / f"{name}{self.framework.SUFFIX}" for name in ("one", "other"))
        self.stepped(training)
        self.framework.save(training, saved)
        write = self.framework.snapshot(training)
        self.stepped(training)
        write(written)
        assert written.read_bytes() == saved.read_bytes()

    def demand_batches_add_up(self, moved: Callable[[Any], tuple[float, np.ndarray]]) -> None:
        """Fails unless a gradient in batches is that of all rows; `moved` takes one step with such
        an accumulation, and returns the loss and a weight."""
        whole, parts = moved(Accumulation()), moved(Accumulation(4, 1))
        np.testing.assert_allclose(parts[0], whole[0], rtol=1e-6)
        np.testing.assert_allclose(parts[1], whole[1], rtol=1e-5, atol=1e-7)

    def still_and_moved(self, training: Any) -> tuple[set[str], set[str]]:
        """Returns the weights that stay as they are in steps, and those that do not."""
        before = in_bytes(self.framework.state(training))
        self.stepped(training)
        after = in_bytes(self.framework.state(training))
        names = {name for name in before if name.startswith("net/") and "seed" not in name}
        still = {name.removeprefix("net/") for name in names if before[name] == after[name]}
        return still, {name.removeprefix("net/") for name in names} - still
