"""Weights are chosen by how far they move the trained model's answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.reference import influence
from pipeline.sandbox.worker.perturbation import changed, fingerprint
from tests.reference.conftest import source

ROWS = {"x": np.float32(np.random.default_rng(0).normal(size=(7, 4)))}


class Scaled(nn.Module):
    """An auxiliary head, a branch scaled by 1e-6, and what does the work; the largest first."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 400)
        self.branch = nn.Linear(4, 40)
        self.scale = nn.Parameter(torch.full((1,), 1e-6))
        self.body = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        self.head(x)
        return self.body(x) + self.scale * self.branch(x)[:, :3]


def test_weights_that_move_nothing_are_passed_over_and_told(tmp_path: Path) -> None:
    notes = influence.record(source(Scaled()), ROWS, tmp_path / "influence.npz")
    with np.load(tmp_path / "influence.npz") as file:
        assert file["moving"].tolist() == ["body.weight", "body.bias"]
        assert {"head.weight", "branch.weight"} <= set(file["still"].tolist())
        assert file["output.y"].shape == (2, 7, 3)
        assert (file["moved"] > 1e-3).all()
    assert notes == [
        "the weight head.weight: no answer depends on it",
        "the weight head.bias: no answer depends on it",
    ]


def test_the_weakest_change_that_moves_the_answers_is_taken() -> None:
    net = nn.Linear(4, 3, bias=False)
    net.weight.data *= 1e-2
    (change,), _ = influence.measured(source(net), ROWS)
    assert change.strength == 1.0 and change.enough


def test_a_net_of_small_answers_has_the_weights_that_move_them_most() -> None:
    net = nn.Linear(4, 3)
    net.weight.data *= 1e-7
    net.bias.data *= 1e-7
    chosen, _ = influence.measured(source(net), ROWS)
    assert len(chosen) == 2 and all(0 < change.moved < 1e-5 for change in chosen)


def test_every_weight_is_afterwards_what_it_was_to_the_last_bit() -> None:
    given = source(Scaled())
    before = given.framework.state(given.training)
    influence.measured(given, ROWS)
    after = given.framework.state(given.training)
    assert {name: each.tobytes() for name, each in before.items()} == {
        name: each.tobytes() for name, each in after.items()
    }


def test_tied_weights_are_changed_together() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.b.weight = self.a.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    given = source(Tied())
    (change,), _ = influence.measured(given, ROWS)
    assert change.weight.names == ["net/a.weight", "net/b.weight"]
    weight = changed(given.framework.state(given.training)["net/a.weight"], change.strength)
    np.testing.assert_allclose(change.outputs["y"], ROWS["x"] @ weight.T @ weight.T, rtol=1e-5)


def test_weights_in_bfloat16_are_changed_too() -> None:
    class Brief(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(4, 3).to(torch.bfloat16)

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x.to(torch.bfloat16)).float()

    given = source(Brief())
    assert given.framework.state(given.training)["net/body.weight"].dtype == np.uint16
    chosen, _ = influence.measured(given, ROWS)
    assert [change.weight.names for change in chosen] == [["net/body.weight"], ["net/body.bias"]]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64", "uint16", "int8"])
def test_a_fingerprint_and_a_change_hang_on_values_not_on_their_order(dtype: str) -> None:
    values = np.random.default_rng(0).integers(-90, 90, 60).astype(dtype).reshape(6, 10)
    assert fingerprint(values) == fingerprint(values.T) != fingerprint(values + 1)
    for strength in (0.01, 0.1, 1.0):
        moved = changed(values, strength)
        assert moved.dtype == values.dtype and (moved != values).mean() > 0.8
        assert np.array_equal(changed(values.T.copy(), strength), moved.T)
