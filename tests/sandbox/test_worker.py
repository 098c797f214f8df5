"""The script alone, with formats of a few lines: no framework is loaded."""

import dataclasses
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.sandbox.reports import Answers, Training
from pipeline.sandbox.supervisor import WORKER, environment, new_job
from pipeline.sandbox.worker.job import Job
from pipeline.sandbox.worker.report import digest_of
from testing import formats

PLAIN = """
import numpy as np
FILE = "weights.npy"
def load(directory):
    weights = np.fromfile(directory / FILE, np.float32)
    return lambda inputs: {"y": inputs["x"] * weights}
def weights(directory):
    return {"small": (FILE, 0, 4, "float32"), "large": (FILE, 4, 8, "float32")}
"""


@dataclass(frozen=True)
class Bench:
    """A job without confinement, in a directory of its own."""

    root: Path
    job: Job

    def run(self, text: str, **changes: Any) -> Answers:
        """Returns the answers of a format whose parts hold `text`."""
        return Answers.read(*self.report(text, **changes))

    def report(self, text: str, **changes: Any) -> tuple[Path, Path]:
        job = dataclasses.replace(self.job, **changes)
        formats.write(self.root / "work/alone/formats", "plain", text, "weights.npy")
        (self.root / "job.json").write_text(json.dumps(dataclasses.asdict(job)))
        command = [sys.executable, "-I", self.root / "work/alone", self.root / "job.json"]
        done = subprocess.run(
            [*map(str, command)],
            cwd=self.root / "work/empty",
            env=environment(1, self.root),
            capture_output=True,
        )
        if not Path(job.report).is_file():
            pytest.fail(f"no report: {done.stderr.decode()}")
        return Path(job.report), Path(job.answers)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    for folder in ("model", "repository"):
        (tmp_path / folder).mkdir()
    (tmp_path / "repository" / "blueprint.py").write_text("SCALE = 2\n")
    np.array([1, 2, 0], np.float32).tofile(tmp_path / "model" / "weights.npy")
    for name, rows in {"one": 1, "seven": 7}.items():
        np.savez(tmp_path / f"{name}.npz", **{"input.x": np.ones((rows, 3), np.float32)})
    np.save(tmp_path / "x.npy", np.arange(30, dtype=np.float32).reshape(10, 3))
    job = new_job(
        tmp_path / "work",
        "answer",
        "plain",
        complete_model=tmp_path / "model",
        batches={name: tmp_path / f"{name}.npz" for name in ("one", "seven")},
        training=tmp_path / "training.npz",
        threads=1,
        refused=["pipeline", "models"],
        copy=str(tmp_path / "copy"),
        test={"x": str(tmp_path / "x.npy")},
        scored=["y"],
        test_answers=str(tmp_path / "test.npy"),
        rows=4,
    )
    return Bench(tmp_path, dataclasses.replace(job, repository=str(tmp_path / "repository")))


def test_it_answers_every_batch_twice_and_once_more_after_a_second_load(bench: Bench) -> None:
    found = bench.run(PLAIN)
    assert (found.error, found.at) == (None, "done")
    for batches in (found.outputs, found.again, found.reloaded):
        assert {name: arrays["y"].shape for name, arrays in batches.items()} == {
            "one": (1, 3),
            "seven": (7, 3),
        }
        assert batches["one"]["y"].tolist() == [[1, 2, 0]]


def test_the_test_split_is_answered_in_batches_and_whole(bench: Bench) -> None:
    found = bench.run(PLAIN)
    assert (found.error, found.at) == (None, "done")
    with (bench.root / "test.npy").open("rb") as file:
        parts = [np.lib.format.read_array(file) for _ in range(3)]
        assert file.read() == b""
    assert list(map(len, parts)) == [4, 4, 2]
    expected = np.arange(30).reshape(10, 3) * [1, 2, 0]
    assert np.concatenate(parts).tolist() == expected.tolist()


def test_the_largest_weight_is_perturbed_in_a_copy_and_zeros_too(bench: Bench) -> None:
    found = bench.run(PLAIN)
    assert found.weight == "large"
    moved = found.perturbed["one"]["y"]
    np.testing.assert_allclose(moved, [[1, 2.02, 1e-3]], rtol=1e-6)
    assert np.fromfile(bench.root / "model/weights.npy", np.float32).tolist() == [1, 2, 0]


def test_a_weight_that_numpy_has_no_float_for_gets_its_last_bit_flipped(bench: Bench) -> None:
    found = bench.run(PLAIN.replace('"float32")}', '"uint16")}').replace('"float32")', '"uint8")'))
    assert found.weight == "large"
    assert not np.array_equal(found.perturbed["one"]["y"], found.outputs["one"]["y"])


def test_time_memory_and_places_are_told(bench: Bench) -> None:
    found = bench.run(PLAIN)
    assert set(found.timing) >= {"first_load_seconds", "load_seconds", "first_call_seconds"}
    assert 10 < found.timing["peak_mib"] < 400
    assert found.places == (("weights.npy", 0, 4), ("weights.npy", 4, 8))


def test_refused_packages_are_proved_so(bench: Bench) -> None:
    assert bench.run(PLAIN).proofs == {
        name: f"ModuleNotFoundError: {name} is refused: the model's source"
        for name in ("pipeline", "models")
    }


def test_even_an_installed_package_can_be_refused(bench: Bench) -> None:
    found = bench.run(f"import wave\n{PLAIN}", refused=["wave"])
    assert found.at == "import"
    assert found.error == "ModuleNotFoundError: wave is refused: the model's source"


def test_a_part_of_a_refused_package_is_refused_with_it(bench: Bench) -> None:
    found = bench.run(f"import models.torch_mlp\n{PLAIN}")
    assert found.error == "ModuleNotFoundError: models is refused: the model's source"


def test_a_model_that_imports_its_source_at_load_ends_in_one_line(bench: Bench) -> None:
    text = PLAIN.replace("    weights =", "    import models\n    weights =", 1)
    found = bench.run(text)
    assert (found.at, found.outputs) == ("first_load", {})
    assert found.error == "ModuleNotFoundError: models is refused: the model's source"


def test_a_format_that_lifts_the_refusal_is_caught(bench: Bench) -> None:
    text = f"import sys\nsys.meta_path.pop(0)\n{PLAIN}"
    found = bench.run(text, refused=["wave", "models"])
    assert found.error is None
    assert found.proofs["wave"] is None
    assert found.proofs["models"] == "ModuleNotFoundError: No module named 'models'"


def test_nothing_lies_beside_the_format_and_the_repository_is_off_the_path(bench: Bench) -> None:
    text = PLAIN.replace(
        "    weights =",
        "    import os, sys\n"
        "    assert os.listdir() == [], os.listdir()\n"
        f"    assert {str(bench.root / 'repository')!r} not in sys.path\n"
        f"    assert {str(WORKER.parent)!r} not in sys.path\n"
        "    assert '' not in sys.path and os.getcwd() not in sys.path\n"
        "    weights =",
        1,
    )
    assert bench.run(text).error is None


def test_with_the_source_modules_come_from_where_it_lies(bench: Bench) -> None:
    text = f"import blueprint\n{PLAIN}"
    assert bench.run(text).error == "ModuleNotFoundError: No module named 'blueprint'"
    found = bench.run(text, refused=[], source=str(bench.root / "repository"))
    assert (found.error, found.proofs) == (None, {})


def test_what_was_answered_before_an_error_is_kept(bench: Bench) -> None:
    text = PLAIN.replace('{"y": inputs', '{"y": 1 / (7 - len(inputs["x"])) * inputs')
    found = bench.run(text)
    assert (found.at, found.complete) == ("outputs: seven", False)
    assert found.error == "ZeroDivisionError: division by zero"
    assert list(found.outputs) == ["one"]


def test_a_format_whose_weights_are_nowhere_has_still_answered(bench: Bench) -> None:
    found = bench.run(PLAIN.replace('{"small"', '{} and {"small"'))
    assert (found.at, found.complete) == ("weights", True)
    assert found.error == "ValueError: weights() names none, so nothing can be perturbed"


def test_answers_that_are_python_objects_are_refused(bench: Bench) -> None:
    found = bench.run(PLAIN.replace('inputs["x"] * weights}', "[object()]}"))
    assert found.error == "TypeError: output y: found Python objects, expected an array"


TRAINS = (
    PLAIN
    + """
class Trainer:
    def __init__(self, directory):
        self.weights, self.rate = np.fromfile(directory / FILE, np.float32), 0.5
    def step(self, inputs, targets):
        off = (inputs["x"] @ self.weights) - targets["sum"]
        self.weights = self.weights - self.rate * (off @ inputs["x"]).astype(np.float32)
        return (off**2).mean()
    def end_epoch(self, val_loss):
        self.rate = 0.0
    def predict(self, inputs):
        return {"y": inputs["x"] * self.weights}
    def state(self):
        return {"net/weights": self.weights}
    def views(self):
        return self.state().items()
load_training = Trainer
def optimizer_state(directory):
    return {"rate": (FILE, 8, 4, "float32")}
"""
)


@pytest.fixture
def gym(bench: Bench) -> Bench:
    """Three steps of one, two and one row; after the second the rate falls to zero."""
    steps = {"step": np.array([0, 1, 1, 2]), "target.sum": np.float32([3, 0, 0, 0])}
    steps |= {"input.x": np.eye(4, 3, dtype=np.float32), "ends_epoch": np.bool_([0, 1, 0])}
    np.savez(bench.root / "training.npz", **steps)
    return Bench(bench.root, dataclasses.replace(bench.job, task="train"))


def went_on(gym: Bench, text: str) -> Training:
    return Training.read(*gym.report(text))


def test_it_takes_the_steps_and_tells_losses_state_and_answers(gym: Bench) -> None:
    found = went_on(gym, TRAINS)
    assert (found.error, found.at) == (None, "done")
    assert {name: float(loss) for name, loss in found.results["losses"].items()} == {
        "0": 4.0,
        "1": 2.0,
        "2": 0.0,
    }
    assert found.results["state"]["net/weights"].tolist() == [2, 1, 0]
    assert found.results["answers"]["y"].tolist() == [[2, 1, 0]] * 7
    assert found.places == (("weights.npy", 8, 4),)
    assert all("is refused" in str(proof) for proof in found.proofs.values())
    assert set(found.timing) == {"first_load_seconds", "steps_seconds", "peak_mib"}


def test_a_state_is_told_by_its_digests(gym: Bench) -> None:
    found = went_on(Bench(gym.root, dataclasses.replace(gym.job, digests=True)), TRAINS)
    assert (found.error, sorted(found.results)) == (None, ["answers", "losses"])
    assert found.digests == {"net/weights": digest_of(np.float32([2, 1, 0]))}


@pytest.mark.parametrize(
    "other", [np.float32([2, 1, -0.0]), np.float64([2, 1, 0]), np.float32([[2, 1, 0]])]
)
def test_a_digest_is_of_dtype_shape_and_bits(other: np.ndarray) -> None:
    assert digest_of(other) != digest_of(np.float32([2, 1, 0]))
    assert digest_of(np.repeat(other, 2, axis=0)[::2]) == digest_of(other)


def test_a_step_that_fails_is_told_with_its_number(gym: Bench) -> None:
    text = TRAINS.replace("return (off**2)", "assert len(off) == 1\n        return (off**2)")
    found = went_on(gym, text)
    assert (found.at, found.error) == ("step 1", "AssertionError: ")
    assert list(found.results["losses"]) == ["0"]
