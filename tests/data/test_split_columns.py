"""A column may name the split, a group or a time; what is too little for that ends in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from testing.prepared import an_input, prepared, refusal, together

SPLIT = {"val": 0.25, "test": 0.25, "seed": 0}


def write(folder: Path, rows: int = 40, **columns: Any) -> None:
    """x is the row's number, label 0 and 1 in turn."""
    all_columns = {"x": range(rows), "label": [i % 2 for i in range(rows)], **columns}
    lines = [",".join(all_columns)]
    lines += [",".join(map(str, row)) for row in zip(*all_columns.values(), strict=True)]
    (folder / "t.csv").write_text("\n".join(lines) + "\n")


def rows_of(arrays: dict[str, np.ndarray]) -> dict[str, list[int]]:
    names = ("train", "val", "test")
    return {n: arrays[f"{n}/inputs/x.npy"].astype(int).tolist() for n in names}


def test_a_column_names_the_split(tmp_path: Path) -> None:
    folds = ["train", "train", "val", "test"] * 10
    write(tmp_path, fold=folds)
    found = rows_of(prepared(tmp_path, "t.csv", split={"by": {"column": "fold"}}))
    assert found == {n: [i for i, f in enumerate(folds) if f == n] for n in found}


def test_its_values_may_be_other_words(tmp_path: Path) -> None:
    write(tmp_path, fold=[2, 0, 0, 1] * 10)
    by = {"column": "fold", "train": "0", "val": "1", "test": "2"}
    found = rows_of(prepared(tmp_path, "t.csv", split={"by": by}))
    assert found["test"] == list(range(0, 40, 4)) and found["val"] == list(range(3, 40, 4))


def test_a_split_that_the_column_does_not_name_is_drawn_from_train(tmp_path: Path) -> None:
    write(tmp_path, fold=["train"] * 30 + ["test"] * 10)
    split = {"by": {"column": "fold"}, "val": 0.2, "seed": 0}
    found = rows_of(prepared(tmp_path, "t.csv", split=split))
    assert found["test"] == list(range(30, 40)) and len(found["val"]) == 6


@pytest.mark.parametrize(
    ("folds", "more", "words"),
    [
        (["train", "tset"] * 20, {}, ["row 2 (line 3), column 'fold': found 'tset'", "mean test?"]),
        (["train", "test"] * 20, {}, ["data.split.val: missing, and no row of", "such as 0.2"]),
        (["train", "test", "val", "val"] * 10, {"val": 0.2}, ["data.split.val: found 0.2", "null"]),
        (["val", "test"] * 20, {}, ["'fold': no row is of train"]),
        (["train", "test"] * 20, {"val": 0.2}, ["data.split.seed: missing"]),
        (["train", ""] * 20, {}, ["row 2 (line 3), column 'fold': the cell is empty"]),
    ],
)
def test_a_column_that_does_not_name_the_split_is_one_line(
    tmp_path: Path, folds: list[str], more: dict[str, Any], words: list[str]
) -> None:
    write(tmp_path, fold=folds)
    said = refusal(tmp_path, "t.csv", split={"by": {"column": "fold"}, **more})
    for word in words:
        assert word in said, said


@pytest.mark.parametrize("columns", ["site", ["site", "day"]])
def test_no_group_is_on_two_sides(tmp_path: Path, columns: Any) -> None:
    write(tmp_path, site=[i % 10 for i in range(40)], day=[i % 4 for i in range(40)])
    ignore = ["day"] if columns == "site" else []
    split = SPLIT | {"group": columns}
    found = rows_of(prepared(tmp_path, "t.csv", split=split, ignore=ignore))
    size = 10 if columns == "site" else 20
    sides = {side: {row % size for row in rows} for side, rows in found.items()}
    assert sum(map(len, sides.values())) == size == len(set().union(*sides.values()))


def test_a_group_is_the_same_in_each_kind_of_file_and_order_of_rows(tmp_path: Path) -> None:
    site = [f"site {i % 12}" for i in range(48)]
    write(tmp_path, 48, site=site)
    columns = {"x": np.arange(48), "label": np.arange(48) % 2, "site": site}
    backwards = {name: list(reversed(column)) for name, column in columns.items()}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    parquet.write_table(pa.table(backwards), tmp_path / "b.parquet")
    split = SPLIT | {"group": "site"}
    found = [
        rows_of(prepared(tmp_path, name, split=split))
        for name in ("t.csv", "t.parquet", "b.parquet")
    ]
    assert found[0] == found[1] == {side: rows[::-1] for side, rows in found[2].items()}


def test_a_group_that_the_column_of_the_split_tears_is_named(tmp_path: Path) -> None:
    write(tmp_path, fold=["train", "val", "test", "train"] * 10, site=[i // 4 for i in range(40)])
    split = {"by": {"column": "fold"}, "group": "site"}
    said = refusal(tmp_path, "t.csv", split=split)
    assert "row 2 (line 3), column 'site': is in val, and row 1 of the same group in train" in said


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([f"2026-01-{1 + i // 2:02}" for i in range(40)], "dates"),
        ([f"2026-01-01T00:{i // 2:02}:00+02:00" for i in range(40)], "with a zone"),
        ([2000 + i // 2 for i in range(40)], "numbers"),
    ],
)
def test_train_is_earliest_and_test_latest(tmp_path: Path, values: list[Any], kind: str) -> None:
    order = np.random.default_rng(0).permutation(40)
    write(tmp_path, 40, when=[values[i] for i in order], n=order.tolist())
    inputs = {"x": an_input("x"), "n": an_input("n")}
    split = {"val": 0.25, "test": 0.25, "time": "when"}
    arrays = prepared(tmp_path, "t.csv", split=split, inputs=inputs)
    found = {n: sorted(arrays[f"{n}/inputs/n.npy"]) for n in ("train", "val", "test")}
    assert found == {"train": [*range(20)], "val": [*range(20, 30)], "test": [*range(30, 40)]}
    columns = {"x": range(40), "label": [0, 1] * 20, "when": [values[i] for i in order], "n": order}
    parquet.write_table(pa.table(columns), tmp_path / "t.parquet")
    again = prepared(tmp_path, "t.parquet", split=split, inputs=inputs)
    assert all(np.array_equal(again[name], array) for name, array in arrays.items())


@pytest.mark.parametrize(
    ("column", "split", "words"),
    [
        ([i % 2 for i in range(40)], {"group": "g"}, ["'g': found 2 groups, expected at least 3"]),
        ([i % 2 for i in range(40)], {"time": "g"}, ["'g': found 2 different times, expected"]),
        (["noon"] * 40, {"time": "g"}, ["row 1 (line 2), column 'g': found 'noon'", "2026-01-31"]),
        ([*range(39), ""], {"group": "g"}, ["row 40 (line 41), column 'g': the cell is empty"]),
        ([*range(39), "nan"], {"time": "g"}, ["row 40", "found nan, expected a time"]),
        ([1] * 40, {"group": "h"}, ["no column 'h'; it has"]),
    ],
)
def test_too_few_groups_or_times_and_a_wrong_cell_are_one_line(
    tmp_path: Path, column: list[Any], split: dict[str, Any], words: list[str]
) -> None:
    write(tmp_path, g=column)
    said = refusal(tmp_path, "t.csv", split=SPLIT | split)
    for word in words:
        assert word in said, said


@pytest.mark.parametrize(
    ("split", "said"),
    [
        ({"val": 0.5, "test": 0.5, "seed": 0}, "data.split: val + test leave no rows to train"),
        ({"test": 0.2, "seed": 0}, "data.split.val: missing; set the fraction of rows"),
        ({"val": 0.2, "test": 0.2}, "data.split.seed: missing"),
        (SPLIT | {"group": "a", "time": "b"}, "data.split: found group and time, expected one"),
        (SPLIT | {"by": {"column": "x"}}, "data.inputs.x.source: 'x' names the split, no input"),
    ],
)
def test_a_split_that_cannot_be_is_refused(tmp_path: Path, split: Any, said: str) -> None:
    write(tmp_path)
    assert said in refusal(tmp_path, "t.csv", split=split)


def test_the_columns_of_a_split_are_not_among_all_but_the_target(tmp_path: Path) -> None:
    write(tmp_path, site=[i % 10 for i in range(40)])
    inputs = {"x": an_input("all but the target", shape=[1])}
    arrays = prepared(tmp_path, "t.csv", split=SPLIT | {"group": "site"}, inputs=inputs)
    assert together(arrays, "inputs/x").shape == (40, 1)


def test_a_group_may_be_an_input_too(tmp_path: Path) -> None:
    write(tmp_path)
    inputs = {"x": an_input("x")}
    assert prepared(tmp_path, "t.csv", split=SPLIT | {"group": "x"}, inputs=inputs)


def test_a_class_too_small_for_a_draw_may_be_split_by_group(tmp_path: Path) -> None:
    """What a split then lacks is said."""
    write(tmp_path, 40, site=[i % 10 for i in range(40)])
    text = (tmp_path / "t.csv").read_text().replace("\n0,0,", "\n0,2,", 1)
    (tmp_path / "t.csv").write_text(text)
    targets = {"label": {"source": "label", "classes": 3}}
    assert "class 2 has 1 rows" in refusal(
        tmp_path, "t.csv", targets=targets, split=SPLIT, ignore=["site"]
    )
    prepared(tmp_path, "t.csv", targets=targets, split=SPLIT | {"group": "site"})


def write_splits(folder: Path) -> None:
    """Forty rows, in three files of their own."""
    write(folder, site=[i // 2 for i in range(40)])
    header, *rows = (folder / "t.csv").read_text().splitlines(keepends=True)
    for name, part in {"a": rows[:20], "b": rows[20:30], "c": rows[30:]}.items():
        (folder / f"{name}.csv").write_text(header + "".join(part))
    (folder / "t.csv").unlink()


OWN = {"train": "a.csv", "val": "b.csv", "test": "c.csv"}


def test_each_split_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    write_splits(tmp_path)
    found = rows_of(prepared(tmp_path, OWN, split={}, ignore=["site"]))
    assert found == {"train": [*range(20)], "val": [*range(20, 30)], "test": [*range(30, 40)]}
    found = rows_of(prepared(tmp_path, OWN | {"train": "[ab].csv"} | {"val": None},
                             split={"val": 0.5, "seed": 0}, ignore=["site"]))  # fmt: skip
    assert found["test"] == [*range(30, 40)] and len(found["val"]) == 15


@pytest.mark.parametrize(
    ("file", "split", "said"),
    [
        (OWN, {"val": 0.2}, "data.split.val: found 0.2, but data.file names the rows of val"),
        ({"train": "a.csv", "test": "c.csv"}, {}, "data.split.val: missing, and no row of"),
        (OWN | {"val": "d.csv"}, {}, "d.csv: no such file"),
        (OWN | {"val": "e.csv"}, {}, "e.csv: no column 'site', which a.csv has"),
        (OWN | {"val": "f.csv"}, {}, "f.csv: holds no row, expected some"),
        (OWN | {"val": "g.csv"}, {}, "g.csv: row 1 (line 2), column 'x': found 'oops'"),
        (OWN, {"by": {"column": "site"}}, "data.split.by: found one, but data.file names each"),
        (OWN | {"vla": "b.csv"}, {}, "data.file.vla: no such key; did you mean val?"),
        (OWN | {"val": "b.csv", "test": "b.csv"}, {"group": "site"}, "of the same group in"),
    ],
)
def test_files_of_splits_that_do_not_fit_are_one_line(
    tmp_path: Path, file: dict[str, str], split: dict[str, Any], said: str
) -> None:
    write_splits(tmp_path)
    (tmp_path / "e.csv").write_text("x,label\n1,1\n")
    (tmp_path / "f.csv").write_text("x,label,site\n")
    (tmp_path / "g.csv").write_text("x,label,site\noops,1,1\n")
    ignore = [] if split else ["site"]
    ignore = ["site"] if "val" in split else ignore
    assert said in refusal(tmp_path, file, split=split, ignore=ignore)
