"""The page's pictures show what the checkpoint answered, and older checkpoints have none."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.verification import pictures as pages
from pipeline.verification.pictures import chosen_rows, folded, mistakes, pictures, values

ROWS = 6


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint and data, without history and predictions."""
    checkpoint, data = tmp_path / "checkpoint", tmp_path / "data"
    checkpoint.mkdir()
    (data / "test/inputs").mkdir(parents=True)
    (data / "test/targets").mkdir()
    np.save(data / "test/inputs/x.npy", np.arange(ROWS * 2, dtype=np.float32).reshape(-1, 2))
    np.save(data / "test/targets/label.npy", np.zeros(ROWS, np.int64))
    classes(checkpoint, data, 3)
    return checkpoint, data


def classes(
    checkpoint: Path, data: Path, count: int | None, names: list[str] | None = None
) -> None:
    targets = {"label": {"classes": count, "labels": names}}
    decision = {"output": "answer", "target": "label", "classes": count}
    schema = {"inputs": {"x": {}}, "targets": targets, "predictions": decision, "epoch": 2}
    for folder in (checkpoint, data):
        (folder / "schema.json").write_text(json.dumps(schema))


def predict(checkpoint: Path, pairs: Sequence[tuple[Any, Any]]) -> None:
    with (checkpoint / pages.PREDICTIONS).open("w", newline="") as file:
        csv.writer(file).writerows([("actual", "predicted"), *pairs])


def drawn(folders: tuple[Path, Path]) -> set[str]:
    kinds = ("curves", "matrix", "mistakes", "regression", "examples")
    found: dict[str, Any] = pictures(*folders)
    return {kind for kind in kinds if found[kind]}


def test_an_older_checkpoint_has_no_pictures(folders: tuple[Path, Path]) -> None:
    assert drawn(folders) == set()


def test_classes_have_a_matrix_and_rows_with_what_was_answered(folders: tuple[Path, Path]) -> None:
    predict(folders[0], [(0, 0), (1, 1), (1, 2), (2, 2), (2, 2), (0, 2)])
    (folders[0] / "history.csv").write_text("epoch,train/loss,val/loss\n1,3,2\n2,2,\n")
    found = pictures(*folders)
    assert drawn(folders) == {"curves", "matrix", "examples"}
    assert [mark.text for mark in found["curves"][0].marks] == ["chosen"]
    assert [(each.row, each.actual, each.answered, each.right) for each in found["examples"]] == [
        (0, "0", "0", True),
        (1, "1", "1", True),
        (2, "1", "2", False),
        (3, "2", "2", True),
        (5, "0", "2", False),
    ]
    assert found["examples"][4].inputs[0].text == "10, 11"


def test_classes_with_names_are_called_by_them(folders: tuple[Path, Path]) -> None:
    classes(*folders, 3, ["ash", "1", "elm"])
    predict(folders[0], [("ash", "ash"), ("1", "1"), ("1", "elm"), *[("elm", "elm")] * 3])
    found = pictures(*folders)
    assert drawn(folders) == {"matrix", "examples"} and found["names"] == ["ash", "1", "elm"]
    wrong = found["examples"][2]
    assert (wrong.actual, wrong.answered, wrong.right) == ("1", "elm", False)


def test_values_have_points_and_no_matrix(folders: tuple[Path, Path]) -> None:
    classes(*folders, None)
    predict(folders[0], [(0.5, 0.25), (1e9, 1), *[(2, 2)] * 4])
    found = pictures(*folders)
    assert drawn(folders) == {"regression", "examples"}
    assert found["examples"][1].actual == "1e+09" and found["examples"][1].right is None
    assert len(found["regression"][0].dots) == ROWS


def test_of_many_classes_the_commonest_mistakes_are_listed(folders: tuple[Path, Path]) -> None:
    classes(*folders, pages.CLASSES + 1)
    predict(folders[0], [(3, 4), (9, 9), (3, 4), (1, 0), (9, 9), (9, 9)])
    assert drawn(folders) == {"mistakes", "examples"}
    found = pictures(*folders)["mistakes"]
    assert [(each.row, each.column, each.times) for each in found] == [(3, 4, 2), (1, 0, 1)]
    assert len(mistakes([(n, n + 1) for n in range(50)])) == pages.MISTAKES


def test_a_checkpoint_of_other_rows_shows_none(folders: tuple[Path, Path]) -> None:
    predict(folders[0], [(0, 0)])
    assert "examples" not in drawn(folders)


def test_a_split_without_rows_shows_none(folders: tuple[Path, Path]) -> None:
    np.save(folders[1] / "test/inputs/x.npy", np.zeros((0, 64), np.float32))
    np.save(folders[1] / "test/targets/label.npy", np.zeros(0, np.int64))
    predict(folders[0], [])
    assert drawn(folders) == set()


def test_the_rows_are_the_first_and_those_farthest_off() -> None:
    pairs = [(0.0, 0.0)] * 4 + [(0.0, off) for off in (1.0, 9.0, 0.0, float("nan"), 3.0, 2.0)]
    assert chosen_rows(pairs, labels=False) == [0, 1, 2, 3, 5, 7, 8, 9]
    assert chosen_rows(pairs[:2], labels=False) == [0, 1]
    assert chosen_rows([(0, 0)] * 5 + [(0, n) for n in range(1, 9)], True)[4:] == [5, 6, 7, 8]


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        (np.array(["Ulm", "x" * 99]), ["Ulm", "x" * 59 + "…"]),
        (np.array([12345678, -1]), ["12345678", "-1"]),
        (np.array([[0.5, 1 / 3]]), ["0.5, 0.3333"]),
        (np.arange(20)[None], ["0, 1, 2, 3, 4, 5, … (20 values)"]),
        (np.zeros((1, 1, 2, 2, 5), np.float32), ["0, 0, 0, 0, 0, 0, … (1 × 2 × 2 × 5 values)"]),
        (np.array([[[True, False]]]), ["True, False"]),
    ],
)
def test_an_input_is_a_short_text(rows: np.ndarray, texts: list[str]) -> None:
    assert [(value.text, value.raster) for value in values(rows)] == [(t, None) for t in texts]


def test_many_numbers_are_drawn_as_brightness_over_one_range() -> None:
    rows = np.zeros((2, 17), np.float32)
    rows[0, 0], rows[1, 16] = 4, 2
    first, second = values(rows)
    assert first.text == "17 values, 0 to 4"
    assert first.raster == ([(1.0, "M0 0h1v1h-1z")], 5, 4)
    assert second.raster == ([(0.5, "M1 3h1v1h-1z")], 5, 4)
    rows[0, 1] = np.nan
    assert values(rows)[1].raster == second.raster


@pytest.mark.parametrize(
    ("shape", "cells"),
    [((64,), (8, 8)), ((8, 9), (8, 9)), ((3, 28, 30), (28, 30)), ((28, 30, 3), (28, 30)),
     ((1000, 10), (32, 10)), ((100_000,), (32, 32))],
)  # fmt: skip
def test_an_array_of_any_shape_becomes_a_small_picture(shape: tuple, cells: tuple) -> None:
    assert folded(np.zeros(shape)).shape == cells
