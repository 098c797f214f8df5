import argparse
import math
import pathlib
import warnings
import zipfile

import numpy as np
import pytest
import torch
from lightning import pytorch as lightning
from omegaconf import OmegaConf
from torch import nn

from pipeline import foreign
from pipeline.errors import DataError
from pipeline.foreign.lightning import recognizes
from testing.spoiled import (
    RunsCode,
    content_of,
    copies_of_copies,
    cuts,
    one_line,
    packed_again,
    pickle_of,
    with_pickle,
)


class Module(lightning.LightningModule):
    def __init__(self, width=3, place=None, arguments=None, kind="one", rate=None):
        super().__init__()
        self.save_hyperparameters()
        self.automatic_optimization = kind != "two"
        self.net = nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width), nn.Linear(width, 2))

    def training_step(self, batch, _):
        x, y = batch
        loss = nn.functional.cross_entropy(self.net(x), y)
        if not self.automatic_optimization:
            self.manual_backward(loss)
            for each in self.optimizers():
                each.step()
        return loss

    def configure_optimizers(self):
        if not self.automatic_optimization:
            halves = self.net[0].parameters(), self.net[2].parameters()
            return [torch.optim.SGD(each, lr=0.1) for each in halves]
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


def trained(folder, kind="one"):
    """Trains two epochs and returns the checkpoints that were written after each."""
    arguments = argparse.Namespace(a=1, tree=OmegaConf.create({"x": [1, {"y": 2.5}]}))
    torch.manual_seed(0)
    module = Module(3, pathlib.Path("a/b"), arguments, kind, rate=np.float64(0.5))
    rows = torch.utils.data.TensorDataset(torch.randn(8, 4), torch.randint(0, 2, (8,)))
    saving = lightning.callbacks.ModelCheckpoint(folder, filename="{epoch}", save_top_k=-1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            accelerator="cpu",
            max_epochs=2,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[saving],
        )
        trainer.fit(module, torch.utils.data.DataLoader(rows, batch_size=4))
    return sorted(folder.glob("*.ckpt"))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("lightning"))


@pytest.fixture(scope="module")
def original(written):
    return torch.load(written[-1], weights_only=False)


def saved(content, path):
    torch.save(content, path)
    return path


def test_what_lightning_writes_is_read_bit_for_bit(written, original):
    opened = foreign.read(written[-1])
    assert foreign.recognized(written[-1]) == "lightning"
    assert list(opened.weights) == list(original["state_dict"])
    assert all(torch.equal(opened.weights[k], v) for k, v in original["state_dict"].items())
    assert opened.framework == "pytorch"
    assert opened.versions == {"lightning": lightning.__version__}


def test_optimizer_and_schedule_come_along(written, original):
    opened = foreign.read(written[-1])
    (expected,) = original["optimizer_states"]
    assert opened.optimizer["param_groups"] == expected["param_groups"]
    for number, slots in expected["state"].items():
        assert all(torch.equal(opened.optimizer["state"][number][k], v) for k, v in slots.items())
    assert [opened.scheduler] == original["lr_schedulers"]


def test_they_are_what_torch_takes(written, original):
    opened = foreign.read(written[-1])
    net = Module().net
    net.load_state_dict({k.removeprefix("net."): v for k, v in opened.weights.items()})
    optimizer = torch.optim.AdamW(net.parameters())
    optimizer.load_state_dict(opened.optimizer)
    assert (
        optimizer.param_groups[0]["lr"] == original["optimizer_states"][0]["param_groups"][0]["lr"]
    )


def test_the_epochs_behind_it_are_counted_though_lightning_numbers_them_from_zero(written):
    assert [torch.load(path, weights_only=False)["epoch"] for path in written] == [0, 1]
    assert [foreign.read(path).epoch for path in written] == [1, 2]


def test_hyperparameters_are_shown_though_some_are_objects(written):
    opened = foreign.read(written[-1])
    assert opened.hyperparameters == {
        "width": 3,
        "place": "a/b",
        "arguments": {"a": 1, "tree": {"x": [1, {"y": 2.5}]}},
        "kind": "one",
        "rate": 0.5,
        "global_step": 4,
    }
    with pytest.raises(Exception, match="Weights only load failed"):
        torch.load(written[-1], weights_only=True)


def test_what_callbacks_remember_is_said_to_be_left(written):
    (note,) = foreign.read(written[-1]).notes
    assert note == "What these callbacks remember is left: ModelCheckpoint."


def test_of_several_optimizers_none_is_taken_and_that_is_said(tmp_path):
    opened = foreign.read(trained(tmp_path, "two")[-1])
    assert opened.optimizer is None
    assert "It has 2 optimizers, of which none is taken: a training has one." in opened.notes


def test_an_object_of_an_unknown_class_is_shown_by_its_attributes_and_never_made(
    original, tmp_path
):
    made = tmp_path / "made"
    changed = {**original, "hyper_parameters": {"bad": RunsCode(made), "good": Known(3)}}
    opened = foreign.read(saved(changed, tmp_path / "file"))
    assert opened.hyperparameters["bad"].endswith("system")
    assert opened.hyperparameters["good"]["width"] == 3
    assert any("are not made" in note and "Known" in note for note in opened.notes)
    assert not made.exists()


class Known:
    def __init__(self, width):
        self.width = width


def test_hyperparameters_are_values_of_json_however_odd_they_are(original, tmp_path):
    nested = ()
    for _ in range(100):
        nested = (nested, nested)
    odd = {"nan": math.nan, "big": 1 << 100, "bytes": b"ab", 3: "x"}
    odd |= {"tensor": torch.zeros(2), "half": np.float16(0.5), "deep": nested}
    opened = foreign.read(saved({**original, "hyper_parameters": odd}, tmp_path / "file"))
    assert opened.hyperparameters["nan"] == "nan"
    assert opened.hyperparameters["big"] == "a number of 101 bits"
    assert opened.hyperparameters["half"] == 0.5
    assert opened.hyperparameters["3"] == "x"
    assert opened.hyperparameters["tensor"] == "a tensor"


def test_a_schedule_with_objects_is_left_and_that_is_said(original, tmp_path):
    changed = {**original, "lr_schedulers": [{"last_epoch": 2, "lr_lambdas": [Known(1)]}]}
    opened = foreign.read(saved(changed, tmp_path / "file"))
    assert opened.scheduler is None
    assert "The schedule holds objects, which are not made, and is left." in opened.notes


def test_a_file_from_before_torch_1_6_is_read(original, written, tmp_path):
    path = tmp_path / "file"
    torch.save(original, path, _use_new_zipfile_serialization=False)
    assert foreign.recognized(path) == "lightning"
    opened = foreign.read(path)
    assert all(torch.equal(opened.weights[k], v) for k, v in original["state_dict"].items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.uint16, torch.int8])
def test_other_dtypes_arrive_as_they_are(original, tmp_path, dtype):
    weight = torch.arange(6).reshape(2, 3).to(dtype).t()
    opened = foreign.read(saved({**original, "state_dict": {"w": weight}}, tmp_path / "file"))
    assert opened.weights["w"].dtype == dtype
    assert torch.equal(opened.weights["w"], weight)


def test_tied_weights_and_parts_of_one_storage_have_their_values(original, tmp_path):
    whole = torch.arange(10.0)
    state = {
        "a": whole[2:5],
        "b": whole[2:5],
        "c": nn.Parameter(whole[::3].clone()),
        "d": whole[:0],
    }
    opened = foreign.read(saved({**original, "state_dict": state}, tmp_path / "file"))
    assert all(torch.equal(opened.weights[name], value) for name, value in state.items())


def test_weights_are_mapped_and_not_copied(original, tmp_path):
    state = {"w": torch.zeros(1 << 24)}
    path = saved({**original, "state_dict": state}, tmp_path / "file")
    before = _private()
    opened = foreign.read(path)
    assert opened.weights["w"].sum() == 0
    assert _private() - before < 16 << 20


def _private():
    """Bytes of this process that are no file's."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def test_a_file_that_is_cut_off_ends_in_one_line(written, tmp_path):
    path = tmp_path / "file"
    for content in cuts(written[-1].read_bytes()):
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            foreign.read(path)
        one_line(raised, path)


def test_a_changed_byte_of_the_pickle_is_found(written, tmp_path):
    content, path = written[-1].read_bytes(), tmp_path / "file"
    at = content.index(b"hyper_parameters")
    path.write_bytes(content[:at] + b"H" + content[at + 1 :])
    with pytest.raises(DataError) as raised:
        foreign.read(path)
    one_line(raised, path)


def test_a_changed_byte_of_a_weight_is_found(written, tmp_path):
    content, path = written[-1].read_bytes(), tmp_path / "file"
    wanted = foreign.read(written[-1]).weights["net.0.weight"].numpy().tobytes()
    at = content.index(wanted)
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match="not those of its checksum") as raised:
        foreign.read(path)
    one_line(raised, path)


def test_a_bomb_is_refused_before_it_is_unpacked(written, tmp_path):
    path = tmp_path / "file"
    packed_again(written[-1], path, zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError) as raised:
        foreign.read(path)
    one_line(raised, path)


@pytest.mark.parametrize("value", ["weight", "state_dict", "optimizer_states"])
def test_a_pickle_that_would_run_code_runs_none(original, tmp_path, value):
    made = tmp_path / "made"
    bad = RunsCode(made)
    changed = {**original, **({"state_dict": {"w": bad}} if value == "weight" else {value: bad})}
    path = saved(changed, tmp_path / "file")
    before = content_of(tmp_path)
    with pytest.raises(DataError) as raised:
        foreign.read(path)
    one_line(raised, path)
    assert content_of(tmp_path) == before


def test_the_same_pickle_would_run_code_in_torch(original, tmp_path):
    made = tmp_path / "made"
    torch.load(saved({"w": RunsCode(made)}, tmp_path / "file"), weights_only=False)
    assert made.exists()


@pytest.mark.parametrize(
    ("weight", "why"),
    [
        (lambda: torch.eye(3).to_sparse(), "is sparse"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 1.0, 0, torch.qint8),
            "is quantized",
        ),
        (lambda: torch.empty(3, device="meta"), "has no values"),
        (lambda: "text", "is a str"),
        (lambda: 3, "is a int"),
    ],
)
def test_a_weight_that_is_no_dense_tensor_is_named(original, tmp_path, weight, why):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = saved({**original, "state_dict": {"w": weight()}}, tmp_path / "file")
    with pytest.raises(DataError, match=f"w .*{why}") as raised:
        foreign.read(path)
    one_line(raised, path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x03K\x04\x86", b"K\xffK\xff\x86"),  # a shape that ends behind its bytes
        (b"torch\nFloatStorage", b"torch\nFloatStorag2"),
        (b"_rebuild_tensor_v2", b"_rebuild_tensor_v9"),
    ],
)
def test_a_pickle_that_says_other_things_of_a_tensor_ends_in_one_line(written, tmp_path, old, new):
    content, path = pickle_of(written[-1]), tmp_path / "file"
    assert old in content
    with_pickle(written[-1], path, content.replace(old, new))
    with pytest.raises(DataError) as raised:
        foreign.read(path)
    one_line(raised, path)


def test_a_pickle_of_few_bytes_cannot_make_many(written, tmp_path):
    path = tmp_path / "file"
    with_pickle(written[-1], path, copies_of_copies(1 << 30)[:1_000_000] + b".")
    assert not recognizes(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4", b"\x80\x02}q\x00.", b"{}"])
def test_anything_else_is_not_lightnings(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not recognizes(path)
    assert not recognizes(tmp_path)
    assert not recognizes(tmp_path / "missing")


def test_a_link_to_itself_is_not_lightnings(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert not recognizes(tmp_path / "loop")


def test_another_dict_of_torch_is_not_lightnings(original, tmp_path):
    assert not recognizes(saved({"state_dict": original["state_dict"]}, tmp_path / "file"))
