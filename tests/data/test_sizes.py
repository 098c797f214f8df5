"""The sizes that a model is held to, and rows in them."""

import numpy as np

from pipeline.data import sizes
from pipeline.data.ragged import Mask, Ragged, offsets_of

SCHEMA = {
    "inputs": {
        "x": {"shape": ["length"]},
        "mask": {"shape": ["length"]},
        "fixed": {"shape": [2]},
        "y": {"shape": ["width"]},
    },
    "targets": {},
    "dimensions": {"length": {"least": 1, "most": 10}, "width": {"least": 2, "most": 4}},
}


def test_all_sizes_are_least_greatest_between_and_apart() -> None:
    assert sizes.of_batches(SCHEMA) == {
        "shortest": {"length": 1, "width": 2},
        "between": {"length": 3, "width": 3},
        "longest": {"length": 10, "width": 4},
        "apart": {"length": 1, "width": 4},
    }
    one = {"dimensions": {"length": {"least": 1, "most": 64}}}
    assert list(sizes.of_batches(one)) == ["shortest", "between", "longest"]
    assert sizes.of_batches({"inputs": {}}) == {}


def test_rows_are_cut_off_or_begun_again() -> None:
    offsets = [offsets_of([2, 3])]
    arrays = {
        "x": Ragged(np.arange(5), offsets, 0),
        "mask": Mask(offsets, "float32"),
        "fixed": np.zeros((2, 2)),
        "y": Ragged(np.arange(4), [offsets_of([2, 2])], 0),
    }
    rows = sizes.resized(SCHEMA, arrays, 5, {"length": 4, "width": 1})
    assert rows["x"].tolist() == [[0, 1, 0, 1], [2, 3, 4, 2]]
    assert rows["mask"].tolist() == [[1] * 4] * 2 and rows["y"].tolist() == [[0], [2]]
    assert rows["fixed"].shape == (2, 2)
