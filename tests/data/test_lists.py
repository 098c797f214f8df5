"""A column of lists knows which value belongs to which row."""

import numpy as np

from pipeline.data.lists import Lists, chosen

LENGTHS = [2, 0, 3, 1]
VALUES = np.arange(12.0).reshape(6, 2)


def test_rows_of_lists_are_chosen_and_found_again() -> None:
    lists = Lists(VALUES, np.array(LENGTHS))
    rows = np.array([True, False, False, True])
    assert chosen(lists, rows).tolist() == VALUES[[0, 1, 5]].tolist()
    assert [lists.row_of(position) for position in (0, 1, 2, 4, 5)] == [
        (0, 0),
        (0, 1),
        (2, 0),
        (2, 2),
        (3, 0),
    ]
