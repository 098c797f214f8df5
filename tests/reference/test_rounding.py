"""How far answers hang on rounding is measured, and made-up rows that do so more are left out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.reference import batches, rounding
from pipeline.sandbox.worker.perturbation import ROUNDS
from tests.reference.conftest import source

Arrays = dict[str, np.ndarray]
ROWS = np.float32(np.random.default_rng(0).normal(size=(32, 4)))


class Normed(nn.Module):
    """Divides by the deviation of a row, be it a rounding's."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.body((x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-9))


def tolerance(net: nn.Module, rows: np.ndarray) -> np.ndarray:
    given = source(net)
    return rounding.of_rows(given, {"all": ({"x": rows}, given.answers({"x": rows}))})["all"]


def test_a_plain_net_is_held_as_close_as_ever() -> None:
    torch.manual_seed(0)
    assert 0 < tolerance(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)), ROWS).max() < ROUNDS
    assert 0 < tolerance(nn.Linear(4, 3), ROWS * 1e6).max() < ROUNDS


def test_a_row_that_hardly_varies_hangs_on_rounding_where_it_is_divided_by_that() -> None:
    steady, shaky = tolerance(Normed(), np.stack([ROWS[0], 1 + ROWS[1] * np.float32(1e-6)]))
    assert steady < ROUNDS < shaky


def test_every_weight_is_afterwards_what_it_was_to_the_last_bit() -> None:
    given = source(nn.BatchNorm1d(4).eval())
    before = given.framework.state(given.training)
    rounding.of_rows(given, {"all": ({"x": ROWS}, given.answers({"x": ROWS}))})
    after = given.framework.state(given.training)
    assert {k: v.tobytes() for k, v in before.items()} == {k: v.tobytes() for k, v in after.items()}


@pytest.mark.parametrize("values", [np.arange(9), np.float32([0, 1, 1, 0]), np.array(["a", "b"])])
def test_what_counts_or_masks_or_is_text_stays(values: np.ndarray) -> None:
    assert rounding.rounded(values, np.random.default_rng(0)) is values


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_floats_are_moved_by_a_few_of_their_last_places(dtype: str) -> None:
    values = np.linspace(1, 2, 100).astype(dtype)
    moved = rounding.rounded(values, np.random.default_rng(0))
    assert moved.dtype == values.dtype and (moved != values).mean() > 0.9
    assert np.abs(moved / values - 1).max() < 4 * np.finfo(values.dtype).eps


def test_edge_rows_that_hang_on_rounding_are_left_out_and_asked_as_odd_ones_are(
    write_data: Callable[[Arrays], Path], tmp_path: Path
) -> None:
    """The greatest values are the same in each column but for a rounding, as zeros are."""
    rows = ROWS.copy()
    rows[:4] = np.eye(4, dtype=np.float32) * 3
    rows[:4] += np.eye(4, dtype=np.float32) * np.float32([0, 1e-6, 2e-6, 3e-6])
    (tmp_path / "reference").mkdir()
    data = write_data({"x": rows})
    asked = batches.record(source(Normed()), data, tmp_path / "reference", 16)
    assert list(asked["edge"].left_out) == ["greatest", "zeros"]
    assert "greatest: its last digits decide the answer" in asked["edge"].notes
    assert len(asked["edge"].outputs["y"]) == 3
    assert max(each.rounding for each in asked.values()) < ROUNDS


@pytest.mark.parametrize(
    ("measured", "text"),
    [(ROUNDS / 2, None), (1e-3, "may be off by 0.001"), (1.0, "more than any format may be off")],
)
def test_a_person_is_told_of_a_model_that_hangs_on_rounding(
    measured: float, text: str | None
) -> None:
    notes = rounding.notes(measured)
    assert (text in notes[0]) if text else notes == []
