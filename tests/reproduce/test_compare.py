"""Same bytes, same content, within tolerance, different: and where, and by how much."""

import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.reproduce.compare import PROSE, Difference, Verdict, measure, predictions
from pipeline.reproduce.tensors import tensors
from testing.project import Project

ARRAY = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def moved(by: float) -> np.ndarray:
    array = ARRAY.copy()
    array[1, 2] += by
    array[2, 0] += by
    return array


def as_npy(path: Path, array: np.ndarray) -> None:
    np.save(path, array)


def as_npz(path: Path, array: np.ndarray) -> None:
    np.savez(path, epochs=2, weight=array)


def as_torch(path: Path, array: np.ndarray) -> None:
    torch.save({"net": {"weight": torch.from_numpy(array)}, "groups": [{"lr": 0.1}]}, path)


def as_tar(path: Path, array: np.ndarray) -> None:
    content = io.BytesIO()
    np.savez(content, weight=array)
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("state.npz")
        info.size = len(content.getvalue())
        archive.addfile(info, io.BytesIO(content.getvalue()))


def as_json(path: Path, array: np.ndarray) -> None:
    path.write_text(json.dumps({"weight": array.astype(float).tolist(), "name": "a"}))


def as_csv(path: Path, array: np.ndarray) -> None:
    rows = "\n".join(",".join(map(repr, row)) for row in array.astype(float).tolist())
    path.write_text(f"a,b,c,d\n{rows}\n")


KINDS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "x.npy": as_npy,
    "x.npz": as_npz,
    "x.pt": as_torch,
    "x.tar": as_tar,
    "x.json": as_json,
    "x.csv": as_csv,
}


def judged(tmp_path: Path, name: str, by: float) -> Difference:
    for side, array in (("old", ARRAY), ("new", moved(by))):
        (tmp_path / side).mkdir()
        KINDS[name](tmp_path / side / name, array)
    return measure(name, tmp_path / "old", tmp_path / "new")


@pytest.mark.parametrize("name", KINDS)
def test_a_rounding_error_is_within_tolerance_and_its_place_is_named(tmp_path, name):
    found = judged(tmp_path, name, 1e-6)
    assert found.verdict == Verdict.WITHIN_TOLERANCE
    assert 5e-7 < found.max_abs < 2e-6
    where = {"x.json": ("weight[1][2]", []), "x.csv": ("a", [2])}
    tensor, at = where.get(name, (found.tensor, [1, 2]))
    assert (found.tensor, found.at) == (tensor, at)


@pytest.mark.parametrize("name", KINDS)
def test_more_than_that_is_different_and_says_what_both_are(tmp_path, name):
    found = judged(tmp_path, name, 0.5)
    assert found.verdict == Verdict.DIFFERENT
    assert found.max_abs == pytest.approx(0.5, rel=1e-6)
    assert float(found.rebuilt) - float(found.recorded) == pytest.approx(0.5, rel=1e-6)


def test_the_same_tensors_packed_otherwise_are_the_same_content(tmp_path):
    for side, save in (("old", np.savez), ("new", np.savez_compressed)):
        (tmp_path / side).mkdir()
        save(tmp_path / side / "x.npz", weight=ARRAY)
    found = measure("x.npz", tmp_path / "old", tmp_path / "new")
    assert (found.verdict, found.why) == (
        Verdict.SAME_CONTENT,
        "1 tensors bitwise equal, packed otherwise",
    )


@pytest.mark.parametrize("spoilt", [ARRAY.astype(np.float64), ARRAY[:2], np.zeros(1), None])
def test_another_shape_dtype_or_a_missing_tensor_is_different(tmp_path, spoilt):
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
    np.savez(tmp_path / "old/x.npz", weight=ARRAY)
    np.savez(tmp_path / "new/x.npz", **({} if spoilt is None else {"weight": spoilt}), other=1)
    found = measure("x.npz", tmp_path / "old", tmp_path / "new")
    assert (found.verdict, found.tensor) == (Verdict.DIFFERENT, "weight")
    assert found.recorded == "float32[3, 4]"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_any_more_is_different(tmp_path, value):
    assert judged(tmp_path, "x.npy", value).verdict == Verdict.DIFFERENT


def test_what_cannot_be_read_is_different(tmp_path):
    for side in ("old", "new"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "x.npz").write_text(side)
        (tmp_path / side / "x.bin").write_text(side)
    for name in ("x.npz", "x.bin"):
        found = measure(name, tmp_path / "old", tmp_path / "new")
        assert found.verdict == Verdict.DIFFERENT and "cannot be looked into" in found.why


def test_every_file_of_a_complete_model_but_its_card_can_be_looked_into(trained: Project) -> None:
    model = trained.root / "artifacts/complete-model"
    for path in sorted(p for p in model.iterdir() if p.is_file()):
        held = tensors(model, path.name)
        assert held or path.name in PROSE, path.name
    assert "torch_export: layers.0.weight" in tensors(model, "model.pt2")


def test_answers_are_compared_apart_from_the_weights(trained: Project, tmp_path: Path) -> None:
    before = trained.root / "artifacts/checkpoint"
    found = predictions(before, before, "reference")
    assert found["bitwise_equal"] and found["max_abs"] == 0 and found["values"] > 100
    shutil.copytree(before, tmp_path / "new")
    with np.load(before / "reference/seven.npz") as held:
        arrays = {**held, "output.logits": held["output.logits"] + np.float32(1e-3)}
    np.savez(tmp_path / "new/reference/seven.npz", **arrays)
    found = predictions(before, tmp_path / "new", "reference")
    assert not found["bitwise_equal"] and not found["within_tolerance"]
    assert found["max_abs"] == pytest.approx(1e-3, rel=1e-3) and found["at"].startswith("seven/")
