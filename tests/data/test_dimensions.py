"""Rows that differ in length: from the raw file to the arrays that training reads."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from pipeline.config.params import PrepareParams
from pipeline.config.reading import read
from pipeline.data import arrays
from pipeline.errors import DataError, ParamsError
from pipeline.prepare import prepare
from testing.prepared import NO_SPLIT, refused
from testing.project import ROOT

ROWS = 20
LENGTHS = [1 + n % 5 for n in range(ROWS)]
X = [[[float(n), float(p)] for p in range(length)] for n, length in enumerate(LENGTHS)]
LABEL = [[p % 3 for p in range(length)] for length in LENGTHS]
INPUTS = {
    "x": {"source": "x", "shape": ["length", 2], "dtype": "float32", "pad": -1},
    "mask": {"source": "mask of length", "shape": ["length"], "dtype": "int64"},
}
TARGETS = {"label": {"source": "label", "shape": ["length"], "classes": 3}}
BOUNDS = {"length": {"least": 1, "most": 8}}


def params(**changes: Any) -> PrepareParams:
    values: dict[str, Any] = {
        "name": "ragged",
        "file": "t.parquet",
        "rows": None,
        "id": None,
        "ignore": [],
    }
    values |= {"inputs": INPUTS, "targets": TARGETS, "dimensions": BOUNDS}
    values |= {"csv": None, "split": NO_SPLIT | {"val": 0.2, "test": 0.2, "seed": 0}}
    return read(PrepareParams, {"data": values | changes})


def columns(**changes: Any) -> dict[str, Any]:
    return {"x": X, "label": LABEL} | changes


def write_parquet(folder: Path, **changes: Any) -> None:
    table = pa.table({name: pa.array(each) for name, each in columns(**changes).items()})
    parquet.write_table(table, folder / "t.parquet", row_group_size=7)


def write_npz(folder: Path, **changes: Any) -> None:
    flat = {
        "x": np.array([v for row in X for v in row], np.float32),
        "label": np.array([v for row in LABEL for v in row]),
        "x.lengths": np.array(LENGTHS),
        "label.lengths": np.array(LENGTHS),
    }
    np.savez(folder / "t.npz", **{**flat, **changes})


def run(folder: Path, **changes: Any) -> Path:
    output = folder / "output"
    output.mkdir()
    prepare(folder, output, params(**changes))
    return output


def refuses(folder: Path, *words: str, error: type[Exception] = DataError, **changes: Any) -> None:
    with refused(*words, error=error):
        run(folder, **changes)
    assert not list((folder / "output").rglob("*"))


def test_rows_keep_their_length_on_the_disk_and_are_padded_in_batches(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    output = run(tmp_path)
    for split in ("train", "val", "test"):
        inputs, targets = arrays.split(output, split)
        stored = np.load(output / split / "inputs/x.npy")
        assert len(stored) == np.load(output / split / "offsets/length.npy")[-1]
        batch = arrays.rows_of({**inputs, **targets}, slice(0, 3))
        lengths = batch["mask"].sum(axis=1)
        assert batch["x"].shape == (3, lengths.max(), 2)
        for row, length in enumerate(lengths):
            number = int(batch["x"][row, 0, 0])
            assert LENGTHS[number] == length
            assert batch["x"][row, :length].tolist() == X[number]
            assert (batch["x"][row, length:] == -1).all()
            assert batch["label"][row].tolist() == [
                *LABEL[number],
                *[-100] * (lengths.max() - length),
            ]


def test_the_schema_declares_what_varies_and_its_bounds(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    schema = json.loads((run(tmp_path) / "schema.json").read_text())
    assert schema["inputs"]["x"] == {"dtype": "float32", "shape": ["length", 2], "pad": -1}
    assert schema["inputs"]["mask"] == {"dtype": "int64", "shape": ["length"], "mask": True}
    assert schema["targets"]["label"]["shape"] == ["length"]
    assert schema["dimensions"] == BOUNDS


def test_lists_and_flat_arrays_with_lengths_are_the_same_rows(tmp_path: Path) -> None:
    outputs = []
    for suffix, write in (("parquet", write_parquet), ("npz", write_npz)):
        folder = tmp_path / suffix
        folder.mkdir()
        write(folder)
        outputs.append(run(folder, file=f"t.{suffix}"))
    one, other = ({f.relative_to(o): f.read_bytes() for f in o.rglob("*.*")} for o in outputs)
    assert one == other


def test_lists_of_one_length_are_an_array_of_a_fixed_shape(tmp_path: Path) -> None:
    write_parquet(tmp_path, x=[[float(n), 2.0, 3.0] for n in range(ROWS)])
    fixed = {"x": {"source": "x", "shape": [3], "dtype": "float32"}}
    inputs, _ = arrays.split(run(tmp_path, inputs=fixed), "train")
    assert inputs["x"].shape == (12, 3)


FAULTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "too long": (
        {"x": [*X[:6], [[0.0, 0.0]] * 9, *X[7:]]},
        ["row 7", "'x'", "found 9 values, expected 1 to 8", "data.dimensions.length"],
    ),
    "empty": ({"x": [*X[:6], [], *X[7:]]}, ["row 7", "'x'", "found 0 values"]),
    "disagreeing": (
        {"label": [*LABEL[:6], [0], *LABEL[7:]]},
        ["row 7", "'label'", "found 1 values, expected 2, as inputs/x has"],
    ),
    "no row": ({"x": [*X[:6], None, *X[7:]]}, ["row 7", "'x'", "empty"]),
    "no value": ({"label": [*LABEL[:6], [0, None], *LABEL[7:]]}, ["row 7", "'label'", "empty"]),
    "of two widths": (
        {"x": [*X[:6], [[0.0, 0.0], [0.0]], *X[7:]]},
        ["row 7", "'x'", "lists have 2 and 1 values"],
    ),
    "of another width": ({"x": [[[0.0] * 3] * n for n in LENGTHS]}, ["'x'", "expected [2]"]),
    "no class": (
        {"label": [*LABEL[:6], [0, 3], *LABEL[7:]]},
        ["row 7", "'label[1]'", "found 3", "0 to 2"],
    ),
    "no number": (
        {"x": [*X[:6], [[0.0, 1.0], [0.0, float("nan")]], *X[7:]]},
        ["row 7", "'x[1][1]'", "found nan"],
    ),
    "no lists": ({"label": list(range(ROWS))}, ["label", "found 1 columns"]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_bad_lists_are_named_by_row_and_column(tmp_path: Path, case: str) -> None:
    changes, words = FAULTS[case]
    write_parquet(tmp_path, **changes)
    refuses(tmp_path, "t.parquet", *words)


def test_lists_where_single_values_are_declared_are_named(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    single = {"x": {"source": "x", "shape": [], "dtype": "float32"}}
    bounds = {"inputs": single, "dimensions": {}}
    one = {"label": {"source": "label", "classes": 3}}
    refuses(tmp_path, "column 'x'", "found lists", "varies", targets=one, **bounds)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"x.lengths": np.array([*LENGTHS[:-1], 9])}, ["x.lengths", "sum up to", "60 values"]),
        ({"x.lengths": np.array(LENGTHS, float)}, ["x.lengths", "a whole number a row"]),
        ({"x.lengths": np.array(LENGTHS[:-1])}, ["number of rows"]),
    ],
)
def test_bad_lengths_of_an_npz_are_named(
    tmp_path: Path, changes: dict[str, Any], words: list[str]
) -> None:
    write_npz(tmp_path, **changes)
    refuses(tmp_path, *words, file="t.npz")


MASK = INPUTS["mask"]
PARAMS: dict[str, tuple[dict[str, Any], str]] = {
    "not declared": (
        {"dimensions": {}},
        "found 'length', which has no bounds",
    ),
    "not had": (
        {"dimensions": BOUNDS | {"width": {"least": 1, "most": 3}}},
        "data.dimensions.width: no input or target has it",
    ),
    "a name of the rows'": ({"dimensions": {"batch": BOUNDS["length"]}}, "data.dimensions.batch"),
    "no bounds": ({"dimensions": {"length": {"least": 4, "most": 4}}}, "bounds that differ"),
    "a mask of nothing": (
        {"inputs": {"x": INPUTS["x"], "mask": MASK | {"source": "mask of width"}}},
        "no other input or target has the dimension 'width'",
    ),
    "a mask of another shape": (
        {"inputs": INPUTS | {"mask": MASK | {"dtype": "float64"}}},
        "expected of a mask shape [length]",
    ),
}


@pytest.mark.parametrize("case", PARAMS)
def test_dimensions_that_cannot_be_are_refused_before_anything_is_read(
    tmp_path: Path, case: str
) -> None:
    write_parquet(tmp_path)
    changes, words = PARAMS[case]
    refuses(tmp_path, words, error=ParamsError, **changes)


SHAPES = [(1 + n % 3, 2 + n % 4) for n in range(ROWS)]
PICTURES = [np.arange(3.0 * h * w).reshape(3, h, w) + n for n, (h, w) in enumerate(SHAPES)]
MARKS = [np.arange(h * w).reshape(h, w) % 3 for h, w in SHAPES]
TWO: dict[str, Any] = {
    "inputs": {
        "x": {"source": "x", "shape": [3, "height", "width"], "dtype": "float32", "pad": -1},
        "mask": {
            "source": "mask of height and width",
            "shape": ["height", "width"],
            "dtype": "uint8",
        },
    },
    "targets": {"label": {"source": "label", "shape": ["height", "width"], "classes": 3}},
    "dimensions": {"height": {"least": 1, "most": 3}, "width": {"least": 2, "most": 6}},
}
"""Pictures whose axes that vary are two, and not the first."""


def two_of_npz(folder: Path) -> None:
    flat = [np.moveaxis(each, 0, 2).reshape(-1, 3) for each in PICTURES]
    np.savez(
        folder / "t.npz",
        x=np.ascontiguousarray(np.concatenate(flat)),
        label=np.concatenate([each.ravel() for each in MARKS]),
        **{"x.lengths": np.array(SHAPES), "label.lengths": np.array(SHAPES)},
    )


def two_of_parquet(folder: Path) -> None:
    nested = {"x": [each.tolist() for each in PICTURES], "label": [m.tolist() for m in MARKS]}
    parquet.write_table(pa.table(nested), folder / "t.parquet", row_group_size=7)


def test_several_dimensions_in_any_place_are_padded_each_to_its_largest(tmp_path: Path) -> None:
    written = []
    for suffix, write in (("parquet", two_of_parquet), ("npz", two_of_npz)):
        folder = tmp_path / suffix
        folder.mkdir()
        write(folder)
        written.append(run(folder, file=f"t.{suffix}", **TWO))
    one, other = ({f.relative_to(o): f.read_bytes() for f in o.rglob("*.*")} for o in written)
    assert one == other
    inputs, targets = arrays.split(written[0], "train")
    batch = arrays.rows_of({**inputs, **targets}, slice(0, 5))
    places = arrays.places_of({**inputs, **targets}, slice(0, 5))
    most = tuple(np.array([SHAPES[int(row[0, 0, 0])] for row in batch["x"]]).max(axis=0))
    assert batch["x"].shape == (5, 3, *most) and places["x"].shape == (5, 3, *most)
    assert (batch["x"] == -1).sum() == 3 * (batch["mask"] == 0).sum()
    assert (batch["label"] == -100).tolist() == (batch["mask"] == 0).tolist()
    assert (places["label"] == batch["mask"]).all() and places["x"].all(axis=1).any()
    for row in batch["x"]:
        number = int(row[0, 0, 0])
        height, width = SHAPES[number]
        assert (row[:, :height, :width] == PICTURES[number]).all()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((4, 3), ["row 6", "'x'", "found a height of 4, expected 1 to 3", "dimensions.height"]),
        ((2, 4), ["row 6", "'label'", "found a height of 3, expected 2, as inputs/x has"]),
    ],
)
def test_the_dimension_that_is_wrong_is_named(
    tmp_path: Path, shape: tuple[int, int], words: list[str]
) -> None:
    flat = {"inputs": {"x": TWO["inputs"]["x"] | {"shape": ["height", "width"]}}}
    changed = [*PICTURES[:5], np.zeros((3, *shape)), *PICTURES[6:]]
    nested = {"x": [each.tolist() for each in changed], "label": [m.tolist() for m in MARKS]}
    parquet.write_table(pa.table(nested), tmp_path / "t.parquet")
    refuses(tmp_path, *words, **TWO)
    (tmp_path / "output").rmdir()
    refuses(tmp_path, "inputs/x: found shape", "expected shape ['height', 'width']", **TWO | flat)


@pytest.mark.parametrize("name", ["rides.npz", "letters.csv"])
def test_generated_data_are_what_their_note_says(tmp_path: Path, name: str) -> None:
    note = (ROOT / "data" / name).with_suffix(".md").read_text()
    code = note.partition("```python\n")[2].partition("```")[0]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / name).read_bytes() == (ROOT / "data" / name).read_bytes()
