"""The raw data file into checked, split, memory-mappable arrays."""

import csv
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from pipeline.config.params import PrepareParams
from pipeline.config.reading import read
from pipeline.data.array_spec import ArraySpec
from pipeline.data.dimensions import Lengths
from pipeline.data.splits import SPLITS
from pipeline.data.tables import open_table
from pipeline.data.target import demand_classes
from pipeline.errors import DataError, ParamsError
from pipeline.prepare import _write, prepare
from testing.prepared import NO_SPLIT, refused
from testing.project import ROOT

SMALL = "a,b,label\n" + "".join(f"{i},{i / 4},{i % 2}\n" for i in range(20))


def params(**changes: Any) -> PrepareParams:
    """The table SMALL: two columns in one input, a label of two classes."""
    values: dict[str, Any] = {
        "name": "small",
        "file": "small.csv",
        "rows": None,
        "inputs": {"x": {"source": ["a", "b"], "shape": [2], "dtype": "float32"}},
        "targets": {"label": {"source": "label", "classes": 2}},
        "id": None,
        "ignore": [],
        "dimensions": {},
        "csv": None,
        "split": NO_SPLIT | {"val": 0.2, "test": 0.2, "seed": 0},
    }
    return read(PrepareParams, {"data": values | changes})


def one_input(dtype: str, source: Any = ("a", "b"), shape: Any = (2,)) -> dict[str, Any]:
    return {"x": {"source": source, "shape": shape, "dtype": dtype}}


def run(data: Path, **changes: Any) -> dict[str, np.ndarray]:
    """All arrays of all splits by their path below the output."""
    output = data.parent / "output"
    output.mkdir(exist_ok=True)
    prepare(data, output, params(**changes))
    return {
        str(file.relative_to(output)): np.load(file, mmap_mode="r")
        for file in sorted(output.rglob("*.npy"))
    }


def together(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.concatenate([arrays[f"{split}/{name}.npy"] for split in SPLITS])


def refuses(data: Path, *words: str, error: type[Exception] = DataError, **changes: Any) -> None:
    """One line holding all `words`, and nothing written."""
    with refused(*words, error=error):
        run(data, **changes)
    assert not list((data.parent / "output").rglob("*"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.csv").write_text(SMALL)
    return tmp_path / "data"


def spoil(data: Path, old: str, new: str) -> None:
    file = data / "small.csv"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_the_digits_are_prepared(tmp_path: Path) -> None:
    inputs = {"pixels": {"source": "pixel_{0..63}", "shape": [64], "dtype": "float32"}}
    (tmp_path / "data").symlink_to(ROOT / "data")
    targets = {"label": {"source": "label", "classes": 10}}
    arrays = run(tmp_path / "data", file="digits.csv", inputs=inputs, targets=targets)
    schema = json.loads((tmp_path / "output/schema.json").read_text())
    assert schema["inputs"] == {"pixels": {"dtype": "float32", "shape": [64]}}
    of_label = {"dtype": "int64", "shape": [], "classes": 10, "labels": None}
    assert schema["targets"] == {"label": of_label}
    assert sum(schema["rows"].values()) == 1797
    for split, rows in schema["rows"].items():
        assert arrays[f"{split}/inputs/pixels.npy"].shape == (rows, 64)
        assert arrays[f"{split}/targets/label.npy"].shape == (rows,)
        assert isinstance(arrays[f"{split}/targets/label.npy"], np.memmap)


def test_the_digits_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    rows = np.loadtxt(ROOT / "data/digits.csv", delimiter=",", skiprows=1, dtype=np.int64)
    digits = load_digits()
    np.testing.assert_array_equal(rows, np.column_stack([digits.data, digits.target]))


def test_the_diabetes_rows_are_those_of_scikit_learn() -> None:
    from sklearn.datasets import load_diabetes

    with (ROOT / "data/diabetes.csv").open() as file:
        header, *rows = csv.reader(file)
    diabetes = load_diabetes(scaled=False)
    assert header == [*diabetes.feature_names, "progression"]
    written = np.array(rows, float)
    np.testing.assert_array_equal(written, np.column_stack([diabetes.data, diabetes.target]))


def test_rows_stay_together_and_keep_the_order_of_the_file(data: Path) -> None:
    arrays = run(data)
    for split in SPLITS:
        x, label = arrays[f"{split}/inputs/x.npy"], arrays[f"{split}/targets/label.npy"]
        assert np.array_equal(x[:, 1] * 4, x[:, 0])
        assert np.array_equal(x[:, 0] % 2, label)
        assert np.all(np.diff(x[:, 0]) > 0)
        assert x.dtype == np.float32 and label.dtype == np.int64


def test_files_are_byte_for_byte_those_of_np_save(data: Path) -> None:
    run(data)
    for file in (data.parent / "output").rglob("*.npy"):
        np.save(data.parent / "again.npy", np.load(file))
        assert file.read_bytes() == (data.parent / "again.npy").read_bytes()


def test_a_regression_target_is_float32(data: Path) -> None:
    inputs = one_input("float64", ["a", "label"])
    arrays = run(data, inputs=inputs, targets={"label": {"source": "b", "classes": None}})
    assert arrays["train/targets/label.npy"].dtype == np.float32
    assert sorted(together(arrays, "targets/label")) == [i / 4 for i in range(20)]
    schema = json.loads((data.parent / "output/schema.json").read_text())
    of_number = {"dtype": "float32", "shape": [], "classes": None, "labels": None}
    assert schema["targets"] == {"label": of_number}
    assert schema["rows"] == {"train": 12, "val": 4, "test": 4}


def test_several_inputs_of_any_shape(data: Path) -> None:
    image = np.arange(20 * 2 * 3, dtype=np.uint8).reshape(20, 2, 3)
    age = np.linspace(0, 1, 20)
    np.savez(data / "two.npz", image=image, age=age, label=np.arange(20) % 2)
    inputs = {
        "image": {"source": "image", "shape": [2, 3], "dtype": "uint8"},
        "age": {"source": "age", "shape": [1], "dtype": "float32"},
        "years": {"source": "age", "shape": [], "dtype": "float64"},
    }
    arrays = run(data, file="two.npz", inputs=inputs)
    order = np.argsort(together(arrays, "inputs/years"))
    assert np.array_equal(together(arrays, "inputs/image")[order], image)
    assert np.array_equal(together(arrays, "inputs/age")[order], age[:, None].astype(np.float32))
    schema = json.loads((data.parent / "output/schema.json").read_text())
    assert list(schema["inputs"]) == ["image", "age", "years"]
    assert schema["inputs"]["years"] == {"dtype": "float64", "shape": []}


def test_columns_side_by_side_become_one_shape(data: Path) -> None:
    arrays = run(data, inputs=one_input("float32", ["a", "b"], [2, 1]))
    assert arrays["train/inputs/x.npy"].shape == (12, 2, 1)


def write_all(folder: Path, columns: dict[str, np.ndarray]) -> None:
    """The same values as CSV, Parquet and .npz."""
    lines = [
        ",".join(columns),
        *(",".join(map(str, row)) for row in zip(*columns.values(), strict=True)),
    ]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    parquet.write_table(pa.table(columns), folder / "t.parquet", row_group_size=7)
    np.savez_compressed(folder / "t.npz", **columns)


def a_float32(value: float) -> float:
    """Whole numbers that float32 does not keep are refused."""
    return float(np.float32(value))


@settings(max_examples=15)
@given(st.lists(st.floats(-1e30, 1e30).map(a_float32), min_size=9, max_size=40), st.randoms())
def test_every_kind_of_file_and_order_of_columns_gives_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, values: list[float], random: Any
) -> None:
    folder = tmp_path_factory.mktemp("kinds")
    whole = np.array([random.randint(-(2**63), 2**63 - 1) for _ in values])
    columns = {"a": np.array(values), "n": whole, "label": np.arange(len(values)) % 3}
    shuffled = dict(random.sample(list(columns.items()), 3))
    inputs = one_input("float32", "a", []) | {"n": one_input("int64", "n", [])["x"]}
    found = []
    for name, table in {"one": columns, "other": shuffled}.items():
        (folder / name / "data").mkdir(parents=True)
        write_all(folder / name / "data", table)
        for suffix in ("csv", "parquet", "npz"):
            targets = {"label": {"source": "label", "classes": 3}}
            run(folder / name / "data", file=f"t.{suffix}", inputs=inputs, targets=targets)
            files = sorted((folder / name / "output").rglob("*.*"))
            found.append([file.read_bytes() for file in files])
    assert all(one == found[0] for one in found)


def test_a_missing_file_is_answered_with_what_lies_there(data: Path) -> None:
    refuses(data, "other.csv", "no such file", "holds small.csv", file="other.csv")


def test_a_file_that_dvc_has_not_pulled_says_so(data: Path) -> None:
    (data / "big.csv.dvc").write_text("outs: []\n")
    refuses(data, "big.csv", "dvc pull", file="big.csv")


def test_a_file_outside_of_the_data_directory_is_refused(data: Path) -> None:
    refuses(data, "data.file", "../x.csv", error=ParamsError, file="../x.csv")
    refuses(data, "data.file", error=ParamsError, file="/etc/passwd")


def test_an_unknown_suffix_is_answered_with_the_known_ones(data: Path) -> None:
    (data / "small.xlsx").write_text("")
    refuses(data, ".xlsx", ".csv, .npz, .parquet", file="small.xlsx")


BAD_CELLS = {
    "not_a_number": ("\n4,1.0,0", "\n4,oops,0", ["row 5 (line 6)", "'b'", "'oops'", "a number"]),
    "the_text_NA": ("\n4,1.0,0", "\n4,NA,0", ["row 5 (line 6)", "'b'", "'NA'", "a number"]),
    "underscores": ("\n4,1.0,0", "\n4,1_0,0", ["row 5 (line 6)", "'b'", "'1_0'", "a number"]),
    "no_utf_8": (
        "\n4,1.0,0",
        "\n4,\udcff,0",
        ["row 5 (line 6)", "'b'", "0xff", "a number", "not UTF-8", "save it as UTF-8"],
    ),
    "empty": ("\n4,1.0,0", "\n4,,0", ["row 5 (line 6)", "'b'", "empty"]),
    "nan": ("\n4,1.0,0", "\n4,nan,0", ["row 5 (line 6)", "'b'", "nan", "finite"]),
    "infinite": ("\n4,1.0,0", "\n4,-inf,0", ["row 5 (line 6)", "'b'", "-inf", "finite"]),
    "too_large": ("\n4,1.0,0", "\n4,1e300,0", ["row 5 (line 6)", "'b'", "1e+300", "float32"]),
    "below_an_empty_line": ("\n4,1.0,0", "\n\n\n4,x,0", ["row 5 (line 8)", "'b'", "'x'"]),
    "an_empty_label": ("\n4,1.0,0", "\n4,1.0,", ["row 5 (line 6)", "'label'", "empty"]),
    "half_a_label": ("\n4,1.0,0", "\n4,1.0,0.5", ["row 5 (line 6)", "'label'", "0.5", "0 to 1"]),
    "a_label_of_text": (
        "\n4,1.0,0",
        "\n4,1.0,cat",
        ["(line 6)", "'label'", "'cat'", "name the classes"],
    ),
    "a_label_too_large": ("\n4,1.0,0", "\n4,1.0,2", ["row 5 (line 6)", "'label'", "2", "0 to 1"]),
    "a_label_below_0": ("\n4,1.0,0", "\n4,1.0,-1", ["row 5 (line 6)", "'label'", "-1", "0 to 1"]),
    "a_short_row": ("\n4,1.0,0", "\n4,1.0", ["row 5 (line 6)", "2 cells", "expected 3"]),
    "a_long_row": ("\n4,1.0,0", "\n4,1,0,0", ["row 5 (line 6)", "4 cells", "expected 3"]),
    "the_last_row": ("\n19,4.75,1", "\n19,x,1", ["row 20 (line 21)", "'b'", "'x'"]),
    "no_column": ("a,b,label", "a,c,label", ["no column 'b'", "it has 'a', 'c', 'label'"]),
    "a_doubled_column": ("a,b,label", "a,b,b", ["column 'b'", "twice"]),
    "a_semicolon": ("a,b,label", "a;b;label", ["line 1", "semicolons", "'a;b;label'", "commas"]),
    "a_tab": ("a,b,label", "a\tb\tlabel", ["line 1", "found tabs", "save it with commas"]),
    "spaces": ("a,b,label", "a, b, label", ["no column 'b'; it has 'a', ' b'", "spaces of ' b'"]),
    "true": ("\n4,1.0,0", "\n4,true,0", ["row 5 (line 6)", "'true'", "write 1 for true and 0"]),
    "a_comma": ("\n4,1.0,0", '\n4,"1,5",0', ["row 5 (line 6)", "'1,5'", "write a point"]),
    "a_date": (
        "\n4,1.0,0",
        "\n4,2026-01-31,0",
        ["row 5 (line 6)", "dates are read as numbers where"],
    ),
    "a_time": (
        "\n4,1.0,0",
        "\n4,12:30:00,0",
        ["row 5 (line 6)", "dates are read as numbers where"],
    ),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_a_bad_cell_is_named_by_file_row_line_and_column(data: Path, case: str) -> None:
    old, new, words = BAD_CELLS[case]
    assert old in SMALL
    spoiled = SMALL.replace(old, new, 1)
    (data / "small.csv").write_text(spoiled, errors="surrogateescape")
    refuses(data, "small.csv", *words)


def test_a_bad_cell_deep_in_a_file_is_named(data: Path) -> None:
    rows = [f"{i},{i / 4},{i % 2}" for i in range(100_000)]
    rows[77_777] = "1,1O,0"
    (data / "small.csv").write_text("\n".join(["a,b,label", *rows]))
    refuses(data, "row 77778 (line 77779)", "'b'", "'1O'")


def test_quotes_and_windows_line_ends_change_nothing(data: Path) -> None:
    plain = {name: array.tolist() for name, array in run(data).items()}
    other = SMALL.replace("\n", "\r\n").replace("4,1.0,0", '"4", 1.0 ,0')
    (data / "small.csv").write_bytes(b"\xef\xbb\xbf" + other.encode())
    assert {name: array.tolist() for name, array in run(data).items()} == plain


def test_a_label_may_be_written_as_a_float(data: Path) -> None:
    plain = together(run(data), "targets/label").tolist()
    (data / "small.csv").write_text(SMALL.replace("0\n", "0.0\n").replace("1\n", "1e0\n"))
    assert together(run(data), "targets/label").tolist() == plain


@pytest.mark.parametrize(
    ("cell", "dtype", "words"),
    [
        ("300", "uint8", ["300", "0 to 255 (uint8)"]),
        ("-1", "uint8", ["-1", "0 to 255 (uint8)"]),
        ("2.5", "uint8", ["2.5", "whole number", "0 to 255 (uint8)"]),
        ("2.5", "int64", ["'2.5'", "whole number"]),
        ("9223372036854775808", "int64", ["'9223372036854775808'", "int64"]),
        ("1e39", "float32", ["1e+39", "float32"]),
    ],
)
def test_a_value_that_does_not_fit_the_dtype_is_named(
    data: Path, cell: str, dtype: str, words: list[str]
) -> None:
    spoil(data, "\n4,1.0,0", f"\n{cell},1.0,0")
    inputs = one_input(dtype, "a", []) | {"y": one_input("float64", "b", [])["x"]}
    refuses(data, "row 5 (line 6)", "column 'a'", *words, inputs=inputs)


def test_a_column_nobody_claims_is_named(data: Path) -> None:
    refuses(data, "column 'b'", "no input, target or id", inputs=one_input("uint8", "a", []))


def test_a_wrong_shape_is_named(data: Path) -> None:
    refuses(data, "inputs/x", "2 columns", "(3,)", inputs=one_input("float32", shape=[3]))
    np.savez(data / "s.npz", a=np.zeros((20, 2, 2)), label=np.arange(20) % 2)
    inputs = one_input("float32", "a", [4])
    refuses(data, "inputs/x", "shape (2, 2) a row", "(4,)", file="s.npz", inputs=inputs)
    targets = {"label": {"source": "a", "classes": None}}
    inputs = one_input("float32", "label", [])
    refuses(
        data,
        "targets/label",
        "shape (2, 2)",
        "correct data.targets.label.shape",
        file="s.npz",
        inputs=inputs,
        targets=targets,
    )


@pytest.mark.parametrize("name", ["two words", "1st", "class", "a-b", ""])
def test_an_input_that_forward_could_not_take_is_refused(data: Path, name: str) -> None:
    inputs = {name: one_input("float32")["x"]}
    refuses(data, f"data.inputs.{name}", error=ParamsError, inputs=inputs)


def test_the_target_or_the_id_among_the_inputs_is_refused(data: Path) -> None:
    inputs = one_input("float32", ["a", "b", "label"], [3])
    refuses(data, "data.inputs.x.source", "'label'", error=ParamsError, inputs=inputs)
    refuses(data, "data.inputs.x.source", "'a'", error=ParamsError, id="a")
    refuses(data, "data.inputs", "empty", error=ParamsError, inputs={})


def test_a_class_too_small_for_the_split_is_named(data: Path) -> None:
    rows = "\n".join(["a,b,label", *(f"{i},0,{int(i > 17)}" for i in range(20))])
    (data / "small.csv").write_text(rows)
    refuses(data, "'label'", "class 1 has 2 rows", "at least 3")


def test_a_class_that_never_occurs_is_allowed(data: Path) -> None:
    run(data, targets={"label": {"source": "label", "classes": 5}})


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_too_few_rows_for_the_split_are_refused(data: Path, rows: int) -> None:
    (data / "small.csv").write_text("".join(SMALL.splitlines(keepends=True)[: rows + 1]))
    targets = {"label": {"source": "label", "classes": None}}
    refuses(data, f"{rows} rows", "at least 3", targets=targets)
    np.savez(data / "s.npz", **dict.fromkeys(["a", "b", "label"], np.zeros(rows)))
    refuses(data, f"{rows} rows", "at least 3", targets=targets, file="s.npz")


@pytest.mark.parametrize("rows", [3, 4, 5])
def test_so_few_rows_still_reach_every_split(data: Path, rows: int) -> None:
    (data / "small.csv").write_text("".join(SMALL.splitlines(keepends=True)[: rows + 1]))
    arrays = run(data, targets={"label": {"source": "label", "classes": None}})
    assert all(len(array) for array in arrays.values())


def test_an_empty_file_is_named(data: Path) -> None:
    (data / "small.csv").write_text("")
    refuses(data, "small.csv", "empty")


def with_ids(*ids: str) -> str:
    rows = [f"{i},{i},{i % 2},{ids[i] if i < len(ids) else f'id-{i}'}" for i in range(20)]
    return "\n".join(["a,b,label,key", *rows])


def test_ids_are_left_out_of_the_arrays(data: Path) -> None:
    (data / "small.csv").write_text(with_ids())
    arrays = run(data, id="key")
    assert arrays["train/inputs/x.npy"].shape == (12, 2)


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        (("u", "v", "ü", "w", "ü", "v"), ["row 5 (line 6)", "'key'", "the id of row 3 again"]),
        (("u", "", "v"), ["row 2 (line 3)", "'key'", "empty"]),
        (('"two\nlines"', "x", "x"), ["row 3 (line 5)", "'key'", "the id of row 2 again"]),
    ],
)
def test_a_repeated_or_empty_id_is_named(data: Path, ids: tuple[str], words: list[str]) -> None:
    (data / "small.csv").write_text(with_ids(*ids))
    refuses(data, *words, id="key")
    (data / "small.csv").write_text(SMALL)
    refuses(data, "no column 'key'", id="key")


WORDS = ["Łódź", "a b", "Αθήνα", "x,y", 'say "x"', "0", "-", "☃", "mañana", "NA"]
TEXT = {"town": {"source": "town", "shape": [], "dtype": "string"}}


def write_words(folder: Path, words: list[str]) -> dict[str, Any]:
    """A table of texts and labels in every kind of file, and how to read it."""
    label = np.arange(len(words)) % 2
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerows([("town", "label"), *zip(words, label, strict=True)])
    table = pa.table({"town": pa.array(words, pa.string()), "label": label})
    parquet.write_table(table, folder / "t.parquet", row_group_size=7)
    np.savez(folder / "t.npz", town=np.array(words), label=label)
    return {"inputs": TEXT, "targets": {"label": {"source": "label", "classes": 2}}}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_texts_become_fixed_width_and_can_be_mapped(data: Path, suffix: str) -> None:
    changes = write_words(data, WORDS * 4)
    arrays = run(data, file=f"t.{suffix}", **changes)
    town = arrays["train/inputs/town.npy"]
    assert isinstance(town, np.memmap) and town.dtype == "<U7"
    assert sorted(together(arrays, "inputs/town")) == sorted(WORDS * 4)
    schema = json.loads((data.parent / "output/schema.json").read_text())
    assert schema["inputs"] == {"town": {"dtype": "string", "shape": []}}
    for file in (data.parent / "output").rglob("*.npy"):
        np.save(data.parent / "again.npy", np.load(file))
        assert file.read_bytes() == (data.parent / "again.npy").read_bytes()


def test_columns_of_text_stand_side_by_side(data: Path) -> None:
    rows = "".join(f"{w[0]},{w},{i % 2}\n" for i, w in enumerate(["ab", "cde", "f"] * 7))
    (data / "small.csv").write_text("short,long,label\n" + rows)
    inputs = {"both": {"source": ["short", "long"], "shape": [2], "dtype": "string"}}
    both = run(data, inputs=inputs)["train/inputs/both.npy"]
    assert both.shape == (13, 2) and both.dtype == "<U3"
    assert {tuple(row) for row in both.tolist()} == {("a", "ab"), ("c", "cde"), ("f", "f")}


def test_texts_in_an_npz_may_have_any_shape_and_be_bytes(data: Path) -> None:
    words = np.array(WORDS * 2).reshape(10, 2, 1)
    encoded = np.char.encode(words, "utf-8")
    np.savez(data / "t.npz", words=words, encoded=encoded, label=np.arange(10) % 2)
    entry = {"source": "words", "shape": [2, 1], "dtype": "string"}
    inputs = {"words": entry, "encoded": entry | {"source": "encoded"}}
    arrays = run(data, file="t.npz", inputs=inputs)
    assert np.array_equal(together(arrays, "inputs/words"), together(arrays, "inputs/encoded"))
    assert arrays["train/inputs/words.npy"].shape[1:] == (2, 1)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_an_empty_text_is_a_missing_one_in_every_kind_of_file(data: Path, suffix: str) -> None:
    changes = write_words(data, [*WORDS, "", *WORDS])
    refuses(data, "row 11", "'town'", "the cell is empty", file=f"t.{suffix}", **changes)


@pytest.mark.parametrize(
    ("town", "words"),
    [
        (np.array([b"x"] * 6 + [b"\xff"] * 14), ["row 7", "b'\\xff'", "UTF-8"]),
        (np.array(["x"] * 6 + ["\ud800"] * 14), ["row 7", "'\\ud800'", "UTF-8"]),
    ],
)
def test_a_text_that_is_none_is_named(data: Path, town: np.ndarray, words: list[str]) -> None:
    np.savez(data / "t.npz", town=town, label=np.arange(20) % 2)
    refuses(data, "column 'town'", *words, file="t.npz", inputs=TEXT)


def test_a_text_that_would_lose_its_end_is_named(data: Path) -> None:
    town = pa.array(["x"] * 6 + ["x\0"] + ["x"] * 13)
    parquet.write_table(pa.table({"town": town, "label": np.arange(20) % 2}), data / "t.parquet")
    refuses(data, "row 7", "'town'", "NUL", file="t.parquet", inputs=TEXT)


def test_the_parcels_are_what_their_note_says(tmp_path: Path) -> None:
    note = (ROOT / "data/parcels.md").read_text()
    code = note.partition("```python\n")[2].partition("```")[0]
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    written = (tmp_path / "parcels.csv").read_text()
    assert written == (ROOT / "data/parcels.csv").read_text()
    late = sum(line.endswith(",1") for line in written.splitlines())
    assert f"1 for {late} of the {written.count(chr(10)) - 1} rows" in note


def columns_of_small(**changes: Any) -> dict[str, Any]:
    rows = np.arange(20)
    return {"a": rows, "b": rows / 4, "label": rows % 2} | changes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": [None if i == 6 else i for i in range(20)]}, ["row 7, column 'b'", "empty"]),
        ({"b": [float("inf") if i == 6 else i for i in range(20)]}, ["row 7, column 'b'", "inf"]),
        ({"b": ["1"] * 20}, ["column 'b'", "string", "expected numbers"]),
        (
            {"b": [[1.0]] * 20},
            ["column 'b'", "found lists, expected shape", "make columns of it"],
        ),
        ({"b": [[["x"]]] * 20}, ["column 'b'", "list<list<string>>, expected numbers"]),
        ({"b": [{"x": 1}] * 20}, ["column 'b'", "struct<x: int64>, structs are not read"]),
        ({"b": [None] * 20}, ["column 'b'", "null", "holds no value"]),
        ({"b": [datetime(2026, 1, 1)] * 20}, ["column 'b'", "timestamp", "dates are read as"]),
        (
            {"b": [date(2026, 1, 1)] * 20},
            ["column 'b'", "date32", "dates are read as numbers where"],
        ),
        ({"b": [time(1, 30)] * 20}, ["column 'b'", "time64", "dates are read as numbers where"]),
        ({"label": ["cat", "dog"] * 10}, ["column 'label'", "string", "name the classes"]),
        ({"key": [[7]] * 20}, ["column 'key'", "list<int64>, lists are not read"]),
        ({"label": [3 if i == 6 else 0 for i in range(20)]}, ["row 7, column 'label'", "0 to 1"]),
        ({"z": np.arange(20)}, ["column 'z'", "no input, target or id"]),
        ({"key": [7, 8, 9, 8, *range(10, 26)]}, ["row 4, column 'key'", "row 2 again"]),
    ],
)
def test_bad_parquet_is_named(data: Path, changes: dict[str, Any], words: list[str]) -> None:
    table = pa.table({k: pa.array(v) for k, v in columns_of_small(**changes).items()})
    parquet.write_table(table, data / "t.parquet", row_group_size=4)
    refuses(data, "t.parquet", *words, file="t.parquet", id="key" if "key" in changes else None)


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
def test_a_file_that_is_none_of_its_suffix_is_named(data: Path, suffix: str) -> None:
    (data / f"t.{suffix}").write_text(SMALL)
    refuses(data, f"t.{suffix}", f"no {'Parquet' if suffix == 'parquet' else '.npz'} file",
            file=f"t.{suffix}")  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_a_file_cut_short_or_damaged_is_one_line(data: Path, suffix: str) -> None:
    rows = np.random.default_rng(0).normal(size=20_000)
    write_all(data, {"a": rows, "b": rows, "label": np.arange(20_000) % 2})
    file = data / f"t.{suffix}"
    whole = file.read_bytes()
    cut = whole[: whole.rindex(b"\n", 0, len(whole) // 2) - 3] if suffix == "csv" else whole[:9000]
    damaged = whole[:9000] + bytes(255 - byte for byte in whole[9000:9100]) + whole[9100:]
    for spoiled in (cut, damaged):
        file.write_bytes(spoiled)
        refuses(data, f"t.{suffix}", file=f"t.{suffix}")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"b": np.full(20, np.nan)}, ["row 1, column 'b'", "nan", "finite"]),
        ({"b": np.zeros(19)}, ["number of rows", "a 20", "b 19"]),
        ({"b": np.array([{}] * 20)}, ["'b'", "object", "pickles"]),
        ({"b": np.array(["x"] * 20)}, ["'b'", "text", "expected numbers"]),
        ({"b": np.zeros(20, complex)}, ["'b'", "complex128", "expected numbers"]),
        (
            {"b": np.array(1.0)},
            ["'b'", "single value", "expected rows; leave it out of the file"],
        ),
        ({"b": np.zeros(20, "M8[s]")}, ["'b'", "datetime64[s]", "dates are read as numbers where"]),
        ({"b": np.zeros(20, [("x", "i4")])}, ["'b'", "make an array of each field"]),
        ({"label": np.zeros((20, 1))}, ["targets/label: found shape (1,) a row", "y.ravel()"]),
        ({"label": np.array(["cat", "dog"] * 10)}, ["'label'", "text", "name the classes"]),
        ({"b": np.asfortranarray(np.zeros((20, 2)))}, ["'b'", "column-major"]),
        ({"z": np.zeros(20)}, ["column 'z'", "no input, target or id"]),
    ],
)
def test_a_bad_npz_is_named(data: Path, changes: dict[str, Any], words: list[str]) -> None:
    np.savez(data / "t.npz", **columns_of_small(**changes))
    refuses(data, "t.npz", *words, file="t.npz")


def test_the_place_within_a_row_of_an_array_is_named(data: Path) -> None:
    image = np.zeros((20, 2, 3))
    image[7, 1, 2] = 256
    np.savez(data / "t.npz", image=image, label=np.arange(20) % 2)
    inputs = one_input("uint8", "image", [2, 3])
    refuses(data, "row 8, column 'image[1, 2]'", "256", file="t.npz", inputs=inputs)


def test_an_object_array_is_never_unpickled(data: Path) -> None:
    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(data / "exploded"),)

    np.savez(data / "t.npz", **columns_of_small(b=np.array([Bomb()] * 20)))
    refuses(data, "'b'", "object", file="t.npz")
    assert not (data / "exploded").exists()


def test_an_npz_with_something_else_in_it_is_refused(data: Path) -> None:
    np.savez(data / "t.npz", **columns_of_small())
    with zipfile.ZipFile(data / "t.npz", "a") as archive:
        archive.writestr("notes.txt", "hello")
    refuses(data, "'notes.txt'", "no .npy header", file="t.npz")


@pytest.mark.parametrize("rows", [19, 21])
def test_a_file_that_changes_while_it_is_read_is_noticed(data: Path, rows: int) -> None:
    arrays = {"targets/label": ArraySpec(columns=("label",), shape=(), dtype="int64", classes=2)}
    table, splits = open_table(data / "small.csv"), np.zeros(rows, np.uint8)
    lengths = Lengths(table, arrays, params().data)
    with pytest.raises(DataError, match="changed while it was read"):
        _write(table, arrays, splits, lengths, data.parent)


def peak_memory(folder: Path, file: str) -> int:
    """Of a process that prepares many rows, in MB above one that prepares few.

    By VmHWM: getrusage's ru_maxrss starts from the size of the process that forked this one.
    """
    script = """
        import sys
        from pathlib import Path
        from pipeline.config.reading import read
        from pipeline.config.params import PrepareParams
        from pipeline.prepare import prepare
        dataset = dict(name="m", file=sys.argv[1], rows=None, id=None, ignore=[], dimensions={},
            targets=dict(label=dict(source="label", classes=3)),
            inputs=dict(x=dict(source=SOURCE, shape=[50], dtype="float32")),
            split=dict(val=.2, test=.2, seed=0, by=None, group=None, time=None),
            csv=None)
        prepare(Path("data"), Path("out"), read(PrepareParams, dict(data=dataset)))
        forbidden = {"torch", "tensorflow", "sklearn", "pandas", "mlflow"} & set(sys.modules)
        assert not forbidden, forbidden
        print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
    """
    source = "'x'" if file.endswith("npz") else "'x{0..49}'"
    code = textwrap.dedent(script).replace("SOURCE", source)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    (folder / "out").mkdir(exist_ok=True)
    peaks = [
        int(
            subprocess.check_output([sys.executable, "-c", code, name], cwd=folder, env=environment)
        )
        for name in (f"few.{file}", f"many.{file}")
    ]
    return (peaks[1] - peaks[0]) // 1024


@pytest.mark.parametrize(
    ("kind", "rows"), [("npz", 800_000), ("parquet", 400_000), ("csv", 400_000)]
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, kind: str, rows: int) -> None:
    (tmp_path / "data").mkdir()
    for name, count in {"few": 100_000, "many": rows}.items():
        file = tmp_path / f"data/{name}.{kind}"
        x = np.random.default_rng(0).random((count, 50), dtype=np.float32)
        label = np.arange(count) % 3
        if kind == "npz":
            np.savez(file, x=x, label=label)
        elif kind == "parquet":
            columns = {f"x{i}": x[:, i] for i in range(50)}
            parquet.write_table(pa.table(columns | {"label": label}), file, use_dictionary=False)
        else:
            line = ",".join(f"x{i}" for i in range(50)) + ",label\n"
            block = "".join(
                f"{','.join(map(str, row))},{n}\n" for row, n in zip(x[:99], label, strict=False)
            )
            file.write_text(line + block * max(1, count // 99))
    assert peak_memory(tmp_path, kind) < 45


HUGE = 2**53
"""Above it a float64 does not tell which whole number is meant."""


def write_column(data: Path, suffix: str, values: list[Any], dtype: Any) -> dict[str, Any]:
    """One column of 20 rows and a label, in a kind of file; how to read it as float64."""
    values, label = [*values, *range(20 - len(values))], np.arange(20) % 2
    if suffix == "csv":
        rows = "".join(f"{v},{i}\n" for v, i in zip(values, label, strict=True))
        (data / "t.csv").write_text("a,label\n" + rows)
    elif suffix == "parquet":
        column = (
            pa.array(values, dtype) if isinstance(dtype, pa.DataType) else np.array(values, dtype)
        )
        parquet.write_table(pa.table({"a": column, "label": label}), data / "t.parquet")
    else:
        np.savez(data / "t.npz", a=np.array(values, dtype), label=label)
    return {"file": f"t.{suffix}", "inputs": one_input("float64", "a", [])}


WHOLE = [
    *(("csv", int), ("parquet", np.int64), ("parquet", np.uint64), ("parquet", np.float64)),
    *(("parquet", pa.decimal128(20, 0)), ("npz", np.int64), ("npz", np.uint64)),
    *(("npz", np.float64), ("npz", np.int32)),
]


@pytest.mark.parametrize(("suffix", "dtype"), WHOLE)
def test_a_whole_number_that_float32_does_not_keep_is_refused(data, suffix, dtype) -> None:
    """Unix times would become one."""
    changes = write_column(data, suffix, [2**24, 1700000001], dtype)
    changes["inputs"]["x"]["dtype"] = "float32"
    words = ["row 2", "'a'", "found 1700000001", "float32 keeps, as it does all to 16777216"]
    refuses(data, *words, "would be 1700000000", "declare float64, or subtract", **changes)
    changes = write_column(data, suffix, [2**24 + 2, 1700000000], dtype)
    changes["inputs"]["x"]["dtype"] = "float32"
    assert together(run(data, **changes), "inputs/x").max() == 1700000000


@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [case for case in WHOLE if case[1] not in (np.float64, np.int32)],
)
def test_a_whole_number_that_float64_does_not_keep_is_refused(data, suffix, dtype) -> None:
    changes = write_column(data, suffix, [HUGE, HUGE + 1], dtype)
    words = ["row 2", f"found {HUGE + 1}", f"would be {HUGE}", "declare int64, or subtract"]
    refuses(data, *words, **changes)
    changes = write_column(data, suffix, [HUGE, HUGE + 2, 10**18], dtype)
    assert together(run(data, **changes), "inputs/x").max() == 10**18


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_a_negative_whole_number_is_as_a_positive_one(data, suffix) -> None:
    changes = write_column(data, suffix, [-(2**63), -HUGE - 1], np.int64)
    refuses(data, "row 2", f"found {-HUGE - 1}", f"would be {-HUGE}", **changes)


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_a_regression_target_is_not_rounded_to_one_value(data: Path, suffix: str) -> None:
    changes = write_column(data, suffix, [1700000001 + i for i in range(20)], np.int64)
    changes["inputs"]["x"]["source"] = "label"
    targets = {"label": {"source": "a", "classes": None}}
    words = ["row 1", "'a'", "1700000001", "subtract an offset from the column"]
    refuses(data, *words, **changes, targets=targets)


def test_measurements_are_rounded_as_floats_are(data: Path, capsys) -> None:
    changes = write_column(data, "csv", [0.1, 1e20, 123456789.5, 1.2345678901e25], None)
    changes["inputs"]["x"]["dtype"] = "float32"
    kept = together(run(data, **changes), "inputs/x")
    assert np.float32(0.1) in kept and np.float32(1.2345678901e25) in kept
    assert capsys.readouterr().err == ""


def test_whole_numbers_of_decimals_are_read_exactly(data: Path) -> None:
    values = [Decimal(2**63 - 1), Decimal(-(2**63)), Decimal(HUGE + 1)]
    changes = write_column(data, "parquet", values, pa.decimal128(20, 0))
    changes["inputs"] = one_input("int64", "a", [])
    kept = together(run(data, **changes), "inputs/x").tolist()
    assert {2**63 - 1, -(2**63), HUGE + 1} <= set(kept)


@pytest.mark.parametrize("value", [Decimal(2**63), Decimal("1.5")])
def test_a_decimal_that_is_no_int64_is_named(data: Path, value: Decimal) -> None:
    changes = write_column(data, "parquet", [0, value, Decimal(2**62)], pa.decimal128(24, 2))
    changes["inputs"] = one_input("int64", "a", [])
    refuses(data, "row 2", f"found {value}", "a whole number", **changes)


def test_an_unsigned_number_beyond_int64_is_named(data: Path) -> None:
    for suffix in ("parquet", "npz"):
        changes = write_column(data, suffix, [2**64 - 1], np.uint64)
        changes["inputs"] = one_input("int64", "a", [])
        refuses(data, "row 1", f"found {2**64 - 1}", "int64", **changes)


def test_a_column_that_float32_hardly_tells_apart_is_told(data: Path, capsys) -> None:
    times = [1700000000.25 + i for i in range(20)]
    changes = write_column(data, "csv", times, None)
    run(data, **changes)
    assert capsys.readouterr().err == ""
    changes["inputs"]["x"]["dtype"] = "float32"
    run(data, **changes)
    said = capsys.readouterr().err
    assert "t.csv: column 'a': float32 tells no values apart from 1700000000.25 to" in said
    assert said.count("\n") == 1


def test_values_that_become_0_are_told(data: Path, capsys) -> None:
    changes = write_column(data, "npz", [1e-60], np.float64)
    changes["inputs"]["x"]["dtype"] = "float32"
    run(data, **changes)
    assert "column 'a': values as small as 1e-60 become 0 in float32" in capsys.readouterr().err


TEXTS = [
    *([0.5] * 20, [True, False] * 10, [[1]] * 20, [{"u": 1}] * 20, [datetime(2026, 1, 1)] * 20),
    *([date(2026, 1, 1)] * 20, [Decimal("0.10")] * 20, [None] * 20),
]


@pytest.mark.parametrize("values", TEXTS, ids=lambda values: type(values[0]).__name__)
def test_what_is_no_text_is_not_taken_as_pythons_repr(data: Path, values: list[Any]) -> None:
    table = pa.table({"town": pa.array(values), "label": np.arange(20) % 2})
    parquet.write_table(table, data / "t.parquet")
    refuses(data, "column 'town'", "found", file="t.parquet", inputs=TEXT)


@pytest.mark.parametrize("dtype", [float, bool])
def test_numbers_of_an_npz_are_no_texts(data: Path, dtype: type) -> None:
    np.savez(data / "t.npz", town=np.ones(20, dtype), label=np.arange(20) % 2)
    refuses(data, "'town'", "expected text", file="t.npz", inputs=TEXT)


def test_whole_numbers_and_categories_are_texts_as_in_a_csv(data: Path) -> None:
    for values in (pa.array(range(20)), pa.array(["u", "v"] * 10).dictionary_encode()):
        table = pa.table({"town": values, "label": np.arange(20) % 2})
        parquet.write_table(table, data / "t.parquet")
        kept = together(run(data, file="t.parquet", inputs=TEXT), "inputs/town")
        assert sorted(kept) == sorted(map(str, values.to_pylist()))


@pytest.mark.parametrize(
    "ids", [[datetime(2026, 1, 1 + i) for i in range(20)], [i / 4 for i in range(20)]]
)
def test_an_id_may_be_any_single_value(data: Path, ids: list[Any]) -> None:
    table = pa.table(columns_of_small() | {"key": pa.array(ids)})
    parquet.write_table(table, data / "t.parquet")
    run(data, file="t.parquet", id="key")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_header_that_is_not_utf8_is_named(data: Path, encoding: str) -> None:
    text = SMALL.replace("a,b,label", "größe,b,label")
    (data / "small.csv").write_bytes(text.encode(encoding))
    kind = "not UTF-8, found the byte 0xf6" if encoding == "latin-1" else "not UTF-8 but UTF-16"
    refuses(data, f"small.csv: line 1: {kind}: save it as UTF-8")


def test_a_text_that_is_not_utf8_is_named(data: Path) -> None:
    rows = "".join(f"{'Köln' if i == 6 else 'Bonn'},{i % 2}\n" for i in range(20))
    (data / "small.csv").write_bytes(f"town,label\n{rows}".encode("latin-1"))
    refuses(data, "row 7 (line 8)", "'town'", "byte 0xf6", "save it as UTF-8", inputs=TEXT)


def test_a_bad_cell_behind_a_long_one_has_its_own_row(data: Path) -> None:
    rows = "".join(
        f'"{"w " * (100_000 if i == 3 else 2)}",{"oops" if i == 40 else i},{i % 2}\n'
        for i in range(60)
    )
    (data / "small.csv").write_text("town,n,label\n" + rows)
    inputs = TEXT | {"n": one_input("float32", "n", [])["x"]}
    refuses(data, "row 41 (line 42)", "column 'n'", "'oops'", inputs=inputs)


def test_a_long_cell_is_not_shown_whole(data: Path) -> None:
    spoil(data, "\n4,1.0,0", f"\n4,{'x' * 200_000},0")
    with pytest.raises(DataError, match="of 200000 characters, expected a number") as refusal:
        run(data)
    assert len(str(refusal.value)) < 500


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_one_class_alone_is_refused(data: Path, suffix: str) -> None:
    columns = columns_of_small(label=np.ones(20, int))
    write_all(data, columns)
    words = ["'label'", "class 1 alone in all 20 rows", "two classes at least", "nothing can be"]
    refuses(data, *words, file=f"t.{suffix}")


def test_a_regression_target_of_one_value_is_refused(data: Path) -> None:
    write_all(data, columns_of_small(label=np.full(20, 2.5)))
    targets = {"label": {"source": "label", "classes": None}}
    refuses(data, "'label'", "2.5 in all 20 rows", "that differ", targets=targets, file="t.csv")


def test_a_class_without_rows_is_told_in_one_line(data: Path, capsys) -> None:
    run(data, targets={"label": {"source": "label", "classes": 4}})
    said = capsys.readouterr().err
    assert said.endswith("column 'label': no row of class 2, 3 in train, val, test\n")
    assert said.count("\n") == 1
    run(data)
    assert capsys.readouterr().err == ""


def test_a_class_that_a_split_lacks_is_told_and_one_alone_in_train_refused(data, capsys) -> None:
    targets = {"label": {"source": "label", "classes": 3}}
    table, declared = open_table(data / "small.csv"), params(targets=targets).data
    labels, splits = np.array([0, 1, 2, 0, 1, 0, 2]), np.array([0, 0, 0, 1, 1, 2, 2])
    demand_classes(table, declared, labels, splits)
    assert "no row of class 1 in test; 2 in val\n" in capsys.readouterr().err
    with pytest.raises(DataError, match="class 0 alone in train, expected two classes at least"):
        demand_classes(table, declared, labels, np.array([0, 1, 1, 0, 2, 2, 2]))


ALL = {"x": {"source": "all but the target", "shape": [2], "dtype": "float32"}}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
def test_all_but_the_target_are_the_columns_that_nothing_else_names(data, suffix) -> None:
    columns = {"key": np.arange(20), "b": np.arange(20) / 4, "note": np.full(20, "x")}
    columns |= {"label": np.arange(20) % 2, "a": np.arange(20), "skip_1": np.full(20, np.nan)}
    write_all(data, columns)
    changes = {"inputs": ALL, "id": "key", "ignore": ["note", "skip_{1..1}"]}
    x = together(run(data, file=f"t.{suffix}", **changes), "inputs/x")
    assert np.array_equal(x[:, 0] * 4, x[:, 1])


def test_all_but_the_target_leaves_other_inputs_their_columns(data: Path) -> None:
    inputs = {"x": ALL["x"] | {"shape": [1]}, "y": one_input("float64", "b", [])["x"]}
    arrays = run(data, inputs=inputs)
    assert np.array_equal(together(arrays, "inputs/x")[:, 0], together(arrays, "inputs/y") * 4)


def test_another_number_of_columns_is_told_with_the_one_there_is(data: Path) -> None:
    inputs = {"x": ALL["x"] | {"shape": [3]}}
    refuses(data, "inputs/x: found 2 columns", "correct data.inputs.x", inputs=inputs)


def test_what_is_ignored_is_not_read_but_must_be_there(data: Path) -> None:
    spoil(data, "\n4,1.0,0", "\n4,oops,0")
    refuses(data, "no column 'c'", inputs=one_input("float32", ["a"], [1]), ignore=["b", "c"])
    refuses(data, "column 'b'", "name it in data.ignore", inputs=one_input("float32", ["a"], [1]))
    run(data, inputs=one_input("float32", ["a"], [1]), ignore=["b"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ignore": ["a"]}, "data.inputs.x.source: 'a' is a target, an id or ignored, no input"),
        (
            {"ignore": ["label"]},
            "data.targets.label.source: 'label' is an id or ignored, no target",
        ),
        ({"id": "k", "ignore": ["k"]}, "data.ignore: names an id, or a column twice"),
        ({"inputs": one_input("float32", "p_{2..1}", [1])}, "'p_{2..1}', which names no column"),
    ],
)
def test_a_column_is_named_once(data: Path, changes: dict[str, Any], said: str) -> None:
    refuses(data, said, error=ParamsError, **changes)


def test_several_ids_must_differ_together(data: Path) -> None:
    rows = [f"{i},{i},{i % 2},{i // 5},{i % 5}" for i in range(20)]
    repeated = [*rows[:7], "7,7,1,0,2", *rows[8:]]
    (data / "small.csv").write_text("\n".join(["a,b,label,shop,day", *repeated]))
    words = ["row 8 (line 9)", "column 'shop, day'", "the id of row 3 again"]
    refuses(data, *words, id=["shop", "day"])
    (data / "small.csv").write_text("\n".join(["a,b,label,shop,day", *rows]))
    assert run(data, id=["shop", "day"])["train/inputs/x.npy"].shape == (12, 2)
