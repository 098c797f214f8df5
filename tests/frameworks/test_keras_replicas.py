"""Replicas take the steps that one net would, and what they cannot take alike is refused."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testing.project import ROOT
from testing.replicated import CASES, LIKE_ONE, OF_THREE, REFUSED, RESUMED, ROWS, STEPS
from testing.shared import shared

ROUNDING = {"rtol": 1e-3, "atol": 2e-5}
"""Of what replicas come to, against one."""
NARROW = {"rtol": 0.05, "atol": 2e-3}
"""Of arithmetic that has 8 or 11 bits."""


@pytest.fixture(scope="module")
def replicated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What replicas have left; they need devices that only a process of its own has."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "testing.replicated", str(folder)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return shared(tmp_path_factory, "replicated", make)


@pytest.fixture(scope="module")
def said(replicated: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((replicated / "said.json").read_text())
    return content


def state(folder: Path, name: str, replicas: int) -> dict[str, np.ndarray]:
    return dict(np.load(folder / f"{name}-{replicas}.npz"))


@pytest.mark.parametrize(
    ("name", "replicas"),
    [(name, n) for name in LIKE_ONE for n in (2, 3) if n == 2 or name in OF_THREE],
)
def test_replicas_come_to_what_one_does(
    replicated: Path, said: dict[str, Any], name: str, replicas: int
) -> None:
    """Also in a step with fewer rows than replicas."""
    within = NARROW if name.endswith("float16") else ROUNDING
    losses, expected = (said[f"{name}-{n}"]["losses"] for n in (replicas, 1))
    np.testing.assert_allclose(losses, expected, rtol=within["rtol"] / 10)
    reached, alone = state(replicated, name, replicas), state(replicated, name, 1)
    assert reached.keys() == alone.keys()
    for key, array in alone.items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(reached[key], array, err_msg=key, **within)
        else:
            np.testing.assert_array_equal(reached[key], array, key)


@pytest.mark.parametrize("name", RESUMED)
def test_what_goes_on_half_way_comes_to_the_same_bytes(replicated: Path, name: str) -> None:
    whole, again = (replicated / f"{name}-2{end}.npz" for end in ("", ".again"))
    assert whole.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("replicas", [2, 3])
def test_a_batch_norm_learns_the_mean_over_the_replicas_of_their_rows(
    replicated: Path, replicas: int
) -> None:
    """In each step it forgets a half; a replica without rows counts nothing."""
    mean, variance = np.zeros(4), np.ones(4)
    for rows in STEPS:
        parts = [ROWS["x"][each] for each in np.array_split(rows, replicas) if len(each)]
        shares = [len(each) / len(rows) for each in parts]
        mean = (mean + np.average([p.mean(0) for p in parts], 0, shares)) / 2
        variance = (variance + np.average([p.var(0) for p in parts], 0, shares)) / 2
    reached = state(replicated, "learning", replicas)
    np.testing.assert_allclose(reached["net/norm/moving_mean"], mean, 1e-5, 1e-6)
    np.testing.assert_allclose(reached["net/norm/moving_variance"], variance, 1e-5, 1e-6)


def test_replicas_drop_apart(said: dict[str, Any]) -> None:
    """Of 64 weights, half by one pattern, and three quarters by two."""
    assert 40 < said["moved"] < 56


@pytest.mark.parametrize("name", REFUSED)
def test_what_replicas_cannot_compute_as_one_does_is_refused_in_a_line(
    said: dict[str, Any], name: str
) -> None:
    alone, several = said["refused"][name]
    assert several.startswith(("model.net: ", "model.loss: ")) and "\n" not in several
    assert several.endswith("or set train.distributed.processes=1") and several != alone


def test_every_way_of_a_step_is_a_case() -> None:
    used = {option for options in CASES.values() for option in options}
    assert used >= {"clip_norm", "accumulation", "class_weights", "averaging", "freeze"}
    assert used >= {"precision", "scheduler", "optimizer", "loss", "net"}
