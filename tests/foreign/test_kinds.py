"""Exactly one kind says yes to a checkpoint, and none raises anything over what is none."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from pipeline import foreign
from pipeline.errors import DataError
from testing.spoiled import one_line

STATE = nn.Linear(2, 2).state_dict()
OPTIMIZER = {"state": {}, "param_groups": [{"lr": 0.1, "params": [0, 1]}]}
OLDER = {"_use_new_zipfile_serialization": False}
LIGHTNING = {"pytorch-lightning_version": "2.5", "state_dict": STATE, "epoch": 1}


def cut(path: Path, share: float = 0.7) -> None:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def state_dicts(folder: Path) -> None:
    torch.save(STATE, folder / "bare")
    torch.save({"model": STATE, "optimizer": OPTIMIZER, "epoch": 3}, folder / "around")
    torch.save({"model": STATE}, folder / "older", **OLDER)
    torch.save([STATE, OPTIMIZER], folder / "listed")
    torch.save(STATE, folder / "a.safetensors")
    for name, how in {"cut": {}, "older cut": OLDER}.items():
        torch.save(STATE, folder / name, **how)
        cut(folder / name)


def safetensors(folder: Path) -> None:
    save_file(STATE, folder / "one.ckpt")
    for name in ("folder", "torch"):
        (folder / name).mkdir()
    save_file(STATE, folder / "folder/a.safetensors")
    torch.save(STATE, folder / "torch/pytorch_model.bin")
    save_file(STATE, folder / "cut")
    cut(folder / "cut")


def lightning(folder: Path) -> None:
    torch.save(LIGHTNING, folder / "zip")
    torch.save(LIGHTNING, folder / "older", **OLDER)


def no_kind(folder: Path) -> None:
    (folder / "empty").touch()
    (folder / "text").write_text("epoch,loss\n1,0.5\n")
    (folder / "json").write_text('{"model": {"weight": [1.0]}}')
    (folder / "nothing").mkdir()
    np.savez(folder / "arrays", a=np.ones(3))
    np.save(folder / "array", np.ones(3))
    with zipfile.ZipFile(folder / "zip", "w") as archive:
        archive.writestr("a/b.txt", "text")
    (folder / "noise").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "zeros").write_bytes(bytes(5000))
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to("loop")
    (folder / "to nothing").symlink_to("nowhere")


MAKERS = {"state_dict": state_dicts, "safetensors": safetensors, "lightning": lightning}


@pytest.mark.parametrize("name", MAKERS)
def test_exactly_one_kind_says_yes(tmp_path: Path, name: str) -> None:
    MAKERS[name](tmp_path)
    for path in sorted(tmp_path.iterdir()):
        yes = [each for each in foreign.names() if foreign.kind(each).recognizes(path)]
        assert yes == [name], path.name


def test_to_what_is_no_checkpoint_none_says_yes_and_it_is_one_line(tmp_path: Path) -> None:
    no_kind(tmp_path)
    for path in [*sorted(tmp_path.iterdir()), tmp_path / "missing", tmp_path / ("long" * 99)]:
        with pytest.raises(DataError) as raised:
            foreign.read(path)
        one_line(raised, path)


def test_a_kind_says_whether_it_gives_weights_of_a_net_or_a_program() -> None:
    gives = {name: foreign.kind(name).GIVES for name in foreign.names()}
    programs = {"onnx_graph", "saved_model", "torch_program"}
    assert {name for name, each in gives.items() if each == "program"} == programs
    assert {name for name, each in gives.items() if each is None} == {"pickled", "peft_adapter"}


def test_every_kind_is_known_by_a_title_that_no_other_has() -> None:
    titles = [foreign.kind(name).TITLE for name in foreign.names()]
    assert len(set(titles)) == len(titles) and {"state_dict", "safetensors"} <= set(foreign.names())
