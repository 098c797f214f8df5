"""How a PyTorch training takes a step, and that nothing of it is lost between two of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn, optim

from pipeline import foreign
from pipeline.foreign import sets
from pipeline.frameworks import pytorch as framework
from pipeline.frameworks.contract import Accumulation, Averaging, Parts, Term
from testing.formats import form as plugin
from testing.stepping import SEED, STEPS, Stepping, in_bytes, small_table

form = plugin("torch_export")
ROWS, LABELS = small_table()
STEPPING = Stepping(
    framework, form, ROWS, LABELS, "logits", lambda one, other: one.tobytes() == other.tobytes()
)
stepped, exported, differing = STEPPING.stepped, STEPPING.exported, STEPPING.differing
still_and_moved = STEPPING.still_and_moved


class Net(nn.Module):
    """Batch norm and dropout between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 8)
        self.norm = nn.BatchNorm1d(8)
        self.dropout = nn.Dropout(0.3)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.dropout(torch.relu(self.norm(self.first(x)))))


def plain() -> nn.Module:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x)

    return Plain()


def built(
    net: Callable[[], nn.Module] = Net,
    optimizer: Callable[..., Any] = optim.AdamW,
    scheduler: Callable[..., Any] | None = None,
    **options: Any,
) -> framework.Training:
    framework.configure(1)
    framework.seed(1)
    parts: Mapping[str, Any] = {
        "net": net,
        "loss": {"model.loss": Term(loss=nn.CrossEntropyLoss)},
        "optimizer": optimizer,
        "scheduler": scheduler,
        "inputs": {"x": {"dtype": "float32", "shape": [4]}},
        "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3}},
        "outputs": {"logits": "logits"},
        "device": "cpu",
        "clip_norm": None,
    }
    return framework.build(Parts(**{**parts, **options}))


def one_cycle(optimizer: optim.Optimizer) -> Any:
    """Ends within the steps."""
    return optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=6)


OPTIONS: dict[str, dict[str, Any]] = {
    "weighed": {"accumulation": Accumulation(3), "class_weights": (0.5, 2.0, 1.0)},
    "clipped by step": {
        "accumulation": Accumulation(3, 1),
        "clip_norm": 0.1,
        "scheduler": lambda made: optim.lr_scheduler.StepLR(made, 1),
        "schedule_by": "step",
    },
    "bfloat16": {"precision": "bfloat16", "clip_norm": 0.1},
    "float16": {"precision": "float16", "accumulation": Accumulation(2), "clip_norm": 0.1},
    "swa from the second epoch on": {"averaging": Averaging("swa", 0.0, 2), "freeze": ["first"]},
    "ema far ahead": {"averaging": Averaging("ema", 0.9, 9)},
    "frozen": {
        "freeze": ["first", "norm"],
        "clip_norm": 0.1,
        "averaging": Averaging("ema", 0.9, 1),
    },
    "to its end": {"scheduler": lambda made: one_cycle(made), "schedule_by": "step"},
}
"""Several in one training: the programs and what is saved are compared bit for bit."""


def test_an_optimizer_that_asks_for_the_loss_several_times_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^model.optimizer: LBFGS asks for the loss several"):
        built(optimizer=optim.LBFGS)


@pytest.mark.parametrize("name", OPTIONS)
def test_it_trains_on_without_its_source_bit_for_bit(name: str, tmp_path: Path) -> None:
    STEPPING.demand_trains_on(built(**OPTIONS[name]), tmp_path)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_cards_lines_take_the_same_steps(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    training = built(**OPTIONS[name])
    stepped(training)
    exported(training, tmp_path)
    framework.seed(SEED)
    rows = np.concatenate(STEPS)
    arrays = {"input.x": ROWS["x"][rows], "target.label": LABELS["label"][rows]}
    arrays |= {"step": np.repeat(np.arange(4), [len(each) for each in STEPS])}
    arrays |= {"loss": np.array(stepped(training)), "ends_epoch": np.arange(4) == 1}
    (tmp_path / "examples").mkdir()
    np.savez(tmp_path / "examples/training.npz", val_loss=0.5, **arrays)
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    exec(form.training_card(["x"], ["logits"], ["target.label"], tmp_path), known)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1].rstrip(",") == line[-1] for line in lines] == [True] * 4
    seen = framework.evaluate(training, {"x": arrays["input.x"]}, None)[0]["logits"]
    assert known["outputs"].numpy().tobytes() == seen.tobytes()


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_loaded_goes_on_as_what_was_saved(name: str, tmp_path: Path) -> None:
    STEPPING.demand_goes_on(built(**OPTIONS[name]), built(**OPTIONS[name]), tmp_path)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_snapshot_is_what_is_saved_and_stays_while_training_goes_on(
    name: str, tmp_path: Path
) -> None:
    STEPPING.demand_same_snapshot(built(**OPTIONS[name]), tmp_path)


@pytest.mark.parametrize("rows", [64, 7, 1])
def test_a_gradient_in_batches_is_that_of_all_rows(rows: int) -> None:
    """The last batch of seven is smaller than the others, and weighs less."""

    def moved(accumulation: Accumulation) -> tuple[float, np.ndarray]:
        sgd = lambda weights: optim.SGD(weights, lr=1.0)  # noqa: E731
        training = built(plain, sgd, accumulation=accumulation)
        loss = float(framework.step(training, ROWS, LABELS, np.arange(rows)))
        return loss, framework.state(training)["net/last.weight"]

    STEPPING.demand_batches_add_up(moved)


def test_batches_are_as_equal_as_they_can_be_and_none_has_a_single_row() -> None:
    def sizes(rows: int, accumulation: Accumulation) -> list[int]:
        return [part.stop - part.start for part in accumulation.batches_of(rows)]

    assert sizes(64, Accumulation(4)) == [16, 16, 16, 16]
    assert sizes(7, Accumulation(4)) == [3, 2, 2]
    assert sizes(3, Accumulation(4)) == [3]
    assert sizes(4, Accumulation(4, 1)) == [1, 1, 1, 1]
    assert sizes(9, Accumulation()) == [9]


@pytest.mark.parametrize(
    "stepping",
    [
        ["accumulate"],
        {"accumulate": [0, 2]},
        {"averaging": {"kind": "ema"}},
        {"precision": "float64"},
        {"scaling": {"scale": "1"}},
        {"call": "os.system"},
    ],
)
def test_a_step_that_is_said_in_other_words_is_refused(stepping: Any, tmp_path: Path) -> None:
    exported(built(), tmp_path)
    saved = torch.load(tmp_path / "optimizer.pt", weights_only=True)
    with (tmp_path / "optimizer.pt").open("wb") as file:
        torch.save(saved | {"stepping": stepping}, file)
    with pytest.raises(ValueError, match=r"optimizer.pt: .*; do not load it"):
        form.load_training(tmp_path)


def test_a_schedule_advances_at_each_step_or_at_each_end_of_an_epoch() -> None:
    def rates(schedule_by: str) -> list[float]:
        halving = lambda made: optim.lr_scheduler.ExponentialLR(made, 0.5)  # noqa: E731
        training = built(scheduler=halving, schedule_by=schedule_by)
        group, found = training.optimizer.param_groups[0], []
        for number, rows in enumerate(STEPS):
            found.append(group["lr"] * 1000)
            framework.step(training, ROWS, LABELS, rows)
            if number == 1:
                framework.end_epoch(training, 0.5)
        return found

    assert rates("step") == [1, 0.5, 0.25, 0.125]
    assert rates("epoch") == [1, 1, 0.5, 0.5]


def test_a_schedule_that_goes_by_an_epochs_loss_cannot_advance_at_a_step() -> None:
    with pytest.raises(ValueError, match=r"^train.schedule_by: found step, expected epoch"):
        built(scheduler=optim.lr_scheduler.ReduceLROnPlateau, schedule_by="step")


def test_a_frozen_part_stays_as_it_is_its_batch_norms_statistics_too() -> None:
    still, moved = still_and_moved(built(freeze=["first", "norm"]))
    assert still == {name for name in still | moved if name.startswith(("first.", "norm."))}
    still, moved = still_and_moved(built(freeze=["*.bias", "norm.weight"]))
    assert still == {"first.bias", "norm.bias", "last.bias", "norm.weight"}
    assert "norm.running_mean" in moved


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["frist"], r"^train.freeze: found 'frist', which fits no weight, expected first or"),
        (["dropout"], r"^train.freeze: found 'dropout', which fits no weight"),
        (["first", "*"], r"^train.freeze: \['first', '\*'\] fit every weight"),
    ],
)
def test_a_pattern_that_freezes_nothing_or_everything_is_refused(patterns: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        built(freeze=patterns)


def test_a_step_in_bfloat16_is_another_and_predicts_in_float32() -> None:
    plain, narrow = built(), built(precision="bfloat16")
    losses = []
    for training in (plain, narrow):
        framework.seed(SEED)
        losses.append(stepped(training))
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    assert framework.evaluate(narrow, ROWS, LABELS)[0]["logits"].dtype == np.float32
    assert {array.dtype.name for array in framework.state(narrow).values()} <= {"float32", "int64"}


def test_a_gradient_that_leaves_float16_takes_no_step_and_halves_the_scale() -> None:
    training = built(plain, precision="float16")
    steep = {"x": ROWS["x"] * 3e4}
    before = framework.state(training)
    framework.step(training, steep, LABELS, STEPS[0])
    after = framework.state(training)
    assert after["net/last.weight"].tobytes() == before["net/last.weight"].tobytes()
    assert after["scaling/scale"] == before["scaling/scale"] / 2


def test_a_checkpoint_that_forgets_the_scale_is_noticed(tmp_path: Path) -> None:
    training = built(precision="float16")
    stepped(training)
    framework.save(training, tmp_path / "whole.pt")
    state = torch.load(tmp_path / "whole.pt", weights_only=True)
    state["scaling"]["scale"] *= 2
    torch.save(state, tmp_path / "other.pt")
    ends = []
    for file in ("whole.pt", "other.pt"):
        resumed = built(precision="float16")
        framework.load(resumed, tmp_path / file)
        framework.seed(SEED)
        stepped(resumed)
        ends.append(in_bytes(framework.state(resumed)))
    assert ends[0] != ends[1]


def test_an_average_is_what_predicts_and_training_goes_on_with_the_weights() -> None:
    plain, averaged = built(), built(averaging=Averaging("ema", 0.5, 1))
    losses = []
    for training in (plain, averaged):
        framework.seed(SEED)
        losses.append(stepped(training))
    assert losses[0] == losses[1]
    weights, both = framework.state(plain), framework.state(averaged)
    assert weights["net/last.weight"].tobytes() == both["trained/last.weight"].tobytes()
    assert weights["net/last.weight"].tobytes() != both["net/last.weight"].tobytes()
    answers = [framework.evaluate(each, ROWS, None)[0]["logits"] for each in (plain, averaged)]
    assert not np.array_equal(*answers)


@pytest.mark.parametrize(("kind", "expected"), [("ema", [1, 1, 2, 4]), ("swa", [1, 1, 1, 1])])
def test_an_average_is_that_of_the_weights_after_each_step(
    kind: str, expected: list[float]
) -> None:
    """Of an ema with a decay of a half, from the second step on, the first has what is left."""
    training = built(averaging=Averaging(kind, 0.5, 1))
    after = []
    for rows in STEPS:
        framework.step(training, ROWS, LABELS, rows)
        after.append(framework.state(training)["trained/last.weight"])
    mean = np.average(after, axis=0, weights=expected)
    np.testing.assert_allclose(framework.state(training)["net/last.weight"], mean, rtol=1e-5)


def test_the_optimizer_in_a_checkpoint_is_of_what_is_trained_not_of_its_average(
    tmp_path: Path,
) -> None:
    training, path = built(averaging=Averaging("swa", 0.0, 1)), tmp_path / "epoch.pt"
    stepped(training)
    framework.save(training, path)
    checkpoint = foreign.read(path)
    assert not sets.has_optimizer(checkpoint, None) and sets.has_optimizer(checkpoint, "trained")
    state = framework.state(training)
    for head, weights in (("net", checkpoint.weights), ("trained", checkpoint.others["trained"])):
        assert weights["last.weight"].numpy().tobytes() == state[f"{head}/last.weight"].tobytes()


@pytest.mark.parametrize("lost", ["trained", "steps", "epochs"])
def test_a_checkpoint_that_lacks_a_part_of_an_average_is_noticed(lost: str, tmp_path: Path) -> None:
    options = {"averaging": Averaging("swa", 0.0, 2)}
    training = built(**options)
    stepped(training)
    framework.save(training, tmp_path / "whole.pt")
    state = torch.load(tmp_path / "whole.pt", weights_only=True)
    if lost == "trained":
        state[lost] = state["net"]
    else:
        state["average"][lost] = 0
    torch.save(state, tmp_path / "lacking.pt")
    ends = []
    for file in ("whole.pt", "lacking.pt"):
        resumed = built(**options)
        framework.load(resumed, tmp_path / file)
        framework.seed(SEED)
        stepped(resumed)
        ends.append(in_bytes(framework.state(resumed)))
    assert ends[0] != ends[1]


def test_an_export_that_forgets_a_batchs_weight_is_noticed(tmp_path: Path) -> None:
    training = built(accumulation=Accumulation(3))
    stepped(training)
    trainer = exported(training, tmp_path)
    trainer.stepping["accumulate"] = [4, 2]
    assert differing(training, trainer) != []


def test_a_class_weighs_what_it_is_given_and_a_checkpoint_holds_it(tmp_path: Path) -> None:
    weights = (0.5, 2.0, 1.0)
    plain, weighed = built(class_weights=weights), built(class_weights=(1.0, 1.0, 1.0))
    logits = framework.evaluate(plain, ROWS, None)[0]["logits"]
    expected = nn.functional.cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(LABELS["label"]), torch.tensor(weights)
    )
    assert framework.evaluate(plain, ROWS, LABELS)[1] == pytest.approx(float(expected))
    framework.save(plain, tmp_path / "weighed.pt")
    framework.load(weighed, tmp_path / "weighed.pt")
    assert framework.evaluate(weighed, ROWS, LABELS)[1] == pytest.approx(float(expected))


def test_a_loss_that_takes_no_weights_of_classes_or_has_its_own_is_refused() -> None:
    own = {"model.loss": Term(loss=lambda: nn.CrossEntropyLoss(torch.ones(3)))}
    other = {"model.loss": Term(loss=nn.MSELoss)}
    for loss, said in ((own, "has a weight of its own"), (other, "MSELoss takes none")):
        with pytest.raises(ValueError, match=f"^train.class_weights: .*{said}"):
            built(loss=loss, class_weights=(1.0, 1.0, 1.0))
