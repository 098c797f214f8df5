import json
import shutil
import struct
import warnings
from collections.abc import Mapping

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers.trainer_pt_utils import get_parameter_names

from models.hugging_face import from_config
from pipeline import foreign
from pipeline.adopt import adopt
from pipeline.errors import DataError
from pipeline.foreign.hugging_face import recognizes
from pipeline.foreign.matching import match
from pipeline.frameworks import pytorch
from pipeline.frameworks.contract import Parts, Term
from testing.spoiled import RunsCode, content_of, cuts, one_line

TINY = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 16}
IDS = {"input_ids": torch.arange(12).reshape(3, 4)}
MASKED = {**IDS, "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0]])}
NETS = {
    "BertForSequenceClassification": (
        transformers.BertConfig(**TINY, vocab_size=30, num_labels=3),
        MASKED,
    ),
    "GPT2LMHeadModel": (
        transformers.GPT2Config(
            vocab_size=30, n_embd=8, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=1
        ),
        MASKED,
    ),
    "T5ForConditionalGeneration": (
        transformers.T5Config(vocab_size=30, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2),
        {**IDS, "decoder_input_ids": IDS["input_ids"]},
    ),
    "ViTForImageClassification": (
        transformers.ViTConfig(**TINY, image_size=8, patch_size=4, num_channels=1, num_labels=3),
        {"pixel_values": torch.rand(3, 1, 8, 8)},
    ),
    "BertModel": (transformers.BertConfig(**TINY, vocab_size=30), MASKED),
}


def made(name):
    torch.manual_seed(0)
    return getattr(transformers, name)(NETS[name][0]).eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Every net, and its folder as save_pretrained writes it."""
    top = tmp_path_factory.mktemp("hugging_face")
    nets = {name: made(name) for name in NETS}
    for name, net in nets.items():
        net.save_pretrained(top / name)
    return top, nets


@pytest.fixture
def spoiled(saved, tmp_path):
    return shutil.copytree(saved[0] / "BertForSequenceClassification", tmp_path / "spoiled")


def started(opened, inputs):
    """A training of the net that the checkpoint describes, started from it."""
    net = described(opened)
    parts = Parts(
        net=lambda: net,
        loss={"loss": Term(loss=nn.CrossEntropyLoss)},
        optimizer=torch.optim.AdamW,
        scheduler=None,
        inputs={
            name: {"dtype": str(each.dtype).removeprefix("torch."), "shape": list(each.shape[1:])}
            for name, each in inputs.items()
        },
        targets={"label": {"dtype": "int64", "shape": []}},
        outputs={name: name for name in opened.model["outputs"]},
        device="cpu",
        clip_norm=None,
    )
    training = pytorch.build(parts)
    matched = match(pytorch.weight_specs(training, opened.naming), opened.weights)
    weights = {own: opened.weights[name] for own, name in matched.pairs.items()}
    pytorch.start(training, opened.naming, weights, opened.optimizer, opened.scheduler)
    return training


def described(opened):
    config = {
        key.removeprefix("net.config."): value
        for key, value in opened.model.items()
        if key.startswith("net.config.")
    }
    assert opened.model["net._target_"] == "models.hugging_face.from_config"
    return from_config(opened.model["net.architecture"], json.loads(json.dumps(config)))


@pytest.mark.parametrize("name", NETS)
def test_a_folder_answers_as_it_did_in_transformers_bit_for_bit(saved, name):
    top, nets = saved
    inputs = NETS[name][1]
    assert foreign.recognized(top / name) == "hugging_face"
    opened = foreign.read(top / name)
    assert opened.versions == {"transformers": transformers.__version__}
    training = started(opened, inputs)
    answers, _ = pytorch.evaluate(training, {k: v.numpy() for k, v in inputs.items()}, None)
    with torch.inference_mode():
        expected = nets[name](**inputs)
    assert set(answers) == set(opened.model["outputs"])
    for output, values in answers.items():
        assert torch.equal(torch.from_numpy(values), expected[output])


@pytest.mark.parametrize("name", ["BertForSequenceClassification", "GPT2LMHeadModel"])
def test_shards_and_files_of_torch_save_hold_the_same(saved, tmp_path, name):
    top, nets = saved
    expected = foreign.read(top / name).weights
    nets[name].save_pretrained(tmp_path / "shards", max_shard_size=3000)
    assert (tmp_path / "shards/model.safetensors.index.json").is_file()
    (tmp_path / "bin").mkdir()
    shutil.copy(top / name / "config.json", tmp_path / "bin")
    state = nets[name].state_dict()
    torch.save({k: state[k] for k in expected}, tmp_path / "bin/pytorch_model.bin")
    halves = sharded(tmp_path / "halves", top / name / "config.json", state, list(expected))
    for folder in (tmp_path / "shards", tmp_path / "bin", halves):
        assert foreign.recognized(folder) == "hugging_face"
        weights = foreign.read(folder).weights
        assert weights.keys() == expected.keys()
        assert all(torch.equal(weights[key], value) for key, value in expected.items())


def sharded(folder, config, state, names):
    """Writes the weights as older versions of transformers did: two files and an index."""
    folder.mkdir()
    shutil.copy(config, folder)
    parts = {"pytorch_model-1.bin": names[::2], "pytorch_model-2.bin": names[1::2]}
    for file, own in parts.items():
        torch.save({name: state[name] for name in own}, folder / file)
    index = {"weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder


def test_names_of_older_versions_are_brought_to_todays(saved, tmp_path):
    top, nets = saved
    name = "BertForSequenceClassification"
    folder = shutil.copytree(top / name, tmp_path / "old")
    old = {
        k.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): v
        for k, v in load_file(folder / "model.safetensors").items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(512)[None]
    save_file(old, folder / "model.safetensors", metadata={"format": "pt"})
    opened = foreign.read(folder)
    assert any("are called otherwise in transformers today" in note for note in opened.notes)
    weights = {k: v for k, v in opened.weights.items() if not k.endswith("position_ids")}
    expected = nets[name].state_dict()
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[key], value) for key, value in expected.items())


def test_experts_that_transformers_merges_are_refused_in_one_line(tmp_path):
    config = transformers.MixtralConfig(
        **TINY, vocab_size=30, num_key_value_heads=2, num_local_experts=2, num_experts_per_tok=1
    )
    transformers.MixtralForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(DataError, match="is one of several tensors") as raised:
        foreign.read(tmp_path)
    one_line(raised, tmp_path)


def test_what_lies_beside_the_weights_is_said(spoiled):
    assert foreign.read(spoiled).notes == ()
    for name in ("tokenizer.json", "preprocessor_config.json", "training_args.bin"):
        (spoiled / name).write_text("{}")
    notes = " ".join(foreign.read(spoiled).notes)
    assert "data.inputs.input_ids.tokenizer.file=tokenizer.json" in notes
    assert "preprocessor_config.json" in notes
    assert "training_args.bin is a pickle of a class, and is not opened" in notes


class Trained:
    """What the Trainer of transformers would leave: it groups its parameters by its own rule."""

    def __init__(self, folder, net, steps=2):
        self.net = net.train()
        forbidden = [r"bias", r"layernorm", r"rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)"]
        decayed = get_parameter_names(net, [nn.LayerNorm], forbidden)
        named = list(net.named_parameters())
        groups = [
            {"params": [p for n, p in named if n in decayed], "weight_decay": 0.1},
            {"params": [p for n, p in named if n not in decayed], "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.01)
        self.schedule = transformers.get_linear_schedule_with_warmup(self.optimizer, 1, 10)
        for _ in range(steps):
            self.step()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.schedule.step()
        net.save_pretrained(folder)
        torch.save(self.optimizer.state_dict(), folder / "optimizer.pt")
        torch.save(self.schedule.state_dict(), folder / "scheduler.pt")
        state = {"epoch": 2.0, "global_step": 2, "max_steps": 10, "log_history": [{"loss": 1.0}]}
        (folder / "trainer_state.json").write_text(json.dumps(state))

    def step(self):
        torch.manual_seed(1)
        logits = self.net(**MASKED).logits
        nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2])).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def test_a_trainers_optimizer_goes_on_as_it_would_have_bit_for_bit(tmp_path):
    trained = Trained(tmp_path, made("BertForSequenceClassification"))
    opened = foreign.read(tmp_path)
    assert (opened.epoch, opened.hyperparameters) == (2, {"global_step": 2, "max_steps": 10})
    assert opened.scheduler == trained.schedule.state_dict()
    names = [name for group in opened.optimizer["param_groups"] for name in group["param_names"]]
    assert set(names) == {name for name, _ in trained.net.named_parameters()}
    own = described(opened).train()
    own.load_state_dict(opened.weights)
    by_name = dict(own.named_parameters())
    groups = [
        {
            **{k: v for k, v in each.items() if k not in ("params", "param_names")},
            "params": [by_name[name] for name in each["param_names"]],
        }
        for each in opened.optimizer["param_groups"]
    ]
    again = torch.optim.AdamW(groups)
    again.load_state_dict(opened.optimizer)
    torch.manual_seed(1)
    nn.functional.cross_entropy(own(**MASKED).logits, torch.tensor([0, 1, 2])).backward()
    again.step()
    trained.step()
    expected = trained.net.state_dict()
    assert all(torch.equal(expected[name], value) for name, value in own.state_dict().items())


def test_an_optimizer_with_other_groups_is_left_and_that_is_said(tmp_path):
    trained = Trained(tmp_path, made("BertForSequenceClassification"))
    other = torch.optim.AdamW(trained.net.parameters())
    torch.save(other.state_dict(), tmp_path / "optimizer.pt")
    opened = foreign.read(tmp_path)
    assert opened.optimizer is None
    assert opened.scheduler is None
    assert any("it is left" in note for note in opened.notes)


def test_the_class_may_be_chosen_by_what_it_is_for():
    config = {"model_type": "bert", **TINY, "vocab_size": 30}
    net = from_config("AutoModelForSequenceClassification", config)
    assert type(net).__name__ == "BertForSequenceClassification"
    assert net.config.use_cache is False
    for architecture in ("Nothing", "BertConfig", "pipeline", "GPT2LMHeadModel"):
        with pytest.raises(ValueError, match=f"architecture: found '?{architecture}"):
            from_config(architecture, config)
    with pytest.raises(ValueError, match=r"config\.model_type: found 'none'"):
        from_config("BertModel", {"model_type": "none"})


def test_the_net_is_as_the_checkpoint_says_but_for_what_is_on_the_line(saved):
    opened = foreign.read(saved[0] / "BertForSequenceClassification")
    config = {"model_type": "bert", "hidden_dropout_prob": 0.0}
    net = {"_target_": "", "architecture": "", "config": config}
    values = {"train": {}, "data": {"made_up": False}, "model": {"net": net, "weights_of": None}}
    line = ["model=hugging_face", "model.net.config.hidden_dropout_prob=0.0"]
    adopt(values, line, "digest", opened)
    assert net["architecture"] == "BertForSequenceClassification"
    assert (config["hidden_size"], config["hidden_dropout_prob"]) == (8, 0.0)
    assert values["model"]["outputs"] == ["logits"]


def changed(folder, **values):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"auto_map": {"AutoModel": "modeling_own.Own"}}, "code of its own"),
        ({"quantization_config": {"load_in_8bit": True}}, "quantized"),
        ({"architectures": []}, "the name of one class"),
        ({"architectures": ["A", "B"]}, "the name of one class"),
        ({"architectures": ["os.system"]}, "does not have"),
        ({"architectures": ["pipeline"]}, "does not have"),
        ({"model_type": "nothing"}, "does not have"),
        ({"hidden_size": 1 << 40}, "expected at most"),
        ({"num_hidden_layers": 1 << 20}, "expected at most"),
        ({"hidden_size": 1 << 20}, "describes a net of"),
        ({"hidden_size": "eight"}, "builds no BertForSequenceClassification"),
        ({"num_attention_heads": 3}, "builds no BertForSequenceClassification"),
        ({"_target_": "os.system"}, "which no configuration has"),
        ({"more": {"_target_": "os.system"}}, "which no configuration has"),
        ({"more": "${oc.env:HOME}"}, "expected a plain one"),
    ],
)
def test_a_configuration_that_is_none_of_a_net_ends_in_one_line(spoiled, values, why):
    changed(spoiled, **values)
    before = content_of(spoiled)
    with pytest.raises(DataError, match=why) as raised:
        foreign.read(spoiled)
    one_line(raised, spoiled)
    assert content_of(spoiled) == before


@pytest.mark.parametrize("content", ["", "text", "[]", "{", '{"a": 1, "a": 2}', "[" * 100_000])
def test_a_config_that_is_no_mapping_ends_in_one_line(spoiled, content):
    (spoiled / "config.json").write_text(content)
    with pytest.raises(DataError) as raised:
        foreign.read(spoiled)
    one_line(raised, spoiled)


def test_a_file_that_is_cut_off_ends_in_one_line(spoiled):
    path = spoiled / "model.safetensors"
    for content in (*cuts(path.read_bytes()), b"", path.read_bytes() + b"more"):
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            foreign.read(spoiled)
        one_line(raised, spoiled)


def with_header(path, change):
    """Writes a file of safetensors again with another header."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


def first(header: Mapping):
    return next(each for name, each in header.items() if name != "__metadata__")


@pytest.mark.parametrize(
    "change",
    [
        lambda header: first(header).update(shape=[1 << 50]),
        lambda header: first(header).update(shape=[-8]),
        lambda header: first(header).update(dtype="F4"),
        lambda header: first(header).update(data_offsets=[0, 1 << 50]),
        lambda header: header.update(more={"shape": [2], "dtype": "F32", "data_offsets": [0, 8]}),
        lambda header: header.update(more=3),
        lambda header: first(header).pop("shape"),
    ],
)
def test_a_header_that_says_other_things_ends_in_one_line(spoiled, change):
    with_header(spoiled / "model.safetensors", change)
    with pytest.raises(DataError) as raised:
        foreign.read(spoiled)
    one_line(raised, spoiled)


def test_a_missing_shard_is_named(saved, tmp_path):
    top, nets = saved
    name = "BertForSequenceClassification"
    state = nets[name].state_dict()
    folder = sharded(tmp_path / "shards", top / name / "config.json", state, list(state))
    (folder / "pytorch_model-2.bin").unlink()
    with pytest.raises(DataError, match=r"pytorch_model-2\.bin: missing") as raised:
        foreign.read(folder)
    one_line(raised, folder)
    for outside in ("../other.bin", "/etc/passwd", ".."):
        index = {"weight_map": {"w": outside}}
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
        with pytest.raises(DataError, match="expected files beside it") as raised:
            foreign.read(folder)
        one_line(raised, folder)


def test_weights_that_would_run_code_run_none(spoiled, tmp_path):
    ran = tmp_path / "ran"
    (spoiled / "model.safetensors").unlink()
    for value in (RunsCode(ran), {"w": RunsCode(ran)}):
        torch.save(value, spoiled / "pytorch_model.bin")
        with pytest.raises(DataError) as raised:
            foreign.read(spoiled)
        one_line(raised, spoiled)
    torch.save(RunsCode(ran), spoiled / "training_args.bin")
    assert not ran.exists()


def test_weights_of_another_framework_are_named(spoiled):
    (spoiled / "model.safetensors").rename(spoiled / "flax_model.msgpack")
    with pytest.raises(
        DataError, match=r"no weights of PyTorch, but flax_model\.msgpack"
    ) as raised:
        foreign.read(spoiled)
    one_line(raised, spoiled)


def test_another_folder_or_a_file_is_none(tmp_path):
    assert not recognizes(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    assert not recognizes(tmp_path)
    assert not recognizes(tmp_path / "config.json")
    (tmp_path / "loop").symlink_to("loop")
    assert not recognizes(tmp_path / "loop")
