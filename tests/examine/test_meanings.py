"""What a schema says of the meaning of numbers is of its kind, or no schema of ours."""

from typing import Any

import pytest

from pipeline.examine.meanings import known

PLAIN = {"dtype": "float32", "shape": [2]}
WHOLE = {"dtype": "int64", "shape": []}


@pytest.mark.parametrize(
    "spec",
    [
        PLAIN,
        PLAIN | {"time": "days since 2026-01-01"},
        PLAIN | {"missing": "keep"},
        PLAIN | {"missing": [0.5, -1.0]},
        WHOLE | {"categories": ["Köln", "two\nlines", ""]},
        WHOLE | {"classes": 2, "labels": ["a", "b"]},
        WHOLE | {"classes": 2, "labels": None},
        {"dtype": "float64", "shape": [], "missing": 1.5},
    ],
)
def test_what_prepare_writes_is_known(spec: dict[str, Any]) -> None:
    assert known(spec)


@pytest.mark.parametrize(
    "spec",
    [
        PLAIN | {"time": "days since 2026-01-01; rm -rf ~"},
        PLAIN | {"time": 3},
        PLAIN | {"missing": [0.5]},
        PLAIN | {"missing": [0.5, float("nan")]},
        PLAIN | {"missing": [[0.5, 1.0]]},
        PLAIN | {"missing": "mean"},
        PLAIN | {"missing": None},
        WHOLE | {"missing": 1.0},
        WHOLE | {"categories": "Köln"},
        WHOLE | {"categories": [1]},
        WHOLE | {"categories": ["x" * 1001]},
        WHOLE | {"labels": [["a"]]},
    ],
)
def test_anything_else_is_not(spec: dict[str, Any]) -> None:
    assert not known(spec)
