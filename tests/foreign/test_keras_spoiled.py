"""A file of Keras' that is not whole, or not what it seems, ends in one line, and nothing of it is
run, followed or unpacked."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from pipeline import foreign
from pipeline.errors import DataError
from pipeline.foreign import keras_archive, legacy_h5, tf_checkpoint, weights_h5

KINDS = (keras_archive, weights_h5, legacy_h5, tf_checkpoint)
KERNEL = np.arange(12.0, dtype=np.float32).reshape(3, 4)
CONFIG = {"class_name": "Sequential", "compile_config": {"optimizer": "adam", "loss": "mse"}}


class Runs:
    """Unpickled, it would leave a trace."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch executed",)


def weights(path: Path, spoil: Callable[[h5py.File], object] = lambda file: None) -> Path:
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = KERNEL
        file["layers/dense/vars/1"] = KERNEL[0]
        spoil(file)
    return path


def legacy(path: Path, spoil: Callable[[h5py.File], object] = lambda file: None) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"dense_3"])
        file["dense_3/dense_3/kernel:0"] = KERNEL
        file["dense_3"].attrs["weight_names"] = np.array([b"dense_3/kernel:0"])
        spoil(file)
    return path


def archive(path: Path, *, method: int = zipfile.ZIP_STORED, **members: bytes | None) -> Path:
    held = {
        "metadata.json": json.dumps({"keras_version": "3.15.1"}).encode(),
        "config.json": json.dumps(CONFIG).encode(),
        "model.weights.h5": weights(path.with_suffix(".h5")).read_bytes(),
    }
    held |= {name.replace("_", "."): content for name, content in members.items()}
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in held.items():
            if content is not None:
                file.writestr(name, content)
    path.with_suffix(".h5").unlink()
    return path


def refused(path: Path) -> str:
    """Returns the one line, after which nothing is there that was not there before."""
    before = sorted(each.name for each in Path.cwd().rglob("*"))
    knowing = [each for each in KINDS if each.recognizes(path)]
    assert len(knowing) <= 1
    with pytest.raises(DataError) as caught:
        for value in foreign.read(path).weights.values():
            np.asarray(value)
    line = str(caught.value)
    assert "\n" not in line and str(path) in line
    assert sorted(each.name for each in Path.cwd().rglob("*")) == before
    return line


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_is_whole_is_read() -> None:
    for make in (weights, legacy, archive):
        read = foreign.read(make(Path("whole")).absolute())
        assert np.array_equal(next(np.asarray(v) for v in read.weights.values()), KERNEL)
    packed = foreign.read(archive(Path("packed"), method=zipfile.ZIP_DEFLATED).absolute())
    assert np.array_equal(np.asarray(packed.weights["layers/dense/vars/0"]), KERNEL)
    assert next(iter(read.notes)).startswith("the file was compiled with the loss mse")


@pytest.mark.parametrize("make", [weights, legacy, archive])
def test_a_file_that_was_cut_off_or_is_of_something_else_is_refused(
    make: Callable[[Path], Path], tmp_path: Path
) -> None:
    content = make(tmp_path / "whole").read_bytes()
    path = tmp_path / "spoiled"
    for length in (0, 4, 8, 40, len(content) // 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        refused(path)
    path.write_text("loss: 0.1\n")
    refused(path)
    path.write_bytes(b"\0" * len(content))
    refused(path)


def test_a_flipped_byte_is_refused_or_changes_what_no_checksum_covers(tmp_path: Path) -> None:
    content = archive(tmp_path / "whole").read_bytes()
    path = tmp_path / "spoiled"
    start = content.index(b"\x89HDF")
    for place in (*range(start, start + 2000, 61), len(content) - 60, len(content) - 10):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        refused(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    (tmp_path / "bare").write_bytes(pickle.dumps(Runs()))
    refused(tmp_path / "bare")
    lambdas = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__"}}}
    read = foreign.read(archive(tmp_path / "a", config_json=json.dumps(lambdas).encode()))
    assert any("Lambda layer" in note for note in read.notes)
    refused(archive(tmp_path / "b", config_json=pickle.dumps(Runs())))
    refused(archive(tmp_path / "c", model_weights_h5=None, data_pkl=pickle.dumps(Runs())))
    assert not (tmp_path / "executed").exists()


def test_what_unpacks_to_much_more_than_it_is_is_refused(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "a", method=zipfile.ZIP_DEFLATED, assets_bomb=b"\0" * (64 << 20))
    assert "declare" in refused(bomb)
    assert "packed" in refused(
        weights(
            tmp_path / "b",
            lambda file: file.create_dataset("x/vars/0", (1 << 28,), "f4", compression="gzip"),
        )
    )
    assert "stores 0 bytes" in refused(
        weights(tmp_path / "c", lambda file: file.create_dataset("x/vars/0", (1 << 40,), "f4"))
    )
    deep = b"[" * 200_000
    assert "no JSON" in refused(archive(tmp_path / "d", config_json=deep))


def outside(file: h5py.File) -> None:
    file.create_dataset("x/vars/0", (64,), "u1", external=[("/etc/passwd", 0, 64)])


def elsewhere(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 4), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 4))
    file.create_virtual_dataset("x/vars/0", layout)


def looped(file: h5py.File) -> None:
    file["again"] = h5py.SoftLink("/")


def circular(file: h5py.File) -> None:
    file["again"] = file["/"]


def linked(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/passwd", "/")


def objects(file: h5py.File) -> None:
    file.create_dataset("x/vars/0", data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize("spoil", [outside, elsewhere, looped, circular, linked, objects])
@pytest.mark.parametrize("make", [weights, legacy])
def test_hdf5_points_nowhere_but_into_itself(
    make: Callable[..., Path], spoil: Callable[[h5py.File], object], tmp_path: Path
) -> None:
    line = refused(make(tmp_path / "it", spoil))
    assert "root:" not in line


def test_arrays_that_no_layer_lists_and_layers_without_theirs_are_refused(tmp_path: Path) -> None:
    def more(file: h5py.File) -> None:
        file["dense_3/more"] = KERNEL

    def less(file: h5py.File) -> None:
        del file["dense_3/dense_3/kernel:0"]

    assert "listed by no layer" in refused(legacy(tmp_path / "more", more))
    assert "is missing, though" in refused(legacy(tmp_path / "less", less))


def sharded(folder: Path, *names: str) -> Path:
    folder.mkdir()
    weights(folder / "it_00000.weights.h5")
    with h5py.File(folder / "it_00001.weights.h5", "w") as file:
        file["layers/dense_1/vars/0"] = KERNEL
    places = {
        "/layers/dense/vars": "it_00000.weights.h5",
        "/layers/dense_1/vars": names or "it_00001.weights.h5",
    }
    content = {"metadata": {"total_size": 1}, "weight_map": places}
    (folder / "it.weights.json").write_text(json.dumps(content))
    return folder


def test_a_shard_that_is_missing_outside_or_there_twice_is_refused(tmp_path: Path) -> None:
    whole = sharded(tmp_path / "whole")
    assert len(foreign.read(whole).weights) == 3
    assert "expected the folder" in refused(whole / "it.weights.json")
    (whole / "it_00001.weights.h5").unlink()
    assert "it_00001.weights.h5 is missing" in refused(whole)
    shutil.copy(whole / "it_00000.weights.h5", whole / "it_00001.weights.h5")
    assert "in another shard, too" in refused(whole)
    shutil.copy(whole / "it_00000.weights.h5", tmp_path / "away.h5")
    assert "is missing beside it" in refused(sharded(tmp_path / "away", "../away.h5"))


def test_a_folder_a_loop_and_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    refused(tmp_path / "loop")
    refused(tmp_path / "nothing")
    (tmp_path / "folder/checkpoint").write_text('model_checkpoint_path: "../../etc/passwd"\n')
    refused(tmp_path / "folder")


def test_another_frameworks_files_are_none_of_keras(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    torch = io.BytesIO()
    with zipfile.ZipFile(torch, "w") as file:
        file.writestr("it/data.pkl", pickle.dumps(Runs()))
    frame = tmp_path / "frame"
    with h5py.File(frame, "w") as file:
        file["table"] = KERNEL
    (tmp_path / "safe").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    (tmp_path / "torch").write_bytes(torch.getvalue())
    (tmp_path / "index.json").write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}))
    for name in ("safe", "torch", "index.json", "frame"):
        assert not any(kind.recognizes(tmp_path / name) for kind in KINDS), name
