"""Rows of different lengths lie on the disk as they are, and come as dense batches."""

import numpy as np
import pytest

from pipeline.data import arrays
from pipeline.data.ragged import Mask, Ragged, offsets_of

LENGTHS = [2, 0, 3, 1]
VALUES = np.arange(12.0).reshape(6, 2)


def ragged(pad: float = -1) -> Ragged:
    return Ragged(VALUES, [offsets_of(LENGTHS)], pad)


def test_a_batch_is_as_long_as_its_longest_row_and_ends_with_the_pad() -> None:
    batch = ragged()[np.array([3, 0])]
    assert batch.shape == (2, 2, 2) and batch.dtype == VALUES.dtype
    assert batch[0].tolist() == [VALUES[5].tolist(), [-1, -1]]
    assert batch[1].tolist() == VALUES[:2].tolist()


@pytest.mark.parametrize("rows", [slice(1, 3), np.array([1, 2]), np.array([-3, -2])])
def test_rows_are_named_by_number_or_slice(rows: slice | np.ndarray) -> None:
    assert ragged()[rows].tolist() == ragged()[np.array([False, True, True, False])].tolist()


def test_the_shape_says_what_varies() -> None:
    assert ragged().shape == (4, None, 2) and len(ragged()) == 4
    assert ragged()[slice(0, 0)].shape == (0, 0, 2)


@pytest.mark.parametrize("dtype", ["float32", "int64", "uint8"])
def test_a_mask_is_one_where_a_row_has_values(dtype: str) -> None:
    batch = Mask([offsets_of(LENGTHS)], dtype)[slice(0, 3)]
    assert batch.tolist() == [[1, 1, 0], [0, 0, 0], [1, 1, 1]] and batch.dtype == dtype


def test_where_rows_have_values_is_as_wide_as_the_longest_of_them() -> None:
    rows = Ragged(np.arange(6.0), [np.array([0, 3, 4, 6])], 0.0)
    assert rows.places(slice(1, 3)).tolist() == [[True, False], [True, True]]
    assert rows.places(np.array([0])).tolist() == [[True, True, True]]
    mask = Mask([np.array([0, 3, 4, 6])], "float32")
    known = arrays.places_of({"x": rows, "m": mask, "y": np.zeros((3, 2))}, slice(0, 2))
    assert list(known) == ["x"]
    assert known["x"].tolist() == [[True, True, True], [True, False, False]]
