"""What varies beside the rows is declared, and formats are handed it."""

import numpy as np

from pipeline.formats.dimensions import FIXED, declared

SCHEMA = {
    "inputs": {
        "tokens": {"dtype": "int64", "shape": ["length"]},
        "image": {"dtype": "float32", "shape": [8, 8]},
        "other": {"dtype": "float32", "shape": ["width", 2]},
    },
    "targets": {"label": {"dtype": "int64", "shape": ["length"]}},
    "outputs": {"half": {"dtype": "float32", "shape": [None, 3]}},
    "dimensions": {"length": {"least": 1, "most": 64}, "width": {"least": 2, "most": 3}},
}


def test_a_schema_says_which_axes_vary_and_how_far() -> None:
    dimensions = declared(SCHEMA)
    assert dimensions.of("input.tokens") == {1: "length"} == dimensions.of("target.label")
    assert dimensions.of("input.image") == {} and dimensions.of("output.half") == {1: None}
    assert dimensions.bounds == {"length": (1, 64), "width": (2, 3)}
    assert declared({"inputs": {}}) == FIXED


def test_what_varies_has_no_size_in_a_shape() -> None:
    dimensions = declared(SCHEMA)
    assert dimensions.shape("input.tokens", np.zeros((3, 9))) == (None, None)
    assert dimensions.shape("input.image", np.zeros((3, 8, 8))) == (None, 8, 8)


def test_programs_are_traced_with_sizes_within_the_bounds_that_differ() -> None:
    sizes = declared(SCHEMA).sizes()
    assert sizes == {"length": 7, "width": 2}


def test_arrays_are_resized_in_the_same_places() -> None:
    dimensions = declared(SCHEMA)
    tokens = np.arange(10).reshape(2, 5)
    resized = dimensions.resized("input.tokens", tokens, 3, {"length": 7})
    assert resized.tolist() == [
        [0, 1, 2, 3, 4, 0, 1],
        [5, 6, 7, 8, 9, 5, 6],
        [0, 1, 2, 3, 4, 0, 1],
    ]
    label = dimensions.resized("target.label", tokens, 1, {"length": 2})
    assert label.tolist() == [[0, 1]]
    assert dimensions.resized("output.half", np.zeros((2, 4, 3)), 5).shape == (5, 4, 3)
