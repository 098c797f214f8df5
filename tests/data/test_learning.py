"""What stands for a missing value, and the categories, are learnt from the training rows alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.data.learning import _means, _medians, _modes
from testing.prepared import an_input, prepared, refusal, together

nan = float("nan")
FOLDS = ["train", "train", "val", "test"] * 10
BY = {"by": {"column": "fold"}}


def write(folder: Path, **columns: list[Any]) -> None:
    """The same rows in each kind of file; None is missing, in an .npz NaN."""
    columns = {**columns, "label": [0, 1, 1, 0] * 10, "fold": FOLDS}
    rows = zip(*columns.values(), strict=True)
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in rows]
    (folder / "t.csv").write_text("\n".join([",".join(columns), *lines]) + "\n")
    parquet.write_table(pa.table(columns), folder / "t.parquet")
    arrays = {n: [nan if v is None else v for v in c] for n, c in columns.items()}
    np.savez(folder / "t.npz", **{name: np.array(values) for name, values in arrays.items()})


X = [None if i % 5 == 1 else i % 7 if FOLDS[i] == "train" else 1000 for i in range(40)]
TRAIN = [x for x, fold in zip(X, FOLDS, strict=True) if fold == "train" and x is not None]
LEARNT = {
    "mean": float(np.float32(np.mean(TRAIN))),
    "median": float(np.median(TRAIN)),
    "most_frequent": float(np.bincount(TRAIN).argmax()),
    -1.5: -1.5,
}


def schema(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "output/schema.json").read_text())
    return content


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
@pytest.mark.parametrize("missing", LEARNT)
def test_the_filling_is_that_of_the_training_rows(
    tmp_path: Path, suffix: str, missing: Any
) -> None:
    write(tmp_path, x=X)
    inputs = {"x": an_input("x", missing=missing)}
    arrays = prepared(tmp_path, f"t.{suffix}", inputs=inputs, split=BY)
    assert schema(tmp_path)["inputs"]["x"]["missing"] == LEARNT[missing]
    kept = np.isnan(together(arrays, "inputs/x"))
    assert kept.sum() == X.count(None), "the model gets the rows as they are"


def test_each_column_has_a_filling_of_its_own(tmp_path: Path) -> None:
    write(tmp_path, x=X, y=[None if i == 4 else 2 * i for i in range(40)])
    inputs = {"x": an_input(["x", "y"], shape=[2], missing="median")}
    prepared(tmp_path, "t.parquet", inputs=inputs, split=BY)
    y = [2 * i for i in range(40) if FOLDS[i] == "train" and i != 4]
    assert schema(tmp_path)["inputs"]["x"]["missing"] == [LEARNT["median"], float(np.median(y))]


def test_a_missing_value_may_be_left_to_the_net(tmp_path: Path) -> None:
    write(tmp_path, x=X)
    prepared(tmp_path, "t.csv", inputs={"x": an_input("x", missing="keep")}, split=BY)
    assert schema(tmp_path)["inputs"]["x"]["missing"] == "keep"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_without_a_word_a_missing_value_is_refused(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, x=X)
    said = refusal(tmp_path, f"t.{suffix}", split=BY)
    assert (
        "row 2" in said
        and "the cell is empty; fill it or drop the row; an input of floats may say" in said
    )


def test_a_text_that_stands_for_a_missing_value_is_declared(tmp_path: Path) -> None:
    write(tmp_path, x=X)
    text = (tmp_path / "t.csv").read_text().replace("\n,", "\nNA,")
    (tmp_path / "t.csv").write_text(text)
    inputs = {"x": an_input("x", missing="median")}
    assert "data.csv.missing=[NA]" in refusal(tmp_path, "t.csv", inputs=inputs, split=BY)
    arrays = prepared(tmp_path, "t.csv", inputs=inputs, split=BY, csv={"missing": ["NA"]})
    assert np.isnan(together(arrays, "inputs/x")).sum() == X.count(None)


def test_a_group_or_label_is_never_missing(tmp_path: Path) -> None:
    write(tmp_path, x=X)
    inputs = {"x": an_input("x", missing="mean")}
    split = BY | {"group": "x"}
    assert "row 2 (line 3), column 'x': the cell is empty" in refusal(
        tmp_path, "t.csv", inputs=inputs, split=split
    )


def test_infinity_is_no_missing_value(tmp_path: Path) -> None:
    write(tmp_path, x=[float("inf"), *X[1:]])
    inputs = {"x": an_input("x", missing="mean")}
    assert "row 1 (line 2), column 'x': found inf" in refusal(
        tmp_path, "t.csv", inputs=inputs, split=BY
    )


def test_a_column_without_a_value_teaches_nothing(tmp_path: Path) -> None:
    write(tmp_path, x=[None if fold == "train" else 1.5 for fold in FOLDS], y=[*range(40)])
    inputs = {"x": an_input(["y", "x"], shape=[2], missing="mean")}
    with pytest.raises(Exception, match="column 'x': no training row has a value, so there is no"):
        prepared(tmp_path, "t.csv", inputs=inputs, split=BY)
    inputs["x"]["missing"] = 0.5
    prepared(tmp_path, "t.csv", inputs=inputs, split=BY)


@given(
    st.lists(
        st.lists(st.just(nan) | st.floats(-1e6, 1e6, width=32), min_size=3, max_size=3),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_learnt_is_what_numpy_says(rows: list[list[float]]) -> None:
    table = np.array(rows, np.float32)
    known = [table[~np.isnan(table[:, i]), i].astype(float) for i in range(3)]
    for learn, of_one in (
        (_means, np.mean),
        (_medians, np.median),
        (_modes, lambda v: np.unique(v)[np.unique(v, return_counts=True)[1].argmax()]),
    ):
        expected = [of_one(v) if len(v) else nan for v in known]
        np.testing.assert_allclose(list(learn(table)), expected, rtol=1e-12, atol=1e-9)


TOWNS = [["Köln", "Köln", "Rom", "Oslo"], ["Rom", "Bonn", "Bonn", "Köln"]] * 5
TOWN = [town for four in TOWNS for town in four]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_categories_are_learnt_from_the_training_rows(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, town=TOWN)
    inputs = {"town": an_input("town", "int64", categories=2)}
    arrays = prepared(tmp_path, f"t.{suffix}", inputs=inputs, split=BY)
    assert schema(tmp_path)["inputs"]["town"] == {
        "dtype": "int64", "shape": [], "categories": ["Köln", "Bonn"]
    }  # fmt: skip
    assert arrays["train/inputs/town.npy"].tolist() == [0, 0, 2, 1] * 5
    assert arrays["test/inputs/town.npy"].tolist() == [2, 0] * 5


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_categories_may_be_listed(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, town=TOWN)
    names = ["Rom", "Oslo", "Köln", "Bonn", "Wien"]
    inputs = {"town": an_input("town", "int64", categories=names)}
    arrays = prepared(tmp_path, f"t.{suffix}", inputs=inputs, split=BY)
    assert arrays["train/inputs/town.npy"].tolist() == [2, 2, 0, 3] * 5
    inputs["town"]["categories"] = names[1:]
    (tmp_path / "output").rename(tmp_path / "before")
    said = refusal(tmp_path, f"t.{suffix}", inputs=inputs, split=BY)
    assert "row 3" in said and "found 'Rom', expected a category; allowed: Oslo, Köln" in said


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("categories", [["Rom", "Oslo", "Köln", "Bonn"], 9])
def test_a_missing_category_may_have_its_own_number(
    tmp_path: Path, suffix: str, categories: Any
) -> None:
    write(tmp_path, town=[None, *TOWN[1:]])
    entry = an_input("town", "int64", categories=categories)
    said = refusal(tmp_path, f"t.{suffix}", inputs={"town": entry}, split=BY)
    assert "row 1" in said and "the cell is empty" in said
    arrays = prepared(
        tmp_path, f"t.{suffix}", inputs={"town": entry | {"missing": "keep"}}, split=BY
    )
    names = schema(tmp_path)["inputs"]["town"]["categories"]
    assert arrays["train/inputs/town.npy"][0] == len(names) and "" not in names


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_missing_text_is_the_empty_one_where_the_net_takes_it(
    tmp_path: Path, suffix: str
) -> None:
    write(tmp_path, town=[None, *TOWN[1:]])
    entry = an_input("town", "string")
    said = refusal(tmp_path, f"t.{suffix}", inputs={"town": entry}, split=BY)
    assert "row 1" in said and "one of texts missing: keep" in said
    arrays = prepared(
        tmp_path, f"t.{suffix}", inputs={"town": entry | {"missing": "keep"}}, split=BY
    )
    assert arrays["train/inputs/town.npy"][0] == ""
    assert schema(tmp_path)["inputs"]["town"]["missing"] == "keep"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"dtype": "float32", "categories": 3}, "categories: they are numbered: expected dtype"),
        ({"dtype": "int64", "categories": 3, "missing": "mean"}, "and missing, if it is set, keep"),
        ({"dtype": "int64", "categories": ["a", "a"]}, "categories: one is there twice"),
        ({"dtype": "int64", "missing": "mean"}, "x.missing: found 'mean' for int64, which has no"),
        ({"dtype": "string", "missing": "mean"}, "missing: found 'mean' for texts, expected keep"),
        ({"dtype": "float32", "missing": "meen"}, "missing: found 'meen', expected one of mean"),
        ({"dtype": "string", "time": "days"}, "x.time: found with dtype string"),
        ({"dtype": "float32", "time": "weeks"}, "found 'weeks', expected one of days"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    tmp_path: Path, entry: dict[str, Any], said: str
) -> None:
    write(tmp_path, x=X)
    inputs = {"x": {"source": "x", "shape": []} | entry}
    assert said in refusal(tmp_path, "t.csv", inputs=inputs, split=BY)
