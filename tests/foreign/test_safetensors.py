"""Files of safetensors, and folders of several, are opened as they were written or not at all."""

import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file, save_model
from torch import nn, optim

from pipeline import foreign
from pipeline.errors import DataError
from pipeline.foreign.safetensors import recognizes
from testing.spoiled import content_of, cuts, one_line

TENSORS = {
    "layer.weight": torch.arange(12.0).reshape(3, 4),
    "layer.half": torch.ones(5, dtype=torch.bfloat16),
    "layer.count": torch.tensor(3),
    "layer.flags": torch.tensor([True, False]),
    "empty": torch.zeros(0, 3),
}


def written(folder: Path, name: str = "checkpoint", tensors=TENSORS, **how) -> Path:
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / name, **how)
    return folder / name


def sharded(folder: Path) -> Path:
    """A folder as Hugging Face's libraries write it, but for the configuration."""
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    homes = {name: names[index % 2] for index, name in enumerate(TENSORS)}
    for name in names:
        written(folder, name, {n: each for n, each in TENSORS.items() if homes[n] == name})
    index = {"metadata": {"total_size": 1}, "weight_map": homes}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def assert_tensors(found: foreign.Foreign, expected=TENSORS) -> None:
    assert set(found.weights) == set(expected)
    for name, each in expected.items():
        assert found.weights[name].dtype == each.dtype and torch.equal(found.weights[name], each)


def test_tensors_come_back_bit_for_bit_and_what_is_said_of_them(tmp_path: Path) -> None:
    path = written(tmp_path, metadata={"format": "pt", "epoch": "3"})
    assert foreign.recognized(path) == "safetensors"
    found = foreign.read(path)
    assert_tensors(found)
    assert found.framework == "pytorch" and found.hyperparameters == {"epoch": "3"}
    found.weights["layer.weight"].zero_()
    assert_tensors(foreign.read(path))


def test_a_tied_weights_other_name_is_no_hyperparameter(
    tmp_path: Path,
) -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    save_model(net, tmp_path / "tied")
    found = foreign.read(tmp_path / "tied")
    assert len(found.weights) == 3 and found.hyperparameters == {}


@pytest.mark.parametrize("with_index", [True, False])
def test_a_folder_of_shards_is_one_checkpoint(tmp_path: Path, with_index: bool) -> None:
    folder = sharded(tmp_path / "folder")
    if not with_index:
        (folder / "model.safetensors.index.json").unlink()
    assert foreign.recognized(folder) == "safetensors"
    assert_tensors(foreign.read(folder))


@pytest.mark.parametrize("several", [True, False])
def test_shards_of_torch_save_are_one_checkpoint(tmp_path: Path, several: bool) -> None:
    names = ["a.bin", "b.bin"] if several else ["pytorch_model.bin"]
    homes = {name: names[index % len(names)] for index, name in enumerate(TENSORS)}
    for name in names:
        part = {n: each for n, each in TENSORS.items() if homes[n] == name}
        torch.save(part, tmp_path / name)
    if several:
        index = json.dumps({"weight_map": homes})
        (tmp_path / "pytorch_model.bin.index.json").write_text(index)
    assert foreign.recognized(tmp_path) == "safetensors"
    assert_tensors(foreign.read(tmp_path))


def test_what_accelerate_wrote_beside_the_weights_comes_along(tmp_path: Path) -> None:
    net = nn.Linear(2, 2)
    optimizer = optim.Adam(net.parameters())
    schedule = optim.lr_scheduler.StepLR(optimizer, 3)
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    written(tmp_path / "state", "model.safetensors", net.state_dict())
    torch.save(optimizer.state_dict(), tmp_path / "state/optimizer.bin")
    torch.save(schedule.state_dict(), tmp_path / "state/scheduler.bin")
    found = foreign.read(tmp_path / "state")
    assert torch.equal(
        found.optimizer["state"][0]["exp_avg"], optimizer.state[net.weight]["exp_avg"]
    )
    assert found.scheduler["step_size"] == 3
    (tmp_path / "state/optimizer.bin").write_bytes(b"PK")
    assert "optimizer.bin" in refused(tmp_path / "state")


def test_links_to_shards_are_followed(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for each in folder.iterdir():
        (tmp_path / "snapshot" / each.name).symlink_to(each)
    assert_tensors(foreign.read(tmp_path / "snapshot"))


def test_other_folders_are_other_kinds(tmp_path: Path) -> None:
    for name in ("config.json", ".metadata"):
        folder = sharded(tmp_path / name.strip("."))
        (folder / name).touch()
        assert not recognizes(folder)
    unpickled = written(tmp_path / "unpickled", "weights.safetensors").parent
    assert recognizes(unpickled)
    (unpickled / "checkpoint.json").touch()
    assert not recognizes(unpickled)
    (tmp_path / "nothing").mkdir()
    assert not recognizes(tmp_path / "nothing")
    assert not recognizes(tmp_path / "missing")


def refused(path: Path) -> str:
    before = content_of(path) if path.is_dir() else {}
    with pytest.raises(DataError) as raised:
        foreign.read(path)
    assert before == (content_of(path) if path.is_dir() else {})
    return one_line(raised, path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = sharded(tmp_path / "folder")
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "model-00002-of-00002.safetensors: missing" in refused(folder)
    (folder / "model-00002-of-00002.safetensors").symlink_to("model-00002-of-00002.safetensors")
    assert "missing" in refused(folder)


def test_a_tensor_in_two_files_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "folder", "model.safetensors")
    written(tmp_path / "folder", "model.fp16.safetensors")
    assert "model.fp16.safetensors and model.safetensors both hold" in refused(tmp_path / "folder")


def index_of(folder: Path, **homes) -> None:
    path = folder / "model.safetensors.index.json"
    told = json.loads(path.read_text())
    told["weight_map"] |= homes
    path.write_text(json.dumps(told))


def test_an_index_that_tells_otherwise_is_refused(tmp_path: Path) -> None:
    for number, homes in enumerate(
        [
            {"more": "model-00001-of-00002.safetensors"},
            {"empty": "model-00002-of-00002.safetensors"},
            {"more": "../outside.safetensors"},
            {"more": 3},
        ]
    ):
        folder = sharded(tmp_path / str(number))
        index_of(folder, **homes)
        assert "index" in refused(folder)
    for text in ("", "[]", "{}", '{"weight_map": {}}', "{" * 100):
        (folder / "model.safetensors.index.json").write_text(text)
        assert "a damaged index" in refused(folder)
    (folder / "other.safetensors.index.json").write_text("{}")
    assert "expected one index" in refused(folder)


def test_a_file_that_is_cut_off_is_refused_wherever(tmp_path: Path) -> None:
    content = written(tmp_path).read_bytes()
    for cut in cuts(content):
        (tmp_path / "cut").write_bytes(cut)
        refused(tmp_path / "cut")
    (tmp_path / "cut").write_bytes(content + b"\0")
    assert "its header tells of" in refused(tmp_path / "cut")


def header(**tensors) -> bytes:
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


def one(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes


@pytest.mark.parametrize(
    "content",
    [
        header(a=one(shape=[3])) + bytes(8),
        header(a=one(shape=[-2])) + bytes(8),
        header(a=one(shape=[1 << 62])) + bytes(8),
        header(a=one(shape=[2.0])) + bytes(8),
        header(a=one(shape=[1 << 40], data_offsets=[0, 1 << 42])) + bytes(8),
        header(a=one(dtype="F5")) + bytes(8),
        header(a=one(dtype=[])) + bytes(8),
        header(a=one(data_offsets=[8, 0])) + bytes(8),
        header(a=one(data_offsets=[4, 12])) + bytes(12),
        header(a=one(), b=one()) + bytes(8),
        header(a=one(), b=one(data_offsets=[12, 20])) + bytes(20),
        header(a=one(more=1)) + bytes(8),
        header(a=[]) + bytes(8),
        header(__metadata__={"a": 1}),
        struct.pack("<Q", 1 << 60) + b'{"',
        struct.pack("<Q", 90_000_000) + b'{"' + bytes(20),
        struct.pack("<Q", 26) + b'{"a": {}, "a": {}, "b": 1}',
        struct.pack("<Q", 5) + b'{"a":' + bytes(8),
        struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 199_995,
    ],
)
def test_a_header_that_lies_is_refused_and_nothing_is_allocated(tmp_path: Path, content) -> None:
    (tmp_path / "odd").write_bytes(content)
    refused(tmp_path / "odd")


def test_tensors_that_are_not_aligned_are_read_all_the_same(tmp_path: Path) -> None:
    tensors = {"a": one(dtype="U8", shape=[1], data_offsets=[0, 1]), "b": one(data_offsets=[1, 9])}
    content = struct.pack("<B2f", 7, 1.5, 2.5)
    (tmp_path / "odd").write_bytes(header(**tensors) + content)
    found = foreign.read(tmp_path / "odd")
    assert found.weights["b"].tolist() == [1.5, 2.5] and found.weights["a"].tolist() == [7]


def test_what_is_no_file_of_this_kind_is_none(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text('{"a": 1}\n' * 3)
    torch.save(TENSORS, tmp_path / "model.safetensors")
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for each in sorted(tmp_path.iterdir()):
        assert not recognizes(each)
    assert foreign.recognized(tmp_path / "model.safetensors") == "state_dict"
