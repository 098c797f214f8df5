"""A state_dict is found in what people save around it, and nothing of the file is run."""

import argparse
import os
import pickle
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn, optim

from pipeline import foreign
from pipeline.errors import DataError
from pipeline.foreign.state_dict import recognizes
from testing.spoiled import (
    RunsCode,
    copies_of_copies,
    cuts,
    one_line,
    packed_again,
    pickle_of,
    with_pickle,
)


def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def stepped():
    """A net with optimizer and schedule after a step."""
    module = net()
    optimizer = optim.AdamW(module.parameters(), lr=0.1)
    schedule = optim.lr_scheduler.MultiStepLR(optimizer, [1, 2])
    module(torch.randn(5, 4)).sum().backward()
    optimizer.step()
    schedule.step()
    return module, optimizer, schedule


def saved(folder: Path, value, **how) -> Path:
    torch.save(value, folder / "checkpoint", **how)
    return folder / "checkpoint"


def opened(folder: Path, value, **how) -> foreign.Foreign:
    path = saved(folder, value, **how)
    assert foreign.recognized(path) == "state_dict"
    return foreign.read(path)


def assert_weights(found, expected) -> None:
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


LEGACY = {"_use_new_zipfile_serialization": False}


@pytest.mark.parametrize("how", [{}, LEGACY], ids=["zip", "legacy"])
def test_a_bare_state_dict_comes_back_bit_for_bit(tmp_path: Path, how) -> None:
    state = net().state_dict()
    found = opened(tmp_path, state, **how)
    assert_weights(found.weights, state)
    assert (found.framework, found.optimizer, found.epoch, found.notes) == (
        "pytorch",
        None,
        None,
        (),
    )


@pytest.mark.parametrize(
    "key", ["state_dict", "model", "model_state_dict", "net", "weights", "params", "resnet", "ema"]
)
def test_it_is_found_under_the_keys_that_people_use(tmp_path: Path, key: str) -> None:
    state = net().state_dict()
    found = opened(tmp_path, {"epoch": 3, key: state, "note": "a"})
    assert_weights(found.weights, state)
    assert found.epoch == 3 and found.hyperparameters == {"note": "a"}
    if key not in ("resnet", "ema"):
        within = opened(tmp_path, {"checkpoint": {key: state, "epoch": 2}, "note": "b"})
        assert_weights(within.weights, state)
        assert (within.epoch, within.hyperparameters) == (2, {"note": "b"})


@pytest.mark.parametrize("how", [{}, LEGACY], ids=["zip", "legacy"])
def test_optimizer_schedule_epoch_and_hyperparameters_come_along(tmp_path: Path, how) -> None:
    module, optimizer, schedule = stepped()
    whole = {
        "model_state_dict": module.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "lr_scheduler": schedule.state_dict(),
        "epoch": 7,
        "best": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1, root=Path("a/b"), layers=[3, 2]),
        "torch_version": "2.13.0+cpu",
        "rng": torch.get_rng_state(),
    }
    found = opened(tmp_path, whole, **how)
    for index, slots in optimizer.state_dict()["state"].items():
        assert_weights(found.optimizer["state"][index], slots)
    [group] = found.optimizer["param_groups"]
    assert group["lr"] == optimizer.param_groups[0]["lr"] and group["params"] == list(range(6))
    assert found.scheduler["last_epoch"] == 1 and found.scheduler["milestones"] == {1: 1, 2: 1}
    assert (found.epoch, found.versions) == (7, {"torch": "2.13.0+cpu"})
    assert found.hyperparameters == {
        "best": 0.5,
        "args": {"lr": 0.1, "root": "a/b", "layers": [3, 2]},
    }
    assert list(found.notes) == ["what is under rng is left"]


def test_what_is_left_beside_the_weights_is_said(tmp_path: Path) -> None:
    module, optimizer, _ = stepped()
    state = module.state_dict()
    found = opened(
        tmp_path,
        {
            "model": state,
            "ema": state,
            "opt_g": optimizer.state_dict(),
            "opt_d": optimizer.state_dict(),
        },
    )
    assert found.optimizer is None
    assert any("2 optimizers" in note for note in found.notes)
    assert any("'ema' holds an average of the weights (9)" in note for note in found.notes)


def test_parts_under_keys_of_their_own_are_one_net(tmp_path: Path) -> None:
    parts = {"encoder": nn.Linear(2, 3).state_dict(), "decoder": nn.Linear(3, 2).state_dict()}
    found = opened(tmp_path, parts | {"epoch": 1})
    assert list(found.weights) == [f"{key}.{name}" for key in parts for name in ("weight", "bias")]
    listed = opened(tmp_path, [net().state_dict(), stepped()[1].state_dict()])
    assert len(listed.weights) == 9 and listed.optimizer is not None


def test_tensors_beside_numbers_are_a_bare_state_dict(tmp_path: Path) -> None:
    found = opened(tmp_path, {**net().state_dict(), "epoch": 2})
    assert len(found.weights) == 9 and found.epoch == 2


def test_views_parameters_and_shared_tensors_are_what_they_were(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    state = {
        "t": base.t(),
        "row": base[1],
        "p": nn.Parameter(base),
        "e": torch.ones(1).expand(3),
        "none": torch.zeros(0, 3),
        "half": base.bfloat16(),
        "flag": base > 3,
    }
    found = opened(tmp_path, OrderedDict(state))
    assert_weights(found.weights, {name: each.detach() for name, each in state.items()})


def test_a_name_with_other_letters_or_another_suffix_makes_no_difference(tmp_path: Path) -> None:
    for name in ("modèle.pt", "weights.safetensors", "model.keras", "x"):
        torch.save(net().state_dict(), tmp_path / name)
        assert len(foreign.read(tmp_path / name).weights) == 9


def test_tensors_of_a_gpu_are_said(tmp_path: Path) -> None:
    path = saved(tmp_path, net().state_dict())
    with_pickle(
        path, tmp_path / "gpu", pickle_of(path).replace(b"X\3\0\0\0cpu", b"X\6\0\0\0cuda:0")
    )
    found = foreign.read(tmp_path / "gpu")
    assert_weights(found.weights, net().state_dict())
    assert any("9 tensors lay on cuda:0" in note for note in found.notes)


def test_no_tensor_is_held_that_nobody_holds(tmp_path: Path) -> None:
    """Each access maps the file anew, so that only what is looked at takes memory."""
    found = opened(tmp_path, {"a": torch.zeros(1000), "b": torch.zeros(1000)})
    first, again = found.weights["a"], found.weights["a"]
    assert first.data_ptr() != again.data_ptr()
    again += 1
    assert not found.weights["a"].any(), "the file stays as it is"


def test_an_object_in_an_optimizers_state_is_left_and_said(tmp_path: Path) -> None:
    state = {"state": {}, "param_groups": [{"lr": 1, "odd": RunsCode(tmp_path / "made")}]}
    found = opened(tmp_path, {"model": net().state_dict(), "optimizer": state})
    assert found.optimizer is None and any("holds an object" in note for note in found.notes)


def refused(path: Path) -> str:
    """What is said of it, by whatever kind it is given to."""
    with pytest.raises(DataError) as raised:
        foreign.read(path)
    return one_line(raised, path)


def odd(kind: str):
    values = {
        "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "sparse": lambda: torch.eye(3).to_sparse(),
        "complex": lambda: torch.ones(2, dtype=torch.complex64),
        "meta": lambda: torch.ones(2, device="meta"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return values[kind]()


@pytest.mark.parametrize("kind", ["quantized", "sparse", "complex", "meta"])
def test_what_is_no_dense_tensor_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    path = saved(tmp_path, net().state_dict() | {"odd": odd(kind)})
    assert f"odd {'holds' if kind == 'complex' else 'is'} " in refused(path)
    assert kind in refused(path)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"module": {"w": torch.ones(1)}, "ds_version": "0.1"}, "DeepSpeed wrote"),
        ({"model": {"_fsdp.flat_param": torch.ones(1)}}, "one process' part of all parameters"),
        ({"epoch": 1, "note": "a"}, "found epoch, note, expected the tensors of a net by name"),
        ({}, "no checkpoint that is known"),
    ],
)
def test_a_part_or_nothing_of_a_net_is_refused(tmp_path: Path, value, words: str) -> None:
    assert words in refused(saved(tmp_path, value))


def test_a_whole_module_is_a_kind_of_its_own(tmp_path: Path) -> None:
    for value in (net(), {"model": net(), "epoch": 1}):
        path = saved(tmp_path, value)
        assert not recognizes(path)
        with pytest.raises(DataError, match="--trust-pickle"):
            foreign.kind("state_dict").read(path)


def test_a_pickle_that_would_run_code_runs_nothing(tmp_path: Path) -> None:
    made = tmp_path / "made"
    whole = saved(tmp_path, {"model": net().state_dict(), "args": RunsCode(made)})
    assert foreign.read(whole).hyperparameters == {"args": f"{os.system.__module__}.system"}
    for value in (RunsCode(made), {"model": RunsCode(made)}):
        refused(saved(tmp_path, value))
    with_pickle(whole, tmp_path / "other", pickle.dumps(RunsCode(made), protocol=2))
    refused(tmp_path / "other")
    assert not made.exists()


@pytest.mark.parametrize("how", [{}, LEGACY], ids=["zip", "legacy"])
def test_a_file_that_is_cut_off_is_refused_wherever(tmp_path: Path, how) -> None:
    content = saved(tmp_path, {"model": net().state_dict()}, **how).read_bytes()
    for cut in cuts(content):
        (tmp_path / "cut").write_bytes(cut)
        refused(tmp_path / "cut")


def test_a_flipped_byte_of_a_weight_or_of_the_pickle_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path, net().state_dict())
    content = path.read_bytes()
    for needle in (net()[0].weight.detach().numpy().tobytes(), b"data.pkl", b"storage"):
        flipped = bytearray(content)
        flipped[content.index(needle)] ^= 1
        (tmp_path / "flipped").write_bytes(flipped)
        refused(tmp_path / "flipped")


def with_numbers(path: Path, old: bytes, new: bytes) -> Path:
    content = pickle_of(path)
    assert old in content
    with_pickle(path, path.with_name("odd"), content.replace(old, new))
    return path.with_name("odd")


def test_huge_declared_sizes_allocate_nothing(tmp_path: Path) -> None:
    path = saved(tmp_path, {"w": torch.zeros(77)})
    assert "behind its storage" in refused(with_numbers(path, b"KM\x85", b"J\xff\xff\xff\x7f\x85"))
    with_pickle(path, tmp_path / "bomb", copies_of_copies(1 << 22))
    refused(tmp_path / "bomb")


def copied(value, times: int):
    """A few bytes that say a value again and again, in lists or dicts within each other."""
    for _ in range(times):
        value = [value] * 9 if isinstance(value, list) else {str(n): value for n in range(9)}
    return value


def test_what_is_in_itself_or_copied_without_end_is_refused_at_once(tmp_path: Path) -> None:
    endless: list = []
    endless.append(endless)
    deep = copied({"a": torch.ones(1)}, 20)
    for value in (
        {"state": {0: {}}, "param_groups": [{"a": endless}]},
        {"state": {0: copied([1], 20)}, "param_groups": []},
    ):
        refused(saved(tmp_path, {"model": net().state_dict(), "optimizer": value}))
    for value in ({"a": endless}, deep, {"a": deep, "b": {"c": deep}}):
        refused(saved(tmp_path, value))


def test_an_optimizer_alone_is_no_net(tmp_path: Path) -> None:
    state = {"state": {"fc.weight": {"exp_avg": torch.ones(1)}}, "param_groups": [{"lr": 1}]}
    assert "found state, param_groups" in refused(saved(tmp_path, state))


def test_a_zip_bomb_is_refused_by_its_directory(tmp_path: Path) -> None:
    path = saved(tmp_path, {"w": torch.zeros(1 << 20)})
    packed_again(path, tmp_path / "packed", zipfile.ZIP_DEFLATED)
    assert "is compressed" in refused(tmp_path / "packed")


def test_a_storage_that_is_missing_or_of_another_size_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, {"w": torch.ones(8)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "less", "w") as new:
        for info in old.infolist():
            if not info.filename.endswith("/data/0"):
                new.writestr(info.filename, old.read(info))
    refused(tmp_path / "less")


def test_torchscript_and_older_archives_say_what_to_do(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(net()), tmp_path / "script.pt")
    assert "TorchScript" in refused(tmp_path / "script.pt")
    (tmp_path / "old").write_bytes(b"sys_info".ljust(100, b"\0") + bytes(924))
    assert "before 0.1.10" in refused(tmp_path / "old")


def test_what_is_no_file_of_torch_is_nothing_of_this_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "arrays.npz", a=np.ones(3))
    (tmp_path / "empty").touch()
    (tmp_path / "text").write_text("epoch 1\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "pipe")
    for each in sorted(tmp_path.iterdir()):
        assert not recognizes(each)
        assert ("missing" if each.name == "loop" else "no checkpoint that is known") in refused(
            each
        )
