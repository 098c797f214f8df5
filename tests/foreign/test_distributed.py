import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_state_dict

from pipeline import foreign
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.foreign import sets
from pipeline.foreign.distributed import recognizes
from pipeline.foreign.matching import match
from pipeline.frameworks import pytorch
from pipeline.frameworks.contract import Parts, Spec, Term
from testing import ranks
from testing.project import ROOT
from testing.spoiled import RunsCode, content_of, cuts, one_line


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "testing.ranks", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, timeout=300, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def original():
    """Net and optimizer after the same steps, in this process."""
    torch.set_num_threads(1)
    net = ranks.net()
    optimizer = ranks.optimizer(net)
    ranks.take_steps(net, optimizer)
    return net, optimizer


@pytest.fixture
def spoiled(saved, tmp_path):
    return shutil.copytree(saved / "two", tmp_path / "spoiled")


def whole(weights):
    return {name: torch.as_tensor(each) for name, each in weights.items()}


@pytest.mark.parametrize("name", ["one", "two"])
def test_what_ranks_saved_together_is_read_whole_and_bit_for_bit(saved, original, name):
    opened = foreign.read(saved / name)
    assert foreign.recognized(saved / name) == "distributed"
    expected = original[0].state_dict()
    weights = whole(opened.weights)
    assert set(weights) == set(expected)
    assert all(torch.equal(weights[key], value) for key, value in expected.items())
    assert all(tuple(each.shape) == expected[k].shape for k, each in opened.weights.items())


@pytest.mark.parametrize("name", ["one", "two"])
def test_epoch_and_other_values_come_along(saved, name):
    opened = foreign.read(saved / name)
    assert (opened.epoch, opened.hyperparameters) == (ranks.EPOCH, {"more": {"name": "a", "n": 2}})
    assert list(opened.notes) == []


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_optimizers_state_is_by_name_and_in_its_groups(saved, original, name):
    net, optimizer = original
    opened = foreign.read(saved / name).optimizer
    names = {parameter: name for name, parameter in net.named_parameters()}
    for group, read in zip(optimizer.param_groups, opened["param_groups"], strict=True):
        assert read["params"] == [names[each] for each in group["params"]]
        assert read["weight_decay"] == group["weight_decay"]
    for parameter, slots in optimizer.state.items():
        read = opened["state"][names[parameter]]
        assert all(torch.equal(read[slot], value) for slot, value in slots.items())


def test_a_tensor_in_pieces_is_put_together_only_when_it_is_asked_for(saved):
    opened = foreign.read(saved / "two").weights["0.weight"]
    assert not isinstance(opened, torch.Tensor)
    assert (opened.shape, opened.dtype, len(opened)) == ((6, 4), "float32", 6)
    assert np.array_equal(np.asarray(opened), torch.as_tensor(opened).numpy())


def test_a_training_starts_from_shards_with_their_optimizer(saved, original):
    net, optimizer = original
    opened = foreign.read(saved / "two")
    training = pytorch.build(
        Parts(
            net=ranks.net,
            loss={"loss": Term(loss=nn.MSELoss)},
            optimizer=torch.optim.AdamW,
            scheduler=None,
            inputs={"input": {"dtype": "float32", "shape": [4]}},
            targets={"target": {"dtype": "float32", "shape": [2]}},
            outputs={},
            device="cpu",
            clip_norm=None,
        )
    )
    matched = match(pytorch.weight_specs(training, "own"), opened.weights)
    weights = {own: opened.weights[name] for own, name in matched.pairs.items()}
    pytorch.start(training, "own", weights, opened.optimizer, None)
    expected = net.state_dict()
    assert all(torch.equal(expected[k], v) for k, v in training.net.state_dict().items())
    theirs = {n: optimizer.state[p] for n, p in net.named_parameters()}
    for name, parameter in training.net.named_parameters():
        slots = training.optimizer.state[parameter]
        assert all(torch.equal(slots[slot], value) for slot, value in theirs[name].items())
    assert [group["weight_decay"] for group in training.optimizer.param_groups] == [0.01, 0.0]


def test_a_bare_state_dict_and_an_optimizer_without_names_are_read(original, tmp_path):
    net, optimizer = original
    checkpoint.save(net.state_dict(), checkpoint_id=tmp_path / "bare")
    opened = foreign.read(tmp_path / "bare")
    assert set(opened.weights) == set(net.state_dict())
    assert opened.optimizer is None
    content = {"app": {"net": net.state_dict(), "optim": optimizer.state_dict()}}
    checkpoint.save(content, checkpoint_id=tmp_path / "nested")
    opened = foreign.read(tmp_path / "nested")
    assert set(opened.weights) == set(net.state_dict())
    expected = optimizer.state_dict()
    assert [g["params"] for g in opened.optimizer["param_groups"]] == [
        g["params"] for g in expected["param_groups"]
    ]
    for key, slots in expected["state"].items():
        assert all(torch.equal(opened.optimizer["state"][key][k], v) for k, v in slots.items())


@pytest.mark.parametrize("word", ["student", "student.model"])
def test_of_two_models_that_is_taken_which_is_named(original, tmp_path, word):
    state = original[0].state_dict()
    other = {name: each + 1 for name, each in state.items()}
    both = {"student": {"model": other}, "teacher": {"model": state}}
    checkpoint.save(both, checkpoint_id=tmp_path / "both")
    opened = foreign.read(tmp_path / "both")
    assert opened.notes == ("The weights are those under student.model, teacher.model.",)
    taken = whole(sets.chosen(opened, word))
    begins = "model." if word == "student" else ""
    assert taken.keys() == {f"{begins}{name}" for name in other}
    assert all(torch.equal(taken[f"{begins}{name}"], each) for name, each in other.items())
    expected = {
        name: Spec(tuple(each.shape), each.numpy().dtype.name) for name, each in state.items()
    }
    with pytest.raises(ModelError, match=r"model\.weights_of"):
        match(expected, opened.weights)
    matched = match(expected, sets.chosen(opened, word))
    assert set(matched.pairs) == set(expected)


def test_an_average_beside_the_model_is_taken_by_its_name(original, tmp_path):
    state = original[0].state_dict()
    average = {f"module.{name}": each * 2 for name, each in original[0].named_parameters()}
    nested = {"model": state, "ema": {"model": average}, "best": {"0.weight": torch.zeros(2)}}
    for name, saved, word in (
        ("nested", nested, "ema"),
        ("flat", {"model": state, "averaged": average, "rng": torch.zeros(3)}, "averaged"),
    ):
        checkpoint.save(saved, checkpoint_id=tmp_path / name)
        opened = foreign.read(tmp_path / name)
        weights = whole(opened.weights)
        assert all(torch.equal(weights[key], each) for key, each in state.items())
        taken = whole(sets.chosen(opened, word))
        assert taken.keys() == state.keys()  # with the batch norm's statistics
        assert torch.equal(taken["0.weight"], state["0.weight"] * 2)
        assert torch.equal(taken["1.running_mean"], state["1.running_mean"])
        assert any(f"model.weights_of: {word} takes it" in note for note in opened.notes)
        assert ("best" in opened.others) == (name == "nested")
        assert any("1 tensors beside" in note for note in opened.notes) == (name == "flat")
        assert not sets.has_optimizer(opened, word)
    with pytest.raises(ParamsError, match=r"found student, expected .* averaged"):
        sets.chosen(opened, "student")


def test_where_an_average_is_the_model_the_optimizer_is_of_what_is_trained(original, tmp_path):
    module, steps = original
    weights, state = get_state_dict(module, steps)
    average = {name: each / 2 for name, each in weights.items()}
    saved = {"model": average, "trained": weights, "optimizer": state}
    checkpoint.save(saved, checkpoint_id=tmp_path / "averaged")
    opened = foreign.read(tmp_path / "averaged")
    assert not sets.has_optimizer(opened, None) and sets.has_optimizer(opened, "trained")
    trained = whole(sets.chosen(opened, "trained"))
    assert all(torch.equal(trained[name], each) for name, each in weights.items())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int32, torch.bool])
def test_other_dtypes_arrive_as_they_are(tmp_path, dtype):
    weight = torch.arange(6).reshape(2, 3).to(dtype)
    checkpoint.save({"w": weight, "n": torch.tensor(3).to(dtype)}, checkpoint_id=tmp_path)
    read = whole(foreign.read(tmp_path).weights)
    assert read["w"].dtype == dtype
    assert torch.equal(read["w"], weight)


def test_a_missing_piece_is_named(spoiled):
    (spoiled / "__1_0.distcp").unlink()
    with pytest.raises(DataError, match="missing") as raised:
        foreign.read(spoiled)
    assert one_line(raised, spoiled / "__1_0.distcp")


@pytest.mark.parametrize("name", [".metadata", "__0_0.distcp", "__1_0.distcp"])
def test_a_file_that_is_cut_off_ends_in_one_line(spoiled, name):
    content = (spoiled / name).read_bytes()
    for cut in cuts(content):
        (spoiled / name).write_bytes(cut)
        with pytest.raises(DataError) as raised:
            whole(foreign.read(spoiled).weights)
        one_line(raised, spoiled)


def test_a_changed_byte_of_a_weight_is_found_when_it_is_asked_for(spoiled, original):
    path = spoiled / "__0_0.distcp"
    content = path.read_bytes()
    at = content.index(original[0].state_dict()["0.weight"][:3].numpy().tobytes())
    path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(DataError, match="not those of its checksum") as raised:
        whole(foreign.read(spoiled).weights)
    one_line(raised, spoiled)


def changed(spoiled, change):
    """Writes the metadata again, changed."""
    metadata = pickle.loads((spoiled / ".metadata").read_bytes())
    change(metadata)
    (spoiled / ".metadata").write_bytes(pickle.dumps(metadata))


def info_of(metadata, name):
    return next(info for index, info in metadata.storage_data.items() if index.fqn == name)


def chunks_of(metadata, name="model.0.weight"):
    return metadata.state_dict_metadata[name].chunks


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(info_of(m, "model.0.weight"), "relative_path", "../../etc/passwd"),
        lambda m: setattr(info_of(m, "model.0.weight"), "relative_path", "/etc/passwd"),
        lambda m: setattr(info_of(m, "model.0.weight"), "offset", 1 << 40),
        lambda m: setattr(info_of(m, "model.0.weight"), "length", 1 << 60),
        lambda m: setattr(info_of(m, "model.0.weight"), "length", -1),
        lambda m: setattr(info_of(m, "model.0.weight"), "transform_descriptors", ["zstd"]),
        lambda m: chunks_of(m).pop(),
        lambda m: chunks_of(m).append(chunks_of(m)[0]),
        lambda m: setattr(chunks_of(m)[0], "sizes", torch.Size([1 << 40, 4])),
        lambda m: setattr(chunks_of(m)[0], "offsets", torch.Size([3, 0])),
        lambda m: setattr(m.state_dict_metadata["model.0.weight"], "size", torch.Size([1 << 50])),
        lambda m: m.state_dict_metadata.update({"model.more": m.state_dict_metadata["epoch"]}),
        lambda m: m.state_dict_metadata.update({"model.more": 3}),
        lambda m: m.planner_data.update({"model.0.weight": 3}),
        lambda m: setattr(m, "storage_data", []),
    ],
)
def test_metadata_that_say_other_things_end_in_one_line(spoiled, change):
    changed(spoiled, change)
    before = content_of(spoiled)
    with pytest.raises(DataError) as raised:
        whole(foreign.read(spoiled).weights)
    one_line(raised, spoiled)
    assert content_of(spoiled) == before


def test_a_pickle_that_would_run_code_runs_none(spoiled, tmp_path):
    made = tmp_path / "made"
    for content in (RunsCode(made), {"state_dict_metadata": RunsCode(made)}):
        (spoiled / ".metadata").write_bytes(pickle.dumps(content))
        with pytest.raises(DataError, match="is no Metadata") as raised:
            foreign.read(spoiled)
        one_line(raised, spoiled)
    assert not made.exists()


@pytest.mark.parametrize("content", [b"", b"text", b"\x80\x02N.", b"PK\3\4"])
def test_other_content_as_metadata_ends_in_one_line(spoiled, content):
    (spoiled / ".metadata").write_bytes(content)
    with pytest.raises(DataError) as raised:
        foreign.read(spoiled)
    one_line(raised, spoiled)


def test_another_folder_or_a_file_is_none(tmp_path):
    assert not recognizes(tmp_path)
    (tmp_path / ".metadata").mkdir()
    assert not recognizes(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    assert not recognizes(tmp_path / "loop")
