"""The order of an epoch's rows."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn, optim

from pipeline.errors import ModelError
from pipeline.frameworks import pytorch
from pipeline.training.epochs import (
    AS_THEY_COME,
    demand_answers_at_the_ends,
    epoch_batches,
    steps,
)
from testing.parts import LABEL, parts
from testing.training import settings_of


@given(st.integers(1, 500), st.integers(1, 64), st.integers(0, 9), st.integers(1, 9))
def test_every_epoch_sees_every_row_once(rows, batch_size, seed, epoch):
    batches = epoch_batches(settings_of(batch_size=batch_size, seed=seed), epoch, rows)
    assert sorted(np.concatenate(batches)) == list(range(rows))
    assert all(len(batch) <= batch_size + 1 for batch in batches)


@given(st.integers(2, 500), st.integers(2, 64))
def test_no_step_has_a_single_row(rows, batch_size):
    assert min(map(len, epoch_batches(settings_of(batch_size=batch_size), 1, rows))) > 1


@given(st.integers(1, 500), st.integers(1, 16), st.integers(1, 5))
def test_a_step_has_the_rows_of_as_many_batches_as_are_accumulated(rows, batch_size, accumulate):
    settings = settings_of(batch_size=batch_size, accumulate=accumulate)
    sizes = [len(step) for step in epoch_batches(settings, 1, rows)]
    assert sum(sizes) == rows
    assert all(size == batch_size * accumulate for size in sizes[:-1])


def test_the_order_is_a_function_of_seed_and_epoch():
    def first(seed, epoch):
        return epoch_batches(settings_of(seed=seed), epoch, 100)[0].tolist()

    assert first(0, 1) == first(0, 1)
    assert first(0, 1) != first(0, 2)
    assert first(0, 1) != first(1, 1)


class Stepping:
    """A framework whose losses are tensors."""

    FAULTS = ()
    TRAINS = True

    def step(self, training, inputs, targets, rows):
        return torch.tensor(float(rows[0]) / 3)


def test_losses_are_kept_as_numbers_and_hold_no_memory_of_the_framework():
    batches, losses = [np.array([n]) for n in range(200)], []
    yielded = [float(each) for each in steps(Stepping(), None, {}, {}, batches, losses)]
    assert yielded == list(map(float, losses)) == [float(torch.tensor(n / 3)) for n in range(200)]
    assert sum(torch.is_tensor(each) for each in losses) < AS_THEY_COME


class Table(nn.Module):
    """Ids of 0 to 7."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 2)

    def forward(self, x):
        return self.table(x).mean(1)


@pytest.mark.parametrize(("split", "id"), [("train", 8), ("val", -1), ("test", 99)])
def test_an_id_that_the_model_has_no_place_for_is_said_before_the_first_epoch(tmp_path, split, id):
    for name in ("train", "val", "test"):
        ids = np.arange(24).reshape(8, 3) % 8
        ids[5, 1] = id if name == split else 0
        (tmp_path / name / "inputs").mkdir(parents=True)
        np.save(tmp_path / name / "inputs/x.npy", ids)
        (tmp_path / name / "targets").mkdir()
        np.save(tmp_path / name / "targets/label.npy", np.arange(8) % 2)
    described = {"x": {"dtype": "int64", "shape": [3]}}
    (tmp_path / "schema.json").write_text(json.dumps({"inputs": described, "targets": LABEL}))
    training = pytorch.build(
        parts(Table, nn.CrossEntropyLoss, optim.SGD, None, described, outputs=["answer"])
    )
    splits = ("train", "val", "test")
    with pytest.raises(ModelError, match=rf"IndexError.* row 5 of the {split} split, whose x is"):
        demand_answers_at_the_ends(pytorch, training, tmp_path, splits)
    others = [name for name in splits if name != split]
    demand_answers_at_the_ends(pytorch, training, tmp_path, others)
