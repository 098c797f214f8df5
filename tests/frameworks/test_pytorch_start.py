"""A PyTorch training that starts from elsewhere goes on as the script that it was saved in."""

import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler

from pipeline.frameworks import pytorch as framework
from pipeline.frameworks.contract import Averaging, Spec
from testing.formats import form as plugin
from testing.parts import parts

form = plugin("torch_export")
RANDOM = np.random.default_rng(0)
ROWS = {"x": RANDOM.normal(size=(40, 4)).astype(np.float32)}
LABELS = {"label": RANDOM.integers(0, 3, 40)}
BATCHES = [np.arange(0, 16), np.arange(16, 23), np.arange(23, 39)]
INPUTS = {"x": {"dtype": "float32", "shape": [4]}}
ADAM = partial(optim.Adam, lr=0.01)
SGD = partial(optim.SGD, lr=0.1, momentum=0.9)


class Net(nn.Module):
    """Batch norm and dropout between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.dropout(torch.relu(self.norm(self.first(x))), 0.3, self.training))


class Script:
    """A loop that somebody wrote without this project, and what they save of it."""

    def __init__(self, optimizer: Callable[..., Any], scheduler: Any, groups: Any = None):
        torch.manual_seed(1)
        self.net = Net()
        self.optimizer = optimizer(groups(self.net) if groups else self.net.parameters())
        self.scheduler = scheduler(self.optimizer) if scheduler else None

    def epoch(self) -> list[float]:
        losses = []
        self.net.train()
        for seed, rows in enumerate(BATCHES):
            torch.manual_seed(seed)
            self.optimizer.zero_grad()
            outputs = self.net(torch.from_numpy(ROWS["x"][rows]))
            loss = nn.functional.cross_entropy(outputs, torch.from_numpy(LABELS["label"][rows]))
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        if self.scheduler:
            self.scheduler.step()
        return losses

    def saved(self) -> tuple[Any, Any, Any]:
        """Weights, optimizer and schedule as a file brings them back."""
        whole = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        whole["scheduler"] = self.scheduler.state_dict() if self.scheduler else None
        torch.save(whole, file := io.BytesIO())
        file.seek(0)
        return tuple(torch.load(file, weights_only=True).values())


def training(optimizer: Callable[..., Any] = ADAM, scheduler: Any = None, net: Any = Net, **how):
    chosen = parts(net, nn.CrossEntropyLoss, optimizer, scheduler, INPUTS, outputs=["logits"])
    framework.configure(1)
    torch.manual_seed(99)
    return framework.build(type(chosen)(**vars(chosen) | how))


def epoch(started: Any) -> list[float]:
    losses = []
    for seed, rows in enumerate(BATCHES):
        torch.manual_seed(seed)
        losses.append(float(framework.step(started, ROWS, LABELS, rows)))
    framework.end_epoch(started)
    return losses


def assert_same(script: Script, started: Any) -> None:
    for ours, its in zip(
        (started.net.state_dict(), *started.optimizer.state.values()),
        (script.net.state_dict(), *script.optimizer.state.values()),
        strict=True,
    ):
        assert ours.keys() == its.keys()
        assert all(torch.equal(torch.as_tensor(ours[k]), torch.as_tensor(its[k])) for k in its)


STEP = partial(lr_scheduler.StepLR, step_size=2, gamma=0.5)
SCHEDULES = {
    "none": None,
    "step": STEP,
    "cosine": partial(lr_scheduler.CosineAnnealingLR, T_max=7),
    "lambda": partial(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 1 / (1 + epoch)),
    "sequence": lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.LinearLR(o), STEP(o)], [1]),
    "multi": partial(lr_scheduler.MultiStepLR, milestones=[1, 3]),
}
OPTIMIZERS = {
    "adam": ADAM,
    "amsgrad": partial(optim.Adam, amsgrad=True),
    "adamw": partial(optim.AdamW, lr=0.02, weight_decay=0.1),
    "momentum": SGD,
    "sgd": partial(optim.SGD, lr=0.1),
    "rmsprop": partial(optim.RMSprop, momentum=0.5),
    "adagrad": optim.Adagrad,
    "adafactor": optim.Adafactor,
    "nadam": optim.NAdam,
}


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        *((each, "none") for each in OPTIMIZERS),
        *(("adamw", each) for each in SCHEDULES if each != "none"),
        *(("momentum", each) for each in ("step", "cosine")),
    ],
)
def test_more_steps_equal_those_of_the_script_bit_for_bit(optimizer: str, schedule: str) -> None:
    script = Script(OPTIMIZERS[optimizer], SCHEDULES[schedule])
    for _ in range(2):
        script.epoch()
    started = training(OPTIMIZERS[optimizer], SCHEDULES[schedule])
    framework.start(started, "own", *script.saved())
    assert epoch(started) + epoch(started) == script.epoch() + script.epoch()
    assert_same(script, started)


def test_that_they_are_equal_would_fail_without_the_state() -> None:
    script = Script(ADAM, None)
    script.epoch()
    started = training()
    weights, _, _ = script.saved()
    assert framework.start(started, "own", weights, None, None) == []
    assert torch.equal(started.net.norm.running_mean, script.net.norm.running_mean)
    assert epoch(started) != script.epoch()


def test_settings_are_those_of_the_checkpoint_and_a_note_says_which() -> None:
    script = Script(partial(optim.Adam, lr=0.003, betas=(0.8, 0.9)), STEP)
    script.epoch()
    started = training(ADAM, partial(lr_scheduler.StepLR, step_size=9))
    notes = framework.start(started, "own", *script.saved())
    assert [note.partition(" as in")[0] for note in notes] == [
        "the optimizer's lr is 0.003",
        "the optimizer's betas is (0.8, 0.9)",
        "the schedule's gamma is 0.5",
        "the schedule's step_size is 2",
    ]
    assert epoch(started) == script.epoch()


def test_a_schedule_that_the_checkpoint_lacks_begins_and_sets_the_learning_rate() -> None:
    script = Script(partial(optim.Adam, lr=0.003), None)
    script.epoch()
    started = training(ADAM, STEP)
    [note] = framework.start(started, "own", *script.saved())
    assert "begins" in note and started.optimizer.param_groups[0]["lr"] == 0.01
    assert (
        framework.start(training(), "own", *Script(ADAM, STEP).saved())[0].startswith(
            "the checkpoint's schedule is left"
        )
        is False
    )


def test_a_schedule_that_params_lack_is_left_and_said() -> None:
    script = Script(ADAM, STEP)
    script.epoch()
    notes = framework.start(training(), "own", *script.saved())
    assert "the checkpoint's schedule is left: params.yaml has none" in notes


def decays(net: nn.Module) -> list[dict[str, Any]]:
    flat = [p for p in net.parameters() if p.ndim < 2]
    deep = [p for p in net.parameters() if p.ndim >= 2]
    return [{"params": deep, "weight_decay": 0.1}, {"params": flat, "weight_decay": 0.0}]


def named(net: nn.Module) -> list[dict[str, Any]]:
    """Groups that name their parameters, in an order that nobody would guess."""
    pairs = [(f"module.{name}", p) for name, p in reversed(list(net.named_parameters()))]
    return [{"params": pairs[:1], "lr": 0.5}, {"params": pairs[1:]}]


@pytest.mark.parametrize("groups", [decays, named])
def test_groups_whose_settings_differ_stay_apart_and_are_resumed(groups, tmp_path: Path) -> None:
    script = Script(ADAM, STEP, groups)
    script.epoch()
    started = training(ADAM, STEP)
    framework.start(started, "own", *script.saved())
    assert epoch(started) == script.epoch()
    framework.save(started, tmp_path / "epoch.pt")
    resumed = training(ADAM, STEP)
    framework.load(resumed, tmp_path / "epoch.pt")
    assert epoch(resumed) + epoch(resumed) == script.epoch() + script.epoch()


class Split(optim.Adam):
    """An optimizer that makes groups itself, which no rule would find again."""

    def __init__(self, params: Any) -> None:
        weights = list(params)
        super().__init__([{"params": weights[1::2], "lr": 0.3}, {"params": weights[::2]}])


def test_groups_that_the_optimizer_makes_itself_are_those_of_the_script() -> None:
    script = Script(Split, None)
    script.epoch()
    started = training(Split)
    assert framework.start(started, "own", *script.saved()) == []
    assert epoch(started) == script.epoch()


def test_groups_with_equal_settings_become_one() -> None:
    script = Script(ADAM, None, lambda net: [{"params": m.parameters()} for m in net.children()])
    script.epoch()
    started = training()
    assert framework.start(started, "own", *script.saved()) == []
    assert len(started.optimizer.param_groups) == 1
    assert epoch(started) == script.epoch()


def test_groups_that_differ_are_exported_and_trained_on_without_the_source(tmp_path: Path) -> None:
    script = Script(ADAM, STEP, decays)
    script.epoch()
    started = training(ADAM, STEP)
    framework.start(started, "own", *script.saved())
    few = {"x": ROWS["x"][:2]}
    model, targets = framework.predictor(started, few), {"label": LABELS["label"][:2]}
    form.export(model, few, ["logits"], tmp_path, started, targets, 0)
    trainer = form.load_training(tmp_path)
    losses = []
    for seed, rows in enumerate(BATCHES):
        trainer.seed(seed)
        batch = {"x": ROWS["x"][rows]}, {"label": LABELS["label"][rows]}
        losses.append(float(trainer.step(*batch)))
    assert losses == script.epoch()


def test_groups_that_may_hold_anything_are_refused() -> None:
    net = Net()
    state = ADAM([{"params": list(net.last.parameters())}, {"params": []}]).state_dict()
    state["param_groups"][0]["params"], state["param_groups"][1]["params"] = [0, 1, 2], [3, 4, 5]
    state["state"] = {0: {"step": torch.tensor(1.0), "exp_avg": torch.zeros(7, 7)}}
    with pytest.raises(ValueError, match=r"^model.optimizer: the parameters .* differ in shape"):
        framework.start(training(), "own", net.state_dict(), state, None)
    state["param_groups"][0]["params"], state["state"] = [0, 1], {}
    state["param_groups"][1]["params"] = [2, 3, 4, 5]
    with pytest.raises(ValueError, match=r"^model.optimizer: the parameters .* several orders"):
        framework.start(training(), "own", net.state_dict(), state, None)


def saved_by(optimizer: Callable[..., Any], scheduler: Any = None) -> tuple[Any, Any, Any]:
    script = Script(optimizer, scheduler)
    script.epoch()
    return script.saved()


def of_more_parameters(state: Any) -> None:
    state["param_groups"][0]["params"].append(6)


def without_a_slot(state: Any) -> None:
    del state["state"][2]["exp_avg_sq"]


def misshaped(state: Any) -> None:
    state["state"][0]["exp_avg_sq"] = torch.zeros(8, 5)


def transposed(state: Any) -> None:
    state["state"][0]["exp_avg"] = torch.zeros(4, 8)
    state["state"][0]["exp_avg_sq"] = torch.zeros(4, 8)


def of_no_optimizer(state: Any) -> None:
    state.clear()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (of_more_parameters, r"^model.optimizer: the checkpoint's is of 7 parameters, expected"),
        (without_a_slot, r"^model.optimizer: Adam holds exp_avg, exp_avg_sq, step for norm.weight"),
        (misshaped, r"^model.optimizer: the checkpoint's exp_avg_sq of first.weight has shape "),
        (transposed, r"^model.optimizer: the checkpoint's exp_avg of first.weight has shape "),
        (of_no_optimizer, r"^train.start_with: the checkpoint's optimizer has no state"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_line(spoil, words) -> None:
    weights, state, _ = saved_by(ADAM)
    spoil(state)
    with pytest.raises(ValueError, match=words) as raised:
        framework.start(training(), "own", weights, state, None)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("its", "ours"), [(SGD, ADAM), (ADAM, SGD), (optim.AdamW, ADAM), (optim.RMSprop, ADAM)]
)
def test_another_optimizers_state_is_refused_by_name(its, ours) -> None:
    with pytest.raises(ValueError, match=r"^model.optimizer: found (Adam|SGD), which is set by"):
        framework.start(training(ours), "own", *saved_by(its))


def test_another_schedules_state_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^model.scheduler: found StepLR, which is set by gamma"):
        framework.start(training(ADAM, STEP), "own", *saved_by(ADAM, SCHEDULES["cosine"]))
    plateau = partial(lr_scheduler.ReduceLROnPlateau, mode="max")
    state = plateau(ADAM(Net().parameters())).state_dict()
    ours = training(ADAM, lr_scheduler.ReduceLROnPlateau)
    with pytest.raises(ValueError, match=r"^model.scheduler: .*mode max.*expected min"):
        framework.start(ours, "own", *saved_by(ADAM)[:2], state)


def test_a_new_heads_slots_begin_anew() -> None:
    weights, state, _ = saved_by(ADAM)
    kept = {name: each for name, each in weights.items() if not name.startswith("last")}
    for index in (4, 5):  # the old head was larger
        state["state"][index] = {k: torch.zeros(9) for k in state["state"][index]}
    started = training()
    before = started.net.last.weight.clone()
    notes = framework.start(started, "own", kept, state, None)
    assert "the optimizer begins anew for last.weight, last.bias" in notes
    assert torch.equal(before, started.net.last.weight)
    epoch(started)


def test_only_trained_weights_may_be_in_the_checkpoints_optimizer() -> None:
    script = Script(ADAM, None, lambda net: list(net.last.parameters()))
    script.net.first.requires_grad_(False)
    script.net.norm.requires_grad_(False)
    script.epoch()
    started = training(freeze=["first", "norm.weight", "norm.bias"])
    framework.start(started, "own", *script.saved())
    assert epoch(started) == script.epoch()


def test_an_average_begins_at_the_weights_of_the_checkpoint() -> None:
    weights, *_ = saved_by(ADAM)
    started = training(averaging=Averaging("ema", 0.9, 1))
    framework.start(started, "own", weights, None, None)
    held = started.average.net.state_dict()
    assert all(torch.equal(held[name], weights[name]) for name in weights)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.last = nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.first(x))


def test_specs_name_every_tensor_and_say_which_names_share_one() -> None:
    specs = framework.weight_specs(training(net=Tied), "own")
    assert specs["first.weight"] == Spec((4, 4), "float32")
    assert specs["last.weight"] == Spec((4, 4), "float32", "first.weight")
    assert framework.weight_specs(training(), "own")["norm.num_batches_tracked"].dtype == "int64"
    with pytest.raises(ValueError, match="keras"):
        framework.weight_specs(training(), "keras")


def test_what_stands_for_missing_values_is_no_checkpoints() -> None:
    inputs = {"x": {"dtype": "float32", "shape": [4], "missing": [0.5] * 4}}
    started = framework.build(parts(Net, nn.CrossEntropyLoss, ADAM, None, inputs))
    assert "missing_x" in started.net.state_dict()
    assert "missing_x" not in framework.weight_specs(started, "own")


def test_two_names_of_one_tensor_need_one_value() -> None:
    weights = {name: each.clone() for name, each in Tied().state_dict().items()}
    framework.start(training(net=Tied), "own", weights, None, None)
    weights["last.weight"] += 1
    with pytest.raises(ValueError, match="are one tensor of the net, and two that differ"):
        framework.start(training(net=Tied), "own", weights, None, None)


def test_other_floats_are_brought_to_the_nets() -> None:
    weights = {name: each.half() for name, each in Net().state_dict().items()}
    weights["norm.num_batches_tracked"] = torch.tensor(3, dtype=torch.int32)
    started = training()
    framework.start(started, "own", weights, None, None)
    assert started.net.first.weight.dtype == torch.float32
    assert torch.equal(started.net.first.weight, weights["first.weight"].float())
    assert started.net.norm.num_batches_tracked == 3
