"""Labels and categories have names, which become whole numbers; an unknown one is named."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.data.casting import place_of
from testing.prepared import an_input, prepared, refusal, together

ANIMALS = ["cat", "dog", "newt"]


def targets(classes: Any) -> dict[str, Any]:
    return {"label": {"source": "label", "classes": classes}}


def write(folder: Path, labels: list[Any]) -> None:
    """The same labels in each kind of file, beside the row's number."""
    rows = "".join(f"{i},{label}\n" for i, label in enumerate(labels))
    (folder / "t.csv").write_text(f"x,label\n{rows}")
    parquet.write_table(pa.table({"x": range(len(labels)), "label": labels}), folder / "t.parquet")
    np.savez(folder / "t.npz", x=np.arange(len(labels)), label=np.array(labels))


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (ANIMALS * 8, ANIMALS),
        ([0, 1, 2] * 8, ANIMALS),
        ([3, 5, 9] * 8, ["3", "5", "9"]),
        ([3.0, 5.0, 9.0] * 8, ["3", "5", "9"]),
        ([True, False, True] * 8, ["true", "false", "maybe"]),
    ],
)
def test_a_label_may_be_a_name_a_number_or_true(
    tmp_path: Path, suffix: str, labels: list[Any], classes: list[str]
) -> None:
    write(tmp_path, labels)
    arrays = prepared(tmp_path, f"t.{suffix}", targets=targets(classes))
    order = np.argsort(together(arrays, "inputs/x"))
    expected = [[0, 1, 2], [0, 1, 0]][labels[0] is True] * 8
    assert together(arrays, "targets/label")[order].tolist() == expected
    schema = json.loads((tmp_path / "output/schema.json").read_text())
    described = {"dtype": "int64", "shape": [], "classes": 3, "labels": classes}
    assert schema["targets"] == {"label": described}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_true_and_false_are_the_classes_of_two(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, [False, True, True] * 8)
    for classes in (2, ["sound", "broken"], ["false", "true"]):
        arrays = prepared(tmp_path, f"t.{suffix}", targets=targets(classes))
        order = np.argsort(together(arrays, "inputs/x"))
        assert together(arrays, "targets/label")[order].tolist() == [0, 1, 1] * 8


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("dgo", ["found 'dgo', expected a label; did you mean dog? allowed: cat, dog, newt"]),
        ("Cat", ["found 'Cat', expected a label; did you mean cat?"]),
        ("3", ["found '3', expected a label; allowed: cat, dog, newt; correct it or the list"]),
        ("", ["the cell is empty"]),
    ],
)
def test_an_unknown_label_is_named_with_the_nearest(
    tmp_path: Path, suffix: str, label: str, words: list[str]
) -> None:
    write(tmp_path, [*ANIMALS * 4, label, *ANIMALS * 4])
    said = refusal(tmp_path, f"t.{suffix}", targets=targets(ANIMALS))
    for word in ["row 13", "column 'label'", *words]:
        assert word in said, said


def test_names_that_are_numbers_are_no_places() -> None:
    assert [place_of(text, ["1", "2"], True) for text in ("1", "2", "0", "1.0")] == [0, 1, None, 0]
    assert [place_of(text, ["a", "b"], True) for text in ("1", "2", "-1", "True")] == [
        1,
        None,
        None,
        1,
    ]
    assert [place_of(text, ["a", "b"], False) for text in ("1", "true", "a")] == [None, None, 0]


def test_two_targets_may_share_a_column_of_names(tmp_path: Path) -> None:
    write(tmp_path, ANIMALS * 8)
    two = targets(ANIMALS) | {"again": {"source": "label", "classes": ANIMALS[::-1]}}
    arrays = prepared(tmp_path, "t.csv", targets=two)
    assert np.all(together(arrays, "targets/label") + together(arrays, "targets/again") == 2)


def test_a_column_is_not_two_things_at_once(tmp_path: Path) -> None:
    write(tmp_path, ANIMALS * 8)
    inputs = {"x": an_input("x"), "town": an_input("x", "string")}
    assert "column 'x' is a text here and a number elsewhere" in refusal(
        tmp_path, "t.csv", inputs=inputs, targets=targets(ANIMALS)
    )


@pytest.mark.parametrize("classes", [["cat"], ["cat", "cat"], []])
def test_a_list_of_classes_has_two_that_differ(tmp_path: Path, classes: list[str]) -> None:
    write(tmp_path, ANIMALS * 8)
    assert "classes: found" in refusal(tmp_path, "t.csv", targets=targets(classes))
