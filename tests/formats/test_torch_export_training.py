"""Program `train` and optimizer.pt: what comes along, bit for bit, and what is refused by name.

That a process without the source does the same is in tests/end_to_end/test_continuation.py.
"""

import contextlib
import json
import zipfile
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from pipeline.frameworks import pytorch as framework
from pipeline.training.epochs import steps
from testing.formats import form as plugin
from testing.parts import answers, parts
from tests.formats.conftest import KIND
from tests.formats.test_torch_export import ATTACKS, Touch, rewritten

form = plugin("torch_export")

RANDOM = np.random.default_rng(0)
ROWS = {"pixels": RANDOM.normal(size=(80, 12)).astype(np.float32)}
TRUE = {"kind": RANDOM.integers(0, 4, 80)}
STEPS = [np.arange(0, 16), np.arange(16, 23), np.arange(23, 39), np.arange(39, 46)]
SEED = 7

Parameters = Iterable[nn.Parameter]


class Net(nn.Module):
    """Batch norm, dropout, a layer that is frozen and one that is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(12, 12)
        self.frozen.requires_grad_(False)
        self.hidden = nn.Linear(12, 8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.3)
        self.answer = nn.Linear(8, 4)
        self.unused = nn.Linear(2, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.norm(self.hidden(self.frozen(pixels)))
        return self.answer(self.dropout(torch.relu(hidden)))


class Plain(nn.Module):
    """Layers of which one is frozen and one is not used: a trace takes a third of the time."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.Linear(12, 12)
        self.frozen.requires_grad_(False)
        self.answer = nn.Linear(12, 4)
        self.unused = nn.Linear(2, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.answer(torch.relu(self.frozen(pixels)))


class Tied(nn.Module):
    """A weight used under two names, a buffer that is not saved, a part called `loss`, two
    outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(12, 12, bias=False), nn.Linear(12, 12, bias=False)
        self.down.weight = self.up.weight
        self.loss = nn.Linear(12, 4)
        self.register_buffer("scale", torch.arange(12.0), persistent=False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.loss(self.down(torch.tanh(self.up(pixels))) * self.scale)
        return logits, logits.argmax(dim=1)


class Remembering(nn.Module):
    """Of the first output; it keeps a running mean and weighs the classes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.cross_entropy = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5, 1.5]))

    def forward(self, outputs: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        loss = self.cross_entropy(outputs[0], target)
        if torch.is_grad_enabled():
            self.mean.mul_(0.9).add_(0.1 * loss.detach())
        return loss + 0.1 * self.mean * outputs[0].mean()


def built(
    optimizer: Callable[[Any], Any],
    scheduler: Callable[[Any], Any] | None,
    clip: float | None,
    net: Callable[[], nn.Module],
    loss: Callable[[], nn.Module],
) -> framework.Training:
    framework.configure(1)
    framework.seed(1)
    inputs = {"pixels": {"dtype": "float32", "shape": [12]}}
    outputs = ["logits", "label"] if net is Tied else ["logits"]
    return framework.build(parts(net, loss, optimizer, scheduler, inputs, clip, outputs, KIND))


def trained(
    optimizer: Callable[[Any], Any] = optim.Adam,
    scheduler: Callable[[Any], Any] | None = None,
    clip: float | None = None,
    net: Callable[[], nn.Module] = Net,
    loss: Callable[[], nn.Module] = nn.CrossEntropyLoss,
) -> framework.Training:
    """A few steps into its training, so that no state is at its beginning."""
    made = built(optimizer, scheduler, clip, net, loss)
    batches = list(np.split(np.arange(80), 5))
    list(steps(framework, made, ROWS, TRUE, batches, []))
    framework.end_epoch(made)
    return made


def exported(training: framework.Training, directory: Path, trains: bool = True) -> Path:
    few, true = of_rows(slice(7))
    model, step = framework.predictor(training, few), (training, true, SEED) if trains else ()
    form.export(model, few, list(training.outputs), directory, *step)
    return directory


def of_rows(rows: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns these rows as a step takes them."""
    return {"pixels": ROWS["pixels"][rows]}, {"kind": TRUE["kind"][rows]}


def by_source(training: framework.Training) -> tuple[list[bytes], dict[str, bytes]]:
    framework.seed(SEED)
    losses = []
    for number, rows in enumerate(STEPS):
        losses.append(framework.step(training, ROWS, TRUE, rows).numpy().tobytes())
        if number == 1:
            framework.end_epoch(training)
    return losses, in_bytes(framework.state(training))


def by_trainer(trainer: Any, target: str = "kind") -> tuple[list[bytes], dict[str, bytes]]:
    losses = []
    for number, rows in enumerate(STEPS):
        inputs, targets = of_rows(rows)
        losses.append(trainer.step(inputs, {target: targets["kind"]}).tobytes())
        if number == 1:
            trainer.end_epoch()
    return losses, in_bytes(trainer.state())


def in_bytes(state: dict[str, np.ndarray]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in state.items()}


def groups(parameters: Parameters) -> optim.Optimizer:
    first, *others = parameters
    slow = {"params": others, "lr": 1e-3, "weight_decay": 0.1}
    return optim.SGD([{"params": [first]}, slow], lr=0.1, momentum=0.9, nesterov=True)


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    **{kind.__name__: kind for kind in (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop)},
    **{kind.__name__: kind for kind in (optim.Adagrad, optim.Adadelta, optim.Adamax)},
    **{kind.__name__: kind for kind in (optim.NAdam, optim.RAdam, optim.Rprop, optim.ASGD)},
    "Adafactor": optim.Adafactor,
    "amsgrad": lambda parameters: optim.Adam(parameters, amsgrad=True, betas=(0.8, 0.99)),
    "groups": groups,
    "of some": lambda parameters: optim.SGD(list(parameters)[2:4], lr=0.1, momentum=0.5),
}
SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "StepLR": lambda made: optim.lr_scheduler.StepLR(made, 1),
    "MultiStepLR": lambda made: optim.lr_scheduler.MultiStepLR(made, [1, 2]),
    "ExponentialLR": lambda made: optim.lr_scheduler.ExponentialLR(made, 0.5),
    "CosineAnnealingLR": lambda made: optim.lr_scheduler.CosineAnnealingLR(made, 5),
    "OneCycleLR": lambda made: optim.lr_scheduler.OneCycleLR(made, 0.1, total_steps=9),
    "LinearLR": lambda made: optim.lr_scheduler.LinearLR(made),
    "PolynomialLR": lambda made: optim.lr_scheduler.PolynomialLR(made, 6, 2.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_goes_on_from_its_state(name: str, tmp_path: Path) -> None:
    training = trained(OPTIMIZERS[name], clip=0.5, net=Plain)
    trainer = form.load_training(exported(training, tmp_path))
    found = by_trainer(trainer)
    assert found == by_source(training)
    expected, _ = answers(framework, training, ROWS)
    assert np.array_equal(trainer.predict(ROWS)["logits"], expected["logits"])


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_scheduler_goes_on_from_its_state(name: str, tmp_path: Path) -> None:
    training = trained(OPTIMIZERS["groups"], SCHEDULERS[name], net=Plain)
    before = [group["lr"] for group in training.optimizer.param_groups]
    found = by_trainer(form.load_training(exported(training, tmp_path)))
    assert found == by_source(training)
    assert [group["lr"] for group in training.optimizer.param_groups] != before


def test_tied_weights_and_the_loss_own_state_come_along(tmp_path: Path) -> None:
    training = trained(optim.Adam, None, 1.0, Tied, Remembering)
    trainer = form.load_training(exported(training, tmp_path))
    losses, state = by_trainer(trainer)
    assert (losses, state) == by_source(training)
    assert {"loss/mean", "loss/cross_entropy.weight", "net/loss.weight"} < set(state)
    assert state["net/up.weight"] == state["net/down.weight"]
    assert "net/scale" not in state


def test_it_evaluates_as_the_source_does(tmp_path: Path) -> None:
    for net, loss in ((Net, nn.CrossEntropyLoss), (Tied, Remembering)):
        (tmp_path / net.__name__).mkdir()
        training = trained(net=net, loss=loss)
        trainer = form.load_training(exported(training, tmp_path / net.__name__))
        expected, loss = answers(framework, training, ROWS, TRUE)
        found, value = trainer.evaluate(ROWS, TRUE)
        assert float(value) == loss
        assert np.array_equal(found["logits"], expected["logits"])


@pytest.mark.parametrize("net", [Net, Tied])
def test_a_weight_that_is_set_moves_its_answers_as_the_source_s(net: Any, tmp_path: Path) -> None:
    training = trained(net=net, loss=Remembering if net is Tied else nn.CrossEntropyLoss)
    trainer = form.load_training(exported(training, tmp_path))
    before = trainer.predict(ROWS)
    state = framework.state(training)
    known = trainer.state().keys() & {name for name in state if name.startswith("net/")}
    doubled = {name: state[name] * 2 for name in known if state[name].dtype == np.float32}
    framework.set_weights(training, doubled)
    trainer.set_weights(doubled)
    expected, _ = answers(framework, training, ROWS)
    assert trainer.predict(ROWS)["logits"].tobytes() == expected["logits"].tobytes()
    assert trainer.predict(ROWS)["logits"].tobytes() != before["logits"].tobytes()
    trainer.set_weights({name: state[name] for name in doubled})
    assert trainer.predict(ROWS)["logits"].tobytes() == before["logits"].tobytes()


def test_saved_loaded_and_saved_again_nothing_is_lost_and_no_byte_changes(tmp_path: Path) -> None:
    training = trained(optim.AdamW, SCHEDULERS["CosineAnnealingLR"], 0.5, Tied, Remembering)
    places = [tmp_path / name for name in ("first", "second", "third")]
    for place in places:
        place.mkdir()
    trainer = form.load_training(exported(training, places[0]))
    by_trainer(trainer)
    trainer.save(places[1])
    form.load_training(places[1]).save(places[2])
    for file in (form.FILE, form.OPTIMIZER):
        assert (places[1] / file).read_bytes() == (places[2] / file).read_bytes()
    by_source(training)
    assert by_trainer(form.load_training(places[2])) == by_source(training)
    expected, _ = answers(framework, training, ROWS)
    loaded = form.load_training(places[2])
    by_trainer(loaded)
    assert np.array_equal(loaded.predict(ROWS)["logits"], expected["logits"])


def test_exporting_leaves_the_training_as_it_was(tmp_path: Path) -> None:
    training = trained(clip=0.5)
    before = in_bytes(framework.state(training))
    generator = torch.get_rng_state()
    exported(training, tmp_path)
    assert in_bytes(framework.state(training)) == before
    assert torch.equal(torch.get_rng_state(), generator)
    assert not any(module.training for module in training.net.modules())


def test_the_weights_lie_there_once(tmp_path: Path) -> None:
    training = trained(net=lambda: WithLarge(nn.Linear(12, 90_000), nn.Linear(90_000, 4)))
    exported(training, tmp_path)
    weights = sum(each.nbytes for each in training.net.parameters())
    state = sum(each.nbytes for each in framework.state(training).values()) - weights
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert total < 1.05 * (weights + state)
    assert sum(place[2] for place in form.optimizer_state(tmp_path).values()) == state


class WithLarge(nn.Sequential):
    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels)


class Own(optim.SGD):
    pass


def own_schedule(made: optim.Optimizer) -> Any:
    class Halving(optim.lr_scheduler.StepLR):
        pass

    return Halving(made, 1)


@pytest.mark.parametrize(
    ("optimizer", "scheduler", "told"),
    [
        (Own, None, r"the optimizer tests\.formats\.\S+\.Own is not one of torch\.optim"),
        (optim.SGD, own_schedule, r"the scheduler \S+Halving is not one of torch\.optim\.lr_sch"),
        (
            optim.SGD,
            lambda made: optim.lr_scheduler.LambdaLR(made, lambda epoch: 0.5**epoch),
            r"the scheduler LambdaLR does not tell the lr_lambda it was made with",
        ),
        (
            optim.SGD,
            lambda made: optim.lr_scheduler.SequentialLR(
                made, [optim.lr_scheduler.ConstantLR(made), optim.lr_scheduler.StepLR(made, 1)], [1]
            ),
            r"SequentialLR does not tell the schedulers it was made with|cannot be made again",
        ),
    ],
)
def test_what_needs_its_source_is_refused_by_name(
    optimizer: Any, scheduler: Any, told: str, tmp_path: Path
) -> None:
    training = trained(optimizer, scheduler)
    with pytest.raises(ValueError, match=told) as raised:
        exported(training, tmp_path)
    assert str(raised.value).startswith("torch_export: ") and "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


class Counting(nn.Module):
    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        wrong = (outputs.argmax(dim=1) != target).sum().item()
        return outputs.sum() if wrong > 3 else outputs.mean()


class Unreduced(nn.CrossEntropyLoss):
    def forward(self, outputs: Tensor, target: Tensor) -> Any:
        loss = super().forward(outputs, target)
        return loss, loss.detach()


@pytest.mark.parametrize(
    ("loss", "told"),
    [(Counting, "its training step cannot be traced"), (Unreduced, "expected one tensor")],
)
def test_a_loss_that_cannot_be_traced_is_refused(loss: Any, told: str, tmp_path: Path) -> None:
    training = built(optim.SGD, None, None, Net, loss)
    with pytest.raises(ValueError, match=told):
        exported(training, tmp_path)
    assert not list(tmp_path.iterdir())


class Rounded(torch.autograd.Function):
    """Rounds, and passes the gradient straight through."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


class Doubled(torch.autograd.Function):
    """Its backward is the derivative of its forward."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values * 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * 2


class Gelu(torch.autograd.Function):
    """Its backward is the derivative, computed in another order."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        ctx.save_for_backward(values)
        return values * 0.5 * (1 + torch.tanh(0.79788456 * values * (1 + 0.044715 * values**2)))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (values,) = ctx.saved_tensors
        tanh = torch.tanh(0.79788456 * values * (1 + 0.044715 * values**2))
        inner = 0.79788456 + 0.1070322243 * values**2
        return (0.5 * values * ((1 - tanh**2) * inner) + 0.5 * (1 + tanh)) * gradient


class Reversed(torch.autograd.Function):
    """Turns the gradient round, in two methods, of an input beside a number."""

    @staticmethod
    def forward(values: Tensor, strength: float) -> Tensor:
        return values.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        ctx.strength = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return -ctx.strength * gradient, None


class Spread(torch.autograd.Function):
    """Its backward mixes the gradients of several values."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return values.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.flip(1)


class Own(Net):
    function: Any = Rounded

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(self.function.apply(pixels * self.frozen.weight.sum()))


class Late(Net):
    function: Any = Rounded
    arguments: tuple[Any, ...] = ()

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = 3 * torch.relu(self.hidden(pixels))
        return self.answer(self.function.apply(hidden, *self.arguments))


class Harmless(Late):
    function = Doubled


class Smooth(Late):
    function = Gelu


class Adversary(Late):
    function, arguments = Reversed, (0.3,)


class Mixing(Late):
    function = Spread


def test_a_backward_of_somebody_s_own_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Spread: a torch.autograd.Function, whose own back") as at:
        exported(trained(net=Mixing), tmp_path)
    assert "\n" not in str(at.value) and "hidden.weight" in str(at.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("net", [Own, Harmless, Late, Smooth, Adversary])
def test_a_backward_of_one_value_at_a_time_goes_along_and_costs_no_state(
    net: Any, tmp_path: Path
) -> None:
    training = trained(net=net)
    before = in_bytes(framework.state(training))
    trainer = form.load_training(exported(training, tmp_path))
    assert in_bytes(framework.state(training)) == before
    assert by_trainer(trainer) == by_source(training)


def test_a_backward_in_another_order_would_not_go_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_backward = import_module("formats.torch_export._own_backward")
    monkeypatch.setattr(own_backward, "own_backwards", contextlib.nullcontext)
    training = trained(net=Smooth)
    trainer = form.load_training(exported(training, tmp_path))
    assert by_trainer(trainer) != by_source(training)


def test_a_part_that_is_compiled_is_refused_by_its_name(tmp_path: Path) -> None:
    training = trained()
    training.net.hidden.compile()
    with pytest.raises(ValueError, match=r"its part hidden is compiled \(torch.compile\)"):
        exported(training, tmp_path)
    training = trained()
    training.net.hidden = torch.compile(training.net.hidden)
    with pytest.raises(ValueError, match=r"its part hidden is compiled \(torch.compile\)"):
        exported(training, tmp_path)


def doubled(*gradients: Any) -> tuple[Tensor, ...]:
    return tuple(2 * each for each in gradients[-1])


HOOKS: dict[str, Callable[[Any], Any]] = {
    "hidden.weight": lambda n: n.hidden.weight.register_hook(lambda gradient: 2 * gradient),
    "answer.bias": lambda n: n.answer.bias.register_post_accumulate_grad_hook(print),
    "its part norm": lambda n: n.norm.register_full_backward_pre_hook(doubled),
}


@pytest.mark.parametrize("what", HOOKS)
def test_a_hook_on_a_gradient_is_refused_by_what_it_is_on(what: str, tmp_path: Path) -> None:
    training = trained()
    HOOKS[what](training.net)
    with pytest.raises(ValueError, match=f"torch_export: {what} has a hook on its gradient"):
        exported(training, tmp_path)
    assert not list(tmp_path.iterdir())


def test_hooks_that_only_look_at_gradients_are_in_nobody_s_way(tmp_path: Path) -> None:
    training, seen = trained(), []
    training.net.hidden.weight.register_hook(lambda gradient: seen.append(gradient))
    training.net.norm.register_full_backward_hook(lambda *_: None)
    trainer = form.load_training(exported(training, tmp_path))
    assert seen
    assert by_trainer(trainer) == by_source(training)


class Cumulative(Net):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(8, momentum=None)


def test_batch_norm_over_all_batches_goes_on_bit_for_bit(tmp_path: Path) -> None:
    training = trained(net=Cumulative)
    trainer = form.load_training(exported(training, tmp_path))
    assert "forward" not in vars(training.net.norm)
    assert by_trainer(trainer) == by_source(training)


def test_a_model_exported_to_predict_has_nothing_to_train_on(tmp_path: Path) -> None:
    training = trained()
    form.export(framework.predictor(training, ROWS), ROWS, ["logits"], tmp_path)
    assert form.optimizer_state(tmp_path) == {}
    with pytest.raises(ValueError, match="exported to predict, not to train on"):
        form.load_training(tmp_path)


def test_one_from_before_targets_had_names_trains_on(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    training = trained()
    whole = exported(training, tmp_path / "whole")
    former = json.dumps({"inputs": ["pixels"], "outputs": ["logits"]}).encode()
    changed = []

    def without_targets(name: str, content: bytes) -> bytes:
        if not name.endswith(f"/{form.SIGNATURE}"):
            return content
        changed.append(json.loads(content))
        return former

    rewritten(whole / form.FILE, tmp_path / form.FILE, without_targets)
    (tmp_path / form.OPTIMIZER).write_bytes((whole / form.OPTIMIZER).read_bytes())
    assert [each["targets"] for each in changed] == [["kind"]]
    trainer = form.load_training(tmp_path)
    _, loss = trainer.evaluate(ROWS, {"target": TRUE["kind"]})
    assert float(loss) == answers(framework, training, ROWS, TRUE)[1]
    assert by_trainer(trainer, "target") == by_source(training)


@pytest.mark.parametrize("scheduler", [None, SCHEDULERS["OneCycleLR"]])
def test_its_card_trains_on_as_the_source_does(
    scheduler: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = trained(optim.AdamW, scheduler, 0.5)
    exported(training, tmp_path)
    card = form.training_card(["pixels"], ["logits"], ["target.kind"], tmp_path)
    losses, _ = by_source(training)
    rows = np.concatenate(STEPS)
    expected, _ = answers(framework, training, {"pixels": ROWS["pixels"][rows]})
    (tmp_path / "examples").mkdir()
    np.savez(
        tmp_path / "examples/training.npz",
        **{"input.pixels": ROWS["pixels"][rows], "target.kind": TRUE["kind"][rows]},
        step=np.repeat(np.arange(len(STEPS)), [len(each) for each in STEPS]),
        loss=np.concatenate([np.frombuffer(loss, np.float32) for loss in losses]),
        ends_epoch=np.arange(len(STEPS)) == 1,
    )
    monkeypatch.chdir(tmp_path)
    scope: dict[str, Any] = {}
    exec(card, scope)
    assert scope["loss"].detach().numpy().tobytes() == losses[-1]
    assert scope["outputs"].numpy().tobytes() == expected["logits"].tobytes()


@pytest.mark.parametrize("attack", [name for name in ATTACKS if name != "a payload"])
def test_code_hidden_in_the_training_program_is_refused(attack: str, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = exported(trained(), tmp_path / "whole")
    member, edit = ATTACKS[attack]
    member = member.replace("model.json", "train.json").replace("model_w", "train_w")
    member = member.replace("model.pt", "train.pt")
    changed = []

    def poison(name: str, content: bytes) -> bytes:
        if not name.endswith(f"/{member}"):
            return content
        changed.append(edit(content, tmp_path / "mark"))
        assert changed[-1] != content
        return changed[-1]

    rewritten(whole / form.FILE, tmp_path / form.FILE, poison)
    (tmp_path / form.OPTIMIZER).write_bytes((whole / form.OPTIMIZER).read_bytes())
    assert len(changed) == 1
    for load in (form.load, form.load_training):
        with pytest.raises(ValueError, match="do not load it"):
            load(tmp_path)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("part", "name"),
    [
        *(("class", "lr_scheduler"), ("class", "Optimizer.register_optimizer_step_pre_hook")),
        *(("scheduler", "warnings"), ("scheduler", "EPOCH_DEPRECATION_WARNING")),
    ],
)
def test_an_optimizer_file_that_names_something_else_is_refused(
    part: str, name: str, tmp_path: Path
) -> None:
    exported(trained(scheduler=SCHEDULERS["StepLR"]), tmp_path)
    saved = torch.load(tmp_path / form.OPTIMIZER, weights_only=True)
    (saved if part == "class" else saved["scheduler"])["class"] = name
    torch.save(saved, tmp_path / form.OPTIMIZER)
    with pytest.raises(ValueError, match="do not load it"):
        form.load_training(tmp_path)


def test_a_pickle_in_the_optimizer_file_is_not_run(tmp_path: Path) -> None:
    exported(trained(), tmp_path)
    torch.save({"class": Touch(tmp_path / "mark")}, tmp_path / form.OPTIMIZER)
    with pytest.raises(ValueError, match=r"optimizer\.pt: its pickle holds more than tensors"):
        form.load_training(tmp_path)
    assert not (tmp_path / "mark").exists()


def test_the_programs_name_one_payload_for_one_weight(tmp_path: Path) -> None:
    exported(trained(), tmp_path)
    with zipfile.ZipFile(tmp_path / form.FILE) as archive:
        configs = [
            json.loads(archive.read(f"model/data/weights/{name}_weights_config.json"))["config"]
            for name in ("model", "train")
        ]
    places = [{name: meta["path_name"] for name, meta in config.items()} for config in configs]
    assert places[0] == places[1]
    assert len(set(places[0].values())) == len(places[0])
