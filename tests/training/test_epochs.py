"""The order of an epoch's rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training.epochs import epoch_batches
from testing.training import settings_of


@given(st.integers(1, 500), st.integers(1, 64), st.integers(0, 9), st.integers(1, 9))
def test_every_epoch_sees_every_row_once(rows, batch_size, seed, epoch):
    batches = epoch_batches(settings_of(batch_size=batch_size, seed=seed), epoch, rows)
    assert sorted(np.concatenate(batches)) == list(range(rows))
    assert all(len(batch) <= batch_size + 1 for batch in batches)


@given(st.integers(2, 500), st.integers(2, 64))
def test_no_step_has_a_single_row(rows, batch_size):
    assert min(map(len, epoch_batches(settings_of(batch_size=batch_size), 1, rows))) > 1


def test_the_order_is_a_function_of_seed_and_epoch():
    def first(seed, epoch):
        return epoch_batches(settings_of(seed=seed), epoch, 100)[0].tolist()

    assert first(0, 1) == first(0, 1)
    assert first(0, 1) != first(0, 2)
    assert first(0, 1) != first(1, 1)
