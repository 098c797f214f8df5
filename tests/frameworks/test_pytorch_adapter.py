"""Adapters alone are trained, and what predicts is the net that they are merged with."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from pipeline.formats.torch_export import _adapter, card, export
from pipeline.formats.torch_export._screen_optimizer import STEPPING
from pipeline.formats.torch_export.train import load_training
from pipeline.frameworks import pytorch as framework
from pipeline.frameworks.contract import Adapting
from testing.parts import parts

RANDOM = np.random.default_rng(0)
ROWS = {"tokens": RANDOM.integers(0, 11, (24, 5))}
LABELS = {"label": RANDOM.integers(0, 11, 24)}
INPUTS = {"tokens": {"dtype": "int64", "shape": [5]}}
BASE = {"embed.weight", "conv.weight", "conv.bias", "flat.weight", "flat.bias", "lin.weight"}


class Net(nn.Module):
    """A layer of each kind that takes an adapter, and one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8, padding_idx=0)
        self.conv = nn.Conv1d(8, 8, 3, padding="same", dilation=2)
        self.flat = nn.Conv2d(1, 4, (3, 2), stride=(2, 1), padding=1)
        self.norm = nn.BatchNorm1d(8)
        self.lin = nn.Linear(8, 8, bias=False)
        self.head = nn.Linear(12, 11)

    def forward(self, tokens: Tensor) -> Tensor:
        values = self.norm(self.conv(self.embed(tokens).transpose(1, 2)))
        spread = self.flat(values[:, None]).mean((2, 3))
        return self.head(torch.cat([torch.relu(self.lin(input=values.mean(2))), spread], 1))


def built(net: Any = Net, targets: Any = ("*",), new: Any = ("head",)) -> framework.Training:
    framework.configure(1)
    framework.seed(3)
    optimizer = partial(optim.AdamW, lr=0.05)
    chosen = parts(net, nn.CrossEntropyLoss, optimizer, None, INPUTS, 1.0, outputs=["logits"])
    adapter = Adapting(2, 4.0, 0.1, targets, new)
    return framework.build(replace(chosen, adapter=adapter))


def answers(training: framework.Training) -> np.ndarray:
    return framework.evaluate(training, ROWS, None)[0]["logits"]


def steps(training: framework.Training, count: int = 4) -> list[float]:
    losses = []
    for seed in range(count):
        framework.seed(seed, training)
        losses.append(float(framework.step(training, ROWS, LABELS, np.arange(24 - seed))))
    return losses


@pytest.fixture(scope="module")
def trained() -> framework.Training:
    training = built()
    steps(training)
    return training


def test_nothing_but_adapters_and_new_weights_moves() -> None:
    training = built()
    before = {name: each.clone() for name, each in training.net.state_dict().items()}
    assert np.array_equal(framework.unmerged(training, ROWS)["logits"], answers(training))
    losses = steps(training)
    assert losses[-1] < losses[0]
    after = training.net.state_dict()
    moved = {name for name, each in after.items() if not torch.equal(each, before[name])}
    assert moved == {n for n in after if ".adapter." in n or n.startswith("head.")}
    assert moved & BASE == set()


def test_the_merged_net_answers_as_base_and_adapter(trained: framework.Training) -> None:
    apart = framework.unmerged(trained, ROWS)["logits"]
    assert np.abs(apart - answers(trained)).max() < 1e-5 * np.abs(apart).max()
    untouched = built()
    assert np.abs(apart - answers(untouched)).max() > 0.01 * np.abs(apart).max()


def test_the_checks_see_an_adapter_that_is_not_merged(trained: framework.Training) -> None:
    adapter = trained.adapter
    apart = framework.unmerged(trained, ROWS)["logits"]
    sabotaged = replace(trained, adapter=replace(adapter, layers=adapter.layers[:-1]))
    sabotaged.adapter.net.lin.weight.data.copy_(trained.net.lin.weight)
    assert np.abs(apart - answers(sabotaged)).max() > 1e-3
    adapter.merged_of = ()


def test_what_predicts_has_the_names_of_the_base_alone(trained: framework.Training) -> None:
    names = {n.removeprefix("net/") for n in framework.state(trained) if n.startswith("net/")}
    assert names == set(Net().state_dict()) == set(framework.weight_specs(trained, "own"))
    assert not {"pipeline"} & set(framework.sources(trained))


def test_a_file_has_the_adapters_and_not_what_they_are_of(
    trained: framework.Training, tmp_path: Path
) -> None:
    framework.save(trained, tmp_path / "epoch.pt")
    framework.save_whole(trained, tmp_path / "whole.pt")
    held = torch.load(tmp_path / "epoch.pt", weights_only=True)["net"]
    assert not BASE & set(held)
    assert {"lin.adapter.left", "head.weight", "norm.running_mean"} <= set(held)
    expected = framework.state(trained)
    for name in ("epoch.pt", "whole.pt"):
        other = built()
        if name == "whole.pt":
            other.net.lin.weight.data.zero_()
        framework.load(other, tmp_path / name)
        state = framework.state(other)
        assert all(state[name].tobytes() == each.tobytes() for name, each in expected.items())
    with pytest.raises(ValueError, match=r"epoch.pt: of another model: has other adapters: "):
        framework.load(built(targets=["lin"]), tmp_path / "epoch.pt")


def test_it_is_trained_on_without_the_source_bit_for_bit(tmp_path: Path) -> None:
    training = built()
    steps(training)
    predictor = framework.predictor(training, ROWS)
    how = {"training": training, "targets": LABELS, "seed": 0}
    export.export(predictor, ROWS, ["logits"], tmp_path, **how)
    trainer = load_training(tmp_path)
    taken = []
    for seed in range(4):
        trainer.seed(seed)
        rows = ({name: each[: 24 - seed] for name, each in v.items()} for v in (ROWS, LABELS))
        taken.append(float(trainer.step(*rows)))
    assert taken == steps(training)
    ours, theirs = framework.state(training), trainer.state()
    assert ours.keys() == theirs.keys()
    assert [n for n in ours if ours[n].tobytes() != theirs[n].tobytes()] == []
    loss = framework.evaluate(training, ROWS, LABELS)[1]
    assert trainer.evaluate(ROWS, LABELS)[1] == np.float32(loss)
    for name in ("net/lin.weight", "net/head.weight", "net/norm.running_mean"):
        for values in (ours[name] + 0.5, ours[name]):
            framework.set_weights(training, {name: values})
            trainer.set_weights({name: values})
            assert trainer.predict(ROWS)["logits"].tobytes() == answers(training).tobytes()
    trainer.save(tmp_path)
    again = load_training(tmp_path).state()
    assert all(again[name].tobytes() == each.tobytes() for name, each in theirs.items())
    _follow_the_card(tmp_path, training)


def _follow_the_card(folder: Path, training: framework.Training) -> None:
    """Its lines merge as the source does, of weights that a step has moved."""
    lines = card.MERGED
    trainer = load_training(folder)
    scope = {"saved": trainer.saved, "train": trainer.train, "predict": trainer.model}
    trainer.model.lin.weight.data.zero_()
    exec("\n".join(lines), scope)
    got = trainer.model(torch.from_numpy(ROWS["tokens"])).detach().numpy()
    assert got.tobytes() == answers(training).tobytes()


def test_another_scale_in_the_file_is_seen(trained: framework.Training) -> None:
    settings, net = trained.adapter.settings, framework.predictor(trained, ROWS)
    _adapter.merge({**settings, "scale": 1.0}, net, trained.net)
    apart = framework.unmerged(trained, ROWS)["logits"]
    assert np.abs(apart - answers(trained)).max() > 1e-3
    trained.adapter.merged_of = ()


@pytest.mark.parametrize("changed", [{"scale": "2"}, {"layers": [1]}, {"more": 0}, {"layers": "a"}])
def test_a_strangers_file_says_no_more_of_an_adapter_than_what_merges_it(changed: Any) -> None:
    settings = {"scale": 2.0, "layers": ["lin"]}
    assert STEPPING["adapter"](settings)
    assert not STEPPING["adapter"](settings | changed)


def test_narrow_weights_are_merged_in_their_own_dtype() -> None:
    training = built(Narrow, ["lin"], [])
    layer = training.net.get_submodule("lin")
    layer.adapter.left.data.fill_(0.25)
    merged = training.predicting.net.get_submodule("lin").weight
    assert (merged.dtype, layer.adapter.left.dtype) == (torch.bfloat16, torch.float32)
    expected = layer.weight + layer.adapter.left @ layer.adapter.right * 2.0
    assert torch.equal(merged, expected.to(torch.bfloat16))
    steps(training, 1)


class Narrow(Net):
    def __init__(self) -> None:
        super().__init__()
        self.to(torch.bfloat16)

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens).float()


class Attending(Net):
    def __init__(self) -> None:
        super().__init__()
        self.attend = nn.MultiheadAttention(8, 2)
        self.groups = nn.Conv1d(8, 8, 3, groups=2)
        self.most = nn.Embedding(3, 4, max_norm=1.0)


@pytest.mark.parametrize(
    ("net", "how", "said"),
    [
        (Net, {"targets": ["lim"]}, "found 'lim', which fits no layer, expected lin or the like"),
        (
            Net,
            {"targets": ["norm"]},
            "found 'norm': norm is a BatchNorm1d, and an adapter takes Li",
        ),
        (Net, {"targets": ["head"]}, "fit new weights alone, which are trained as they are"),
        (Attending, {"targets": ["attend.*"]}, "attend.out_proj is a NonDyn"),
        (Attending, {"targets": ["lin", "groups"]}, "found 'groups': groups has groups, or pads"),
        (Attending, {"targets": ["most"]}, "most has a max_norm, or sparse gradients"),
    ],
)
def test_layers_that_take_no_adapter_are_one_line(net: Any, how: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^train.adapter.targets: .*{said}") as raised:
        built(net, **how)
    assert "\n" not in str(raised.value)


def test_a_pattern_of_new_weights_that_fits_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"^train.new_weights: found 'heat', which fits no weight"):
        built(new=["heat"])
