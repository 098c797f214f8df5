"""What a PyTorch model is refused for before its first epoch, and what it is not."""

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
from testing.trial import NUMBER, THREE, TWO, fault

Adam = partial(optim.Adam, lr=0.01)
COUNTED = {"calls": 0}


class Net(nn.Module):
    """Two layers; what a case adds comes between."""

    def __init__(self, columns: int = 2) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.body = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, columns))

    def forward(self, x: Tensor) -> Any:
        return self.body(self.norm(x))


class Flat(Net):
    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, x: Tensor) -> Any:
        return super().forward(x).squeeze(1)


class Scaled(Net):
    """Statistics in attributes, which `adapt` learns."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: Any = 0.0

    def adapt(self, x: np.ndarray) -> None:
        self.mean = torch.tensor(x.mean(axis=0))

    def forward(self, x: Tensor) -> Any:
        return self.body(x - self.mean)


class Passing(Scaled):
    """In a buffer that is not persistent."""

    def __init__(self) -> None:
        super().__init__()
        del self.mean
        self.register_buffer("mean", torch.zeros(4), persistent=False)


class Statistics:
    def __init__(self) -> None:
        self.values = [0.0]


class Nested(Scaled):
    """In an object within a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.held = {"statistics": Statistics()}

    def adapt(self, x: np.ndarray) -> None:
        self.held["statistics"].values[0] = float(x.mean())

    def forward(self, x: Tensor) -> Any:
        return self.body(x - self.held["statistics"].values[0])


class Ready(Net):
    """Its first batch sets its scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.ready = nn.Parameter(torch.ones(4)), False

    def forward(self, x: Tensor) -> Any:
        if not self.ready:
            self.ready = True
            with torch.no_grad():
                self.scale.copy_(x.std(0))
        return self.body(x / self.scale)


class Cooling(Net):
    """A temperature that falls with each step, counted in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Any:
        self.steps += self.training
        return super().forward(x) / (1 + 1 / (1 + self.steps))


class Schooling(Net):
    """As Cooling, but of training alone: only the next step differs."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Any:
        self.steps += self.training
        return super().forward(x) * (1 + self.steps if self.training else 1)


class Cached(Net):
    """A table that is made at the first call, the same for every net."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Any = None

    def forward(self, x: Tensor) -> Any:
        if self.table is None:
            self.table = torch.arange(4) / 4
        return super().forward(x + self.table)


class Drawing(Net):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x) + torch.rand(1)


class Counting(Net):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Any:
        self.calls += 1
        return super().forward(x) * self.calls


class Listed(Net):
    """A layer that no optimizer gets."""

    def __init__(self) -> None:
        super().__init__()
        self.more = [nn.Linear(4, 4)]

    def forward(self, x: Tensor) -> Any:
        return super().forward(self.more[0](x))


class Lightning(Net):
    def training_step(self, batch: Any) -> Any: ...


class Centres(nn.CrossEntropyLoss):
    def __init__(self) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.zeros(3))


def returning(made: Callable[[Tensor], Any], columns: int = 2) -> Callable[[], nn.Module]:
    class Returning(Net):
        def forward(self, x: Tensor) -> Any:
            return made(super().forward(x))

    return lambda: Returning(columns)


def loss_of(function: Callable[[Any, Tensor], Tensor]) -> Callable[[], nn.Module]:
    class Loss(nn.Module):
        def forward(self, answer: Any, target: Tensor) -> Tensor:
            return function(answer, target)

    return Loss


def with_logits(answer: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(answer.flatten(), target.float())


def weighed(answer: Tensor, target: Tensor) -> Tensor:
    weight = torch.tensor(3.0)
    return functional.binary_cross_entropy_with_logits(answer, target.float(), pos_weight=weight)


def of_counts(answer: Tensor, target: Tensor) -> Tensor:
    assert (answer >= 0).all(), "a count is never negative"
    return ((answer - 3 * target) ** 2).mean()


def of_probabilities(answer: Tensor, target: Tensor) -> Tensor:
    return functional.binary_cross_entropy(answer.flatten(), target.float())


class Nearness(nn.Module):
    """Compares the output with an input, by the names of its parameters."""

    def forward(self, answer: Tensor, x: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(answer, (x[:, 0] > 0).float())


Classes = nn.CrossEntropyLoss
NUMBERS = {"target": NUMBER, "classes": None}
JUDGED = NUMBERS | {"metrics": {"r2": "r2_score"}}
OTHERWISE = "no checkpoint holds it, so that what is loaded from one"
REFUSED = {
    "attribute": (Scaled, Classes, {}, rf"^model.net.mean: changed .* {OTHERWISE} answers"),
    "passing buffer": (Passing, Classes, {}, rf"^model.net.mean: changed .* {OTHERWISE} answers"),
    "nested": (Nested, Classes, {}, r"^model.net.held: changed"),
    "first batch": (Ready, Classes, {}, r"^model.net.ready: changed"),
    "counter": (Cooling, Classes, {}, r"^model.net.steps: changed"),
    "counter of steps": (Schooling, Classes, {}, rf"^model.net.steps: .* {OTHERWISE} goes on"),
    "random": (Drawing, Classes, {}, r"^model.net: answers the same rows otherwise"),
    "calls": (Counting, Classes, {}, r"second time in answer; model.net.calls changed"),
    "list": (Listed, Classes, {}, r"^model.net.more\[0\]: is to be trained, but no optimizer"),
    "lightning": (
        Lightning,
        Classes,
        {},
        r"^model.loss: found one, but Lightning defines training_",
    ),
    "loss with weights": (Net, Centres, {}, r"^model.loss: Centres has weights .* centres"),
    "column": (
        *(partial(Net, 1), nn.MSELoss, NUMBERS),
        r"^model.loss: is as large whichever .* \(rows, 1\), the target \(rows,\)",
    ),
    "column of answers alike": (
        *(returning(lambda a: a * 0, 1), nn.MSELoss, NUMBERS),
        r"^model.loss: is as large whichever",
    ),
    "own broadcast": (
        *(partial(Net, 1), loss_of(lambda a, t: ((a - t) ** 2).mean()), NUMBERS),
        r"^model.loss: is as large whichever",
    ),
    "broadcast of labels": (
        *(partial(Net, 1), loss_of(lambda a, t: ((a - t) ** 2).mean()), {}),
        r"^model.loss: is as large whichever",
    ),
    "target passed over": (
        *(Flat, loss_of(lambda a, t: (a**2).mean()), NUMBERS),
        r"^model.loss: is as large whichever",
    ),
    "two numbers": (
        *(Net, loss_of(lambda a, t: functional.mse_loss(a[:, 0], t)), JUDGED),
        r"^model.net: its output answer has shape \[2\] a row, expected \[\] a row, as label has",
    ),
    "too few columns": (
        *(Net, loss_of(lambda a, t: functional.cross_entropy(a, t.clamp(max=1)))),
        *({"target": THREE, "classes": 3}, r"has shape \[2\] a row, expected \[3\]"),
    ),
    "too many columns": (partial(Net, 5), Classes, {}, r"has shape \[5\] a row, expected \[2\]"),
    "one column for three": (
        *(Flat, loss_of(lambda a, t: functional.mse_loss(a, t.float()))),
        *({"target": THREE, "classes": 3}, r"has shape \[\] a row, expected \[3\]"),
    ),
    "neither logit nor probability": (
        *(Flat, loss_of(lambda a, t: ((a - 3 * t) ** 2).mean()), {}),
        r"^model.net: its output answer has one column, .* whether it is a logit",
    ),
    "label beyond the columns": (
        *(Net, Classes, {"target": THREE, "classes": 3}),
        r"^model, in step: IndexError: Target 2 is out of bounds",
    ),
    "dict": (
        *(returning(lambda a: {"a": a, "b": a}), Classes, {}),
        r"^model.outputs: found \['answer'\], but the net returns a, b; name some of these",
    ),
    "dict and loss": (
        *(returning(lambda a: {"a": a}), loss_of(lambda a, t: Classes()(a["a"], t)), {}),
        r"^model.outputs: found \['answer'\], but the net returns a; name some",
    ),
    "too many outputs": (
        *(returning(lambda a: (a, a)), loss_of(lambda a, t: Classes()(a[0], t)), {}),
        r"^model.outputs: found 1 names, but the net returns 2 arrays",
    ),
    "none": (
        *(returning(lambda a: (a, None)), loss_of(lambda a, t: Classes()(a[0], t))),
        *({"outputs": ("one", "two")}, r"^model.outputs: found 2 names, .* returns 1 arrays"),
    ),
    "text": (
        *(returning(lambda a: (a, "two")), loss_of(lambda a, t: Classes()(a[0], t))),
        *({"outputs": ("one", "two")}, r"^model.net: its output two is a str, expected a tensor"),
    ),
    "bfloat16": (
        *(returning(lambda a: a.bfloat16()), loss_of(lambda a, t: Classes()(a.float(), t)), {}),
        r"^model.net: its output answer is bfloat16, which numpy does not have; cast it",
    ),
    "other rows": (
        *(returning(lambda a: (a, a.mean(0))), loss_of(lambda a, t: Classes()(a[0], t))),
        *({"outputs": ("one", "two")}, r"its output two has shape \[2\] for 32 rows"),
    ),
    "loss of rows": (
        Net,
        partial(Classes, reduction="none"),
        {},
        r"^model.loss: found shape \[32\] for",
    ),
    "loss without gradient": (
        *(Net, loss_of(lambda a, t: Classes()(a.detach(), t)), {}),
        r"^model, in step: RuntimeError: element 0 of tensors does not require grad",
    ),
    "batch of one": (
        *(Net, Classes, {"batch_size": 1}),
        r"^tests/training/test_trial.py:\d+, in forward: ValueError: Expected more than 1",
    ),
    "forward raises": (
        *(returning(lambda a: a @ torch.zeros(3, 3)), Classes, {}),
        r"^tests/training/test_trial.py:\d+, in <lambda>: RuntimeError: mat1 and mat2 .* one batch",
    ),
    "adapt of another name": (
        *(partial(type("Adapted", (Net,), {"adapt": lambda self, pixels: None})), Classes, {}),
        r"^model, in adapt: TypeError: .*unexpected keyword argument 'x'",
    ),
    "closure": (
        *(Net, Classes, {"optimizer": optim.LBFGS}),
        r"^model.optimizer: LBFGS asks for the loss several times in a step",
    ),
    "plateau upwards": (
        *(Net, Classes),
        {"scheduler": partial(optim.lr_scheduler.ReduceLROnPlateau, mode="max")},
        r"^model.scheduler: found mode max, expected min",
    ),
    "metric of margins": (
        *(Net, Classes, {"metrics": {"hinge": "hinge_loss"}}),
        r"^train.metrics.hinge: sklearn.metrics.hinge_loss judges pred_decision",
    ),
    "metric of curves": (
        *(Net, Classes, {"metrics": {"confusion": "confusion_matrix"}}),
        r"^train.metrics.confusion: sklearn.metrics.confusion_matrix: only .* scalars?",
    ),
    "metric of three": (
        *(partial(Net, 3), Classes),
        {"target": THREE, "classes": 3, "metrics": {"f1": "f1_score"}},
        r"^train.metrics.f1: .*f1_score.*Target is multiclass but average='binary'",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_could_not_be_trained_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    net, loss, settings, expected = REFUSED[case]
    settings = {"optimizer": Adam, **settings}
    message = fault(framework, "pytorch", tmp_path, net, loss, **settings)
    assert message is not None and "\n" not in message
    assert re.search(expected, message), message


ACCEPTED: dict[str, Any] = {
    "plain": (Net, Classes, {}),
    "a cache": (Cached, Classes, {}),
    "a number a row": (Flat, nn.MSELoss, NUMBERS),
    "a column that the loss squeezes": (
        *(partial(Net, 1), loss_of(lambda a, t: nn.functional.mse_loss(a[:, 0], t)), NUMBERS),
    ),
    "a loss that takes no negative number": (
        *(returning(lambda a: a.squeeze(1).abs(), 1), loss_of(of_counts), NUMBERS),
    ),
    "two numbers that no metric judges": (
        *(Net, loss_of(lambda a, t: functional.mse_loss(a[:, 0], t)), NUMBERS),
    ),
    "one logit": (Flat, loss_of(with_logits), {}),
    "one logit, one class weighed": (Flat, loss_of(weighed), {}),
    "one probability": (*(returning(lambda a: a.sigmoid(), 1), loss_of(of_probabilities), {}),),
    "two outputs": (
        *(returning(lambda a: (a, a.softmax(1))), loss_of(lambda a, t: Classes()(a[0], t))),
        {"outputs": ("logits", "probabilities")},
    ),
    "plateau": (Net, Classes, {"scheduler": optim.lr_scheduler.ReduceLROnPlateau}),
    "metrics of probabilities": (
        *(Net, Classes),
        {
            "metrics": {
                "auc": "roc_auc_score",
                "log_loss": "log_loss",
                "top": "average_precision_score",
            }
        },
    ),
    "a target that metrics alone see": (Flat, Nearness, {"metrics": {"auc": "roc_auc_score"}}),
    "labels alike": (Net, Classes, {"target": np.zeros_like(TWO)}),
    "answers alike": (returning(lambda a: a * 0), Classes, {}),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_can_be_trained_is_not_refused(case: str, tmp_path: Path) -> None:
    net, loss, settings = ACCEPTED[case]
    assert fault(framework, "pytorch", tmp_path, net, loss, Adam, **settings) is None
