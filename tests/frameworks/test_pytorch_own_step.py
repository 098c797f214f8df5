"""A net's own training_step is the step: here, without its source, and after a kill."""

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from pipeline.frameworks import pytorch as framework
from pipeline.frameworks.contract import Accumulation, Averaging
from testing.formats import form as plugin
from testing.trial import fault
from tests.frameworks import test_pytorch_steps as steps

SEED, ROWS, LABELS = steps.SEED, steps.ROWS, steps.LABELS
Net = steps.Net
RANDOM = np.random.default_rng(1)


class Variational(nn.Module):
    """Draws in its loss, weighs a term by how far it has come, and has a part for a step alone."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.encoder = nn.BatchNorm1d(4), nn.Linear(4, 6)
        self.decoder = nn.Sequential(nn.Dropout(0.3), nn.Linear(3, 4))
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(self.norm(x))[:, :3]

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Tensor]:
        x, _ = batch
        if self.training:
            self.steps += 1
        mean, log_variance = self.encoder(self.norm(x)).chunk(2, 1)
        code = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        apart = functional.mse_loss(self.decoder(code), x)
        far = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).mean()
        return {"loss": apart + (self.steps / 10).clamp(max=1) * far, "far": far}


class Mixing(Net):
    """Mixes rows, and judges them unmixed; what it counts is assigned, and seen by nobody else."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def training_step(self, batch: Any) -> Tensor:
        x, label = batch["x"], batch["label"]
        share = torch.distributions.Beta(0.4, 0.4).sample()
        others = torch.randperm(x.shape[0])
        answer = self(share * x + (1 - share) * x[others])
        self.seen = self.seen + x.shape[0]
        with torch.no_grad():
            (answer.argmax(1) == label).float().mean()
        of_label = functional.cross_entropy(answer, label)
        return share * of_label + (1 - share) * functional.cross_entropy(answer, label[others])

    def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, label = batch
        return functional.cross_entropy(self(x), label)


class Smoothing(Net):
    """Smooths labels the less the longer it trains, and logs as people do."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steps", torch.zeros(()))

    def training_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        if self.training:
            self.steps = self.steps + 1
        logs = functional.log_softmax(self(x=batch["x"]), 1)
        smooth = 0.2 * (1 - self.steps / 10).clamp(min=0)
        loss = (1 - smooth) * functional.nll_loss(logs, batch["label"]) - smooth * logs.mean()
        return {"loss": loss, "level": loss.item()}


class Noisy(nn.Module):
    """What makes other rows of them in a step."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.randn_like(x)


def lightning() -> nn.Module:
    """A LightningModule as it is, without its Trainer."""
    package = pytest.importorskip("lightning")

    class Module(package.LightningModule):
        def __init__(self, hidden: int = 8) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = Net()

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x)

        def training_step(self, batch: Any, batch_idx: int) -> Tensor:
            x, label = batch
            loss = functional.cross_entropy(self(x), label)
            self.log("train_loss", loss, prog_bar=True)
            return loss

        def validation_step(self, batch: Any, batch_idx: int) -> Tensor:
            loss = self.training_step(batch, batch_idx)
            self.log_dict({"val_loss": loss})
            return loss

    return Module()


CASES: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "drawing": (Variational, {}),
    "mixing": (Mixing, {}),
    "smoothing": (Smoothing, {}),
    "lightning": (lightning, {}),
    "accumulated and clipped": (Variational, {"accumulation": Accumulation(3), "clip_norm": 0.1}),
    "averaged": (Variational, {"averaging": Averaging("ema", 0.9, 1)}),
    "narrow": (Mixing, {"precision": "bfloat16", "clip_norm": 0.1}),
    "augmented": (Smoothing, {"augment": Noisy}),
    "frozen": (Variational, {"freeze": ["norm", "decoder"]}),
}


def built(name: str) -> framework.Training:
    net, options = CASES[name]
    return steps.built(net, loss=None, **options)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("name", CASES)
def test_it_trains_on_without_its_source_bit_for_bit(name: str, tmp_path: Path) -> None:
    training = built(name)

    def judge(trainer: Any) -> None:
        _, judged = framework.evaluate(training, ROWS, LABELS)
        assert float(trainer.evaluate(ROWS, LABELS)[1]) == judged
        assert framework.evaluate(training, ROWS, LABELS)[1] == judged

    steps.STEPPING.demand_trains_on(training, tmp_path, judge)


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize("name", CASES)
def test_what_is_loaded_goes_on_as_what_was_saved(name: str, tmp_path: Path) -> None:
    steps.STEPPING.demand_goes_on(built(name), built(name), tmp_path)


def test_a_step_is_that_of_a_loop_by_hand() -> None:
    training = built("mixing")
    losses = steps.stepped(training)
    framework.configure(1)
    framework.seed(1)
    net = Mixing()
    optimizer = optim.AdamW(net.parameters())
    by_hand = []
    for rows in steps.STEPS:
        batch = {"x": torch.tensor(ROWS["x"][rows]), "label": torch.tensor(LABELS["label"][rows])}
        optimizer.zero_grad()
        loss = net.training_step(batch)
        loss.backward()
        optimizer.step()
        by_hand.append(loss.item())
    assert by_hand == losses
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, training.net.state_dict()[name])


def test_its_batch_has_what_stands_for_missing_values() -> None:
    described = {"x": {"dtype": "float32", "shape": [4], "missing": [1.0, 2.0, 3.0, 4.0]}}
    holes = {"x": np.where(RANDOM.random((64, 4)) < 0.2, np.float32(np.nan), ROWS["x"])}
    filled = {"x": np.where(np.isnan(holes["x"]), np.float32([1, 2, 3, 4]), holes["x"])}
    losses = []
    for rows in (holes, filled):
        training = steps.built(Mixing, loss=None, inputs=described)
        framework.seed(SEED)
        losses.append(float(framework.step(training, rows, LABELS, np.arange(16))))
        losses.append(framework.evaluate(training, rows, LABELS)[1])
    assert losses[:2] == losses[2:] and np.isfinite(losses).all()


def test_without_a_validation_step_the_training_step_judges_in_evaluation_mode() -> None:
    training = built("smoothing")
    steps.stepped(training)
    net = training.net.eval()
    batch = {"x": torch.tensor(ROWS["x"]), "label": torch.tensor(LABELS["label"])}
    with torch.no_grad():
        expected = net.training_step(batch, 0)["loss"].item()
    assert framework.evaluate(training, ROWS, LABELS)[1] == expected


@pytest.mark.parametrize("left_out", ["far", "draws", "count"])
def test_a_program_that_leaves_out_a_part_of_the_step_differs(
    left_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = built("drawing")
    steps.stepped(training)

    def spoilt(self: Variational, batch: Any, batch_idx: int) -> Tensor:
        steps_before = self.steps.clone()
        returned = whole(self, batch, batch_idx)
        if left_out == "count":
            self.steps.copy_(steps_before)
        if left_out == "draws":
            mean = self.encoder(self.norm(batch[0])).chunk(2, 1)[0]
            return functional.mse_loss(self.decoder(mean), batch[0])
        return returned["loss"] - (returned["far"] if left_out == "far" else 0)

    whole = Variational.training_step
    monkeypatch.setattr(Variational, "training_step", spoilt)
    trainer = steps.exported(training, tmp_path)
    monkeypatch.undo()
    assert any("losses" in each for each in steps.differing(training, trainer))


def test_the_whole_step_becomes_one_graph_of_onnx(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 3)
            self.register_buffer("steps", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x)

        def training_step(self, batch: Any) -> Tensor:
            if self.training:
                self.steps = self.steps + 1
            return functional.cross_entropy(self(batch[0]), batch[1]) / self.steps

        def validation_step(self, batch: Any) -> Tensor:
            return functional.cross_entropy(self(batch[0]), batch[1])

    training = steps.built(Plain, optim.Adam, loss=None)
    few, labels = {"x": ROWS["x"][:7]}, {"label": LABELS["label"][:7]}
    form = plugin("onnx_train")
    form.export(framework.predictor(training, few), few, ["logits"], tmp_path, training, labels)
    trainer = form.load_training(tmp_path)
    for rows in steps.STEPS[:2]:
        loss = float(framework.step(training, ROWS, LABELS, rows))
        batch = {"x": ROWS["x"][rows]}, {"label": LABELS["label"][rows]}
        assert float(trainer.step(*batch)) == pytest.approx(loss, abs=1e-6)
    assert trainer.state()["net/steps"] == 2


class Two(nn.Module):
    """Two classes from four columns, with a step of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(4, 2)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x)

    def training_step(self, batch: Any, batch_idx: Any) -> Any:
        return loss_of(self, batch)


def loss_of(self: Two, batch: Any) -> Tensor:
    return functional.cross_entropy(self(batch[0]), batch[1])


def counting(self: Two, batch: Any) -> Tensor:
    self.steps += 1
    return loss_of(self, batch)


def backwards(self: Two, batch: Any) -> Tensor:
    loss = loss_of(self, batch)
    loss.backward()
    return loss


def three(self: Two, batch: Any) -> Tensor:
    x, _, _ = batch
    return x


def now_and_then(self: Two, batch: Any, batch_idx: int) -> Any:
    return loss_of(self, batch) if batch_idx % 10 == 0 else None


def two_optimizers(self: Two, batch: Any, batch_idx: int, optimizer_idx: int) -> Any:
    return loss_of(self, batch)


STEPS: dict[str, tuple[Any, str]] = {
    "names": (lambda self, b: self(b["image"]).sum(), "takes 'image' of a batch, expected one of"),
    "three": (three, r"test_pytorch_own_step.py:\d+, in three: ValueError: not enough values"),
    "batch_idx": (now_and_then, "goes by batch_idx, which the program .* count in a buffer"),
    "numpy": (lambda self, b: loss_of(self, b) * np.random.rand(), r"draws from numpy.random, "),
    "backward": (backwards, "the training_step of Mine calls backward itself"),
    "nothing": (lambda self, b: None, "its training_step returned nothing, expected the loss"),
    "number": (lambda self, b: loss_of(self, b).item(), "its training_step returned a float"),
    "no loss": (lambda self, b: {"log": 1}, "returned a mapping with a loss missing"),
    "rows": (lambda self, b: self(b[0])[:, 0], r"returned a tensor of shape \[32\]"),
    "two optimizers": (two_optimizers, r"takes .*'optimizer_idx'\], expected batch"),
    "judging": (counting, "^model.net: net/steps changes where the loss is only looked at"),
}
LOOP: dict[str, tuple[dict[str, Any], str]] = {
    "optimizers": ({"configure_optimizers": counting}, "defines configure_optimizers, which this"),
    "hook": ({"on_train_batch_end": counting}, "Mine defines on_train_batch_end, which this"),
    "test": ({"test_step": counting}, "Mine defines test_step, which this training never calls"),
    "manual": ({"automatic_optimization": False}, "optimizes by itself"),
    "unjudged": (
        {"validation_step": lambda self, b: None},
        "its validation_step returned nothing, expected the loss",
    ),
}
CHANGED = {
    **{name: ({"training_step": step}, text) for name, (step, text) in STEPS.items()},
    **{f"loop: {name}": case for name, case in LOOP.items()},
}


def tried(folder: Path, loss: Any = None, **members: Any) -> str | None:
    folder.mkdir()
    net = type("Mine", (Two,), members)
    return fault(framework, "pytorch", folder, net, loss, partial(optim.Adam, lr=0.01))


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_step_cannot_be_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    members, expected = CHANGED[name]
    found = tried(tmp_path / "trial", **members)
    assert found is not None and "\n" not in found
    assert re.search(expected, found), found


def test_a_step_that_only_returns_its_loss_is_taken(tmp_path: Path) -> None:
    assert tried(tmp_path / "trial") is None
