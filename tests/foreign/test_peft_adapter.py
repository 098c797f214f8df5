"""An adapter of peft is merged into its base as peft does it, or refused in one line."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from models import hugging_face
from pipeline import foreign
from pipeline.errors import DataError
from pipeline.foreign.peft_adapter import merge
from testing.spoiled import content_of, cuts, one_line

PEFT = Path(__file__).parent / "peft"
BASE = PEFT / "base.safetensors"


def written(folder: Path, config: dict[str, Any], **tensors: torch.Tensor) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    named = {f"base_model.model.{name.replace('__', '.')}": each for name, each in tensors.items()}
    save_file(named, folder / "adapter_model.safetensors")
    return folder


def merged(adapter: Path, base: Path, output: Path) -> Any:
    merge(adapter, base, foreign.read(base), output)
    return foreign.read(output).weights


def fault_of(adapter: Path, output: Path, base: Path = BASE) -> str:
    with pytest.raises(DataError) as raised:
        merge(adapter, base, foreign.read(base), output)
    assert not output.exists()
    return one_line(raised, adapter)


def test_what_peft_wrote_comes_to_what_peft_merges_bit_for_bit(tmp_path: Path) -> None:
    weights = merged(PEFT / "adapter", BASE, tmp_path / "out")
    expected, base = load_file(PEFT / "merged.safetensors"), load_file(BASE)
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], each) for name, each in expected.items())
    changed = {name for name in base if not torch.equal(base[name], expected[name])}
    assert {"embed.weight", "conv.weight", "one.weight", "fc.weight"} <= changed


@pytest.mark.parametrize("prefix", ["", "model."])
def test_a_turned_weight_another_scale_and_a_new_head(tmp_path: Path, prefix: str) -> None:
    """As of a Conv1D of transformers, with use_rslora and modules_to_save."""
    weight, a, b = torch.randn(3, 5), torch.randn(2, 3), torch.randn(5, 2)
    base = tmp_path / "base.pt"
    torch.save({f"{prefix}attn.weight": weight, f"{prefix}head.weight": torch.zeros(1, 5)}, base)
    adapter = written(
        tmp_path / "adapter",
        {"lora_alpha": 3, "use_rslora": True, "fan_in_fan_out": True, "modules_to_save": ["head"]},
        attn__lora_A__weight=a,
        attn__lora_B__weight=b,
        head__modules_to_save__weight=torch.ones(1, 5),
    )
    weights = merged(adapter, base, tmp_path / "out")
    x = torch.randn(4, 3)
    expected = x @ weight + (x @ a.T @ b.T) * 3 / math.sqrt(2)
    torch.testing.assert_close(x @ weights[f"{prefix}attn.weight"], expected)
    assert torch.equal(weights[f"{prefix}head.weight"], torch.ones(1, 5))


def test_alone_it_is_no_checkpoint_and_one_line_says_what_to_do(tmp_path: Path) -> None:
    adapter = shutil.copytree(PEFT / "adapter", tmp_path / "adapter")
    for _ in range(2):
        assert [n for n in foreign.names() if foreign.kind(n).recognizes(adapter)] == [
            "peft_adapter"
        ]
        with pytest.raises(DataError, match="--base <checkpoint of its base>") as raised:
            foreign.read(adapter)
        assert "merge_and_unload" in one_line(raised, adapter)
        (adapter / "config.json").write_text('{"model_type": "bert"}')


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"peft_type": "IA3"}, "of the kind IA3, expected LORA"),
        ({"use_dora": True}, "use_dora is set"),
        ({"layer_replication": [[0, 1]]}, "layer_replication is set"),
        ({"something_new": 3}, "something_new is set"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights is pissa, which changes its base"),
        ({"lora_alpha": "many"}, "lora_alpha is many, expected a number"),
        ({"alpha_pattern": {"(a+)+$": 3}}, "expected names of layers"),
    ],
)
def test_another_sum_is_refused(tmp_path: Path, config: dict[str, Any], why: str) -> None:
    adapter = shutil.copytree(PEFT / "adapter", tmp_path / "adapter")
    place = adapter / "adapter_config.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | config))
    line = fault_of(adapter, tmp_path / "out")
    assert why in line
    assert "merge_and_unload" in line


A, B = torch.randn(2, 4), torch.randn(2, 2)


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({"no__lora_A__weight": A, "no__lora_B__weight": B}, "no.weight is not in the base"),
        ({"fc__lora_A__weight": A}, "one of the two factors of fc alone"),
        ({"fc__lora_A__weight": B + 1, "fc__lora_B__weight": B}, "for a weight of [2, 4]"),
        ({"fc__lora_magnitude_vector": B}, "fc.lora_magnitude_vector, which is no plain LoRA"),
    ],
)
def test_tensors_that_belong_to_no_weight_are_refused(tmp_path: Path, tensors, why: str) -> None:
    adapter = written(tmp_path / "adapter", {"lora_alpha": 4}, **tensors)
    assert why in fault_of(adapter, tmp_path / "out")


def test_what_is_cut_off_or_missing_is_refused(tmp_path: Path) -> None:
    adapter = shutil.copytree(PEFT / "adapter", tmp_path / "adapter")
    before = content_of(tmp_path)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        whole = (adapter / name).read_bytes()
        for content in (*cuts(whole), b""):
            (adapter / name).write_bytes(content)
            fault_of(adapter, tmp_path / "out")
        (adapter / name).write_bytes(whole)
    assert content_of(tmp_path) == before
    (adapter / "adapter_model.safetensors").unlink()
    assert "missing" in fault_of(adapter, tmp_path / "out")


LABELS = 3
BERT = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
QUERY = "bert.encoder.layer.0.attention.self.query"


def of_another_class(folder: Path, cls: str) -> Path:
    """A base as people have it: without the head of the task that the adapter is for."""
    import transformers

    torch.manual_seed(1)
    config = transformers.BertConfig(**BERT, intermediate_size=16, max_position_embeddings=16)
    getattr(transformers, cls)(config).save_pretrained(folder)
    return folder


def classifier(folder: Path, config: dict[str, Any], **more: torch.Tensor) -> Path:
    """An adapter of BertForSequenceClassification with three labels."""
    torch.manual_seed(2)
    tensors = {
        f"{QUERY}.lora_A.weight": torch.randn(2, 8),
        f"{QUERY}.lora_B.weight": torch.randn(8, 2),
        "classifier.weight": torch.randn(LABELS, 8),
        "classifier.bias": torch.randn(LABELS),
    }
    return written(folder, {"lora_alpha": 4, **config}, **tensors, **more)


POOLER = {
    "bert.pooler.dense.weight": torch.eye(8),
    "bert.pooler.dense.bias": torch.zeros(8),
}
OF_THE_CLASS = {"auto_mapping": {"base_model_class": "BertForSequenceClassification"}}


@pytest.mark.parametrize(
    ("cls", "config", "more", "left"),
    [
        ("BertModel", {"task_type": "SEQ_CLS"}, {}, None),
        ("BertForMaskedLM", OF_THE_CLASS, POOLER, "cls.predictions.bias"),
        ("BertForSequenceClassification", {"task_type": "SEQ_CLS"}, {}, None),
    ],
)
def test_the_base_may_be_of_another_class_or_have_another_head(
    tmp_path: Path, cls: str, config: dict[str, Any], more: dict[str, torch.Tensor], left: str
) -> None:
    base = of_another_class(tmp_path / "base", cls)
    adapter = classifier(tmp_path / "adapter", config, **more)
    said = merge(adapter, base, foreign.read(base), tmp_path / "out")
    checkpoint = foreign.read(tmp_path / "out")
    assert checkpoint.model["net.architecture"] == "BertForSequenceClassification"
    assert len(checkpoint.model["net.config.id2label"]) == LABELS
    assert said.get("left_of_base", "").partition(",")[0] == (left or "")

    net = hugging_face.from_config(
        "BertForSequenceClassification",
        {"model_type": "bert", **BERT, "intermediate_size": 16, "max_position_embeddings": 16}
        | {"num_labels": LABELS},
    )
    assert net.load_state_dict({n: checkpoint.weights[n] for n in net.state_dict()}) is not None
    own, added = foreign.read(base).weights, load_file(adapter / "adapter_model.safetensors")
    begin = "base_model.model."
    product = added[f"{begin}{QUERY}.lora_B.weight"] @ added[f"{begin}{QUERY}.lora_A.weight"]
    weight = own[f"{QUERY}.weight" if cls != "BertModel" else f"{QUERY[5:]}.weight"]
    assert torch.equal(checkpoint.weights[f"{QUERY}.weight"], weight + product * 2)
    assert torch.equal(checkpoint.weights["classifier.weight"], added[f"{begin}classifier.weight"])


def test_the_base_may_be_a_file_with_other_beginnings_of_names(tmp_path: Path) -> None:
    base = of_another_class(tmp_path / "base", "BertModel") / "model.safetensors"
    adapter = classifier(tmp_path / "adapter", {})
    weights = merged(adapter, base, tmp_path / "out")
    assert weights.keys() == {f"bert.{name}" for name in load_file(base)} | {
        "classifier.weight",
        "classifier.bias",
    }


def test_a_task_that_the_base_has_no_class_for_is_refused(tmp_path: Path) -> None:
    base = of_another_class(tmp_path / "base", "BertModel")
    adapter = classifier(tmp_path / "adapter", {"task_type": "SEQ_2_SEQ_LM"})
    assert "no class of the base's model_type bert" in fault_of(adapter, tmp_path / "out", base)
