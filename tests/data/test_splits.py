"""Each class, group or time has its place in a split, the same for the same seed."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.data_params import Split
from pipeline.data.splits import SPLITS, Facts, assign
from testing.prepared import NO_SPLIT


def a_split(**values: Any) -> Split:
    return Split(**{**NO_SPLIT, **values})


fractions = st.tuples(st.floats(0.01, 0.49), st.floats(0.01, 0.49), st.integers(0, 2**40))
sizes = st.lists(st.just(0) | st.integers(3, 200), min_size=1, max_size=12).filter(any)


def labels_of(counts: list[int], seed: int) -> np.ndarray:
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


@given(sizes, fractions)
def test_a_class_is_off_its_share_by_at_most_one_row_and_in_every_split(
    counts: list[int], drawn: tuple[float, float, int]
) -> None:
    val, test, seed = drawn
    labels = labels_of(counts, seed)
    parts = assign(labels, a_split(val=val, test=test, seed=seed))
    assert len(parts) == len(labels)
    for label, size in enumerate(counts):
        rows = np.bincount(parts[labels == label], minlength=3)
        share = size * np.array([1 - val - test, val, test])
        assert rows.sum() == size
        assert size == 0 or rows.min() >= 1
        if size and share.min() >= 1:
            assert np.abs(rows - share).max() < 1 + 1e-6


@given(st.lists(st.integers(10, 60), min_size=2, max_size=60), fractions)
def test_what_one_class_rounds_away_another_makes_good(
    counts: list[int], drawn: tuple[float, float, int]
) -> None:
    val, test, seed = 0.1 + drawn[0] / 2, 0.1 + drawn[1] / 2, drawn[2]
    parts = assign(labels_of(counts, seed), a_split(val=val, test=test, seed=seed))
    share = sum(counts) * np.array([1 - val - test, val, test])
    assert np.abs(np.bincount(parts, minlength=3) - share).max() < 2


@given(sizes, fractions)
def test_the_same_seed_gives_the_same_split_and_another_seed_another(
    counts: list[int], drawn: tuple[float, float, int]
) -> None:
    val, test, seed = drawn
    labels = labels_of([*counts, 100], seed)
    split, other = (a_split(val=val, test=test, seed=s) for s in (seed, seed + 1))
    assert np.array_equal(assign(labels, split), assign(labels, split))
    assert not np.array_equal(assign(labels, split), assign(labels, other))


def test_the_split_is_pinned() -> None:
    """A NumPy or a change here that splits otherwise would make old results incomparable."""
    parts = assign(np.arange(24) % 2, a_split(val=0.25, test=0.25, seed=0))
    assert "".join(map(str, parts)) == "000012020220201021010011"


groupings = st.lists(st.integers(0, 30), min_size=12, max_size=400).filter(
    lambda groups: len(set(groups)) >= 3
)


@given(groupings, fractions)
def test_a_group_is_in_one_split_each_split_has_one_and_sizes_are_close_to_the_fractions(
    drawn: list[int], wanted: tuple[float, float, int]
) -> None:
    val, test, seed = wanted
    groups = np.array(drawn)
    split = a_split(val=val, test=test, seed=seed)
    parts = assign(np.zeros(len(groups), np.int64), split, Facts(groups=groups))
    assert all(len(set(parts[groups == group])) == 1 for group in set(drawn))
    rows = np.bincount(parts, minlength=3)
    assert rows.min() >= 1
    largest = np.bincount(groups).max()
    if len(set(drawn)) > 20 and min(val, test) * len(groups) > largest:
        assert (
            np.abs(rows - len(groups) * np.array([1 - val - test, val, test])).max() < 2 * largest
        )
    shuffled = np.random.default_rng(seed).permutation(len(groups))
    again = assign(np.zeros(len(groups), np.int64), split, Facts(groups=groups[shuffled]))
    assert np.array_equal(again, parts[shuffled])


def test_large_groups_are_in_each_split_and_which_ones_hangs_on_the_seed() -> None:
    groups = np.repeat(np.arange(400), np.where(np.arange(400) < 40, 50, 2))
    labels = np.zeros(len(groups), np.int64)
    found = [
        assign(labels, a_split(val=0.2, test=0.2, seed=seed), Facts(groups=groups))
        for seed in (0, 1)
    ]
    for parts in found:
        large = [len(set(groups[(parts == index) & (groups < 40)])) for index in range(3)]
        assert large == [24, 8, 8]
    assert not np.array_equal(*found)


moments = st.lists(st.integers(0, 50), min_size=8, max_size=300).filter(
    lambda times: len(set(times)) >= 3
)


@given(moments, fractions)
def test_train_is_earliest_test_latest_and_rows_of_one_time_are_in_one_split(
    drawn: list[int], wanted: tuple[float, float, int]
) -> None:
    times = np.array(drawn, "M8[s]")
    val, test, _ = wanted
    parts = assign(np.zeros(len(times), np.int64), a_split(val=val, test=test), Facts(times=times))
    train, middle, latest = (times[parts == index] for index in range(3))
    assert train.max() < middle.min() and middle.max() < latest.min()
    if len(set(drawn)) == len(drawn):
        share = len(times) * np.array([1 - val - test, val, test])
        assert np.all((np.abs(np.bincount(parts) - share) < 2) | (np.bincount(parts) == 1))


@given(groupings, fractions)
def test_what_is_named_stays_and_a_split_that_is_not_is_drawn_from_train(
    drawn: list[int], wanted: tuple[float, float, int]
) -> None:
    named = np.where(np.array(drawn) % 3 == 2, 2, 0)
    if not (named == 0).sum() >= 2:
        return
    split = a_split(val=wanted[0], seed=wanted[2])
    parts = assign(np.zeros(len(named), np.int64), split, Facts(named=named))
    assert np.array_equal(parts == 2, named == 2) or not (named == 2).any()
    if (named == 2).any():
        share = (named == 0).sum() * wanted[0]
        assert abs((parts == 1).sum() - share) < 1 or (parts == 1).sum() == 1


def test_with_everything_named_nothing_is_drawn() -> None:
    named = np.array([2, 0, 1, 0])
    parts = assign(np.zeros(4, np.int64), a_split(), Facts(named=named))
    assert [SPLITS[index] for index in parts] == ["test", "train", "val", "train"]


def test_the_split_by_groups_is_pinned() -> None:
    facts = Facts(groups=np.arange(24) // 2)
    parts = assign(np.zeros(24, np.int64), a_split(val=0.25, test=0.25, seed=0), facts)
    assert "".join(map(str, parts)) == "112211000011002200220000"
