"""A net's own `training_step` makes the loss of a step, as Lightning's modules have it."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from . import _plain_draws
from .contract import Parts

STEP, JUDGE = "training_step", "validation_step"
LIGHTNING = ("lightning", "pytorch_lightning")
FOREIGN = (*LIGHTNING, "torch")
"""Packages whose own methods are nobody's wish."""
LOOP = (
    *("configure_optimizers", "optimizer_step", "optimizer_zero_grad", "backward"),
    *("manual_backward", "configure_gradient_clipping", "clip_gradients", "lr_scheduler_step"),
    *("training_step_end", "training_epoch_end", "validation_step_end", "validation_epoch_end"),
    *("test_step", "test_step_end", "predict_step", "train_dataloader", "val_dataloader"),
    *("test_dataloader", "predict_dataloader", "prepare_data", "setup", "teardown"),
    *("transfer_batch_to_device", "configure_model", "configure_callbackss"),
)
"""Methods that a loop of Lightning's calls, and this one does not; so are all named on_<event>."""
COUNTS = ("global_step", "current_epoch")
"""What a module of Lightning's knows of its loop: 0 where there is none."""
JUDGED_AT = 0
"""Seed of what is drawn while a loss is only looked at."""
ADVICE = (
    "count in a buffer (register_buffer, and += where self.training), which checkpoints and the "
    "program that trains on hold"
)


class Batch(tuple[Any, ...]):
    """Inputs, then targets, in the order of the data's configuration, as a DataLoader over a
    TensorDataset gives them; each goes by its name, too."""

    names: tuple[str, ...]

    def __new__(cls, values: Mapping[str, Tensor]) -> "Batch":
        batch = super().__new__(cls, values.values())
        batch.names = tuple(values)
        return batch

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self.names:
            raise ValueError(
                f"model.net: its training takes {key!r} of a batch, expected one of "
                f"{', '.join(self.names)}"
            )
        return super().__getitem__(self.names.index(key))

    def __contains__(self, key: object) -> bool:
        return key in self.names

    def keys(self) -> tuple[str, ...]:
        """Returns the names, so that `self(**batch)` works as well."""
        return self.names

    def items(self) -> list[tuple[str, Any]]:
        """Returns names and tensors."""
        return list(zip(self.names, self, strict=True))


class Uncounted:
    """Stands for batch_idx, which no program knows: it may be handed on, but not computed with."""


def _refuse(*_: Any) -> Any:
    raise ValueError(
        "model.net: its training goes by batch_idx, which the program that trains on does not "
        f"know; {ADVICE}"
    )


for _name in (
    *("bool", "int", "index", "float", "eq", "ne", "lt", "le", "gt", "ge", "add", "radd"),
    *("sub", "rsub", "mul", "rmul", "mod", "rmod", "floordiv", "rfloordiv", "truediv"),
    *("rtruediv", "pow", "neg", "round"),
):
    setattr(Uncounted, f"__{_name}__", _refuse)


@dataclass(frozen=True)
class Method:
    """A method of the net that makes a loss."""

    name: str
    numbered: bool
    """It takes a batch's number, too."""

    def call(self, net: nn.Module, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the loss. Raises ValueError, one line, where it returns none."""
        more = (Uncounted(),) if self.numbered else ()
        returned = getattr(net, self.name)(Batch(values), *more)
        loss = returned.get("loss") if isinstance(returned, Mapping) else returned
        if not isinstance(loss, Tensor) or loss.ndim > 0:
            raise ValueError(
                f"model.net: its {self.name} returned {_described(returned)}, expected the loss "
                "as one number, a tensor by itself or as 'loss' in a mapping; return the mean "
                "over the batch"
            )
        return loss


def _described(returned: Any) -> str:
    if isinstance(returned, Mapping):
        within = f" that is {_described(returned['loss'])}" if "loss" in returned else " missing"
        return f"a mapping with a loss{within}"
    if isinstance(returned, Tensor):
        return f"a tensor of shape {list(returned.shape)}"
    return "nothing" if returned is None else f"a {type(returned).__name__}"


@dataclass(frozen=True)
class OwnStep:
    """What makes the loss of a step, and what judges."""

    step: Method
    judge: Method

    def loss(self, net: nn.Module, values: Mapping[str, Tensor]) -> Tensor:
        """Returns the loss, in the mode that the net is in."""
        return (self.step if net.training else self.judge).call(net, values)

    def demand_no_plain_draws(self, net: nn.Module) -> Any:
        """Returns a context that refuses numbers from other generators than torch's."""
        name = (self.step if net.training else self.judge).name
        return _plain_draws.demand_none(
            name, "torch's functions (torch.rand, torch.distributions.Beta(a, a).sample())"
        )


@contextmanager
def judging(own: OwnStep | None, device: torch.device) -> Iterator[None]:
    """Has a loss that is only looked at draw the same numbers each time, and none of those of the
    steps."""
    if own is None:
        yield
        return
    with torch.random.fork_rng(devices=[] if device.type == "cpu" else [device]):
        torch.manual_seed(JUDGED_AT)
        yield


def demand_no_own_backward(net: nn.Module) -> None:
    """Raises ValueError for a step that takes a gradient itself."""
    if any(weight.grad is not None for weight in net.parameters()):
        raise ValueError(
            f"model.net: the {STEP} of {type(net).__name__} calls backward itself, expected the "
            "loss alone: this training takes its gradient and steps with model.optimizer"
        )


def own_step(net: nn.Module, parts: Parts) -> OwnStep | None:
    """Returns the net's own step, if it has one. Raises ValueError, one line, for what a loop of
    its own would have to call, or know."""
    has_step = is_own(net, STEP)
    if has_step or any(_package(kind) in LIGHTNING for kind in type(net).__mro__):
        _demand_no_hooks(net)
        _demand_no_counts(net)
    elif is_own(net, "configure_optimizers"):
        raise ValueError(_never_called(net, ["configure_optimizers"]))
    if not has_step:
        return None
    if parts.loss is not None:
        raise ValueError(
            f"model.loss: found one, but {type(net).__name__} defines {STEP}, which makes the loss "
            "itself; set model.loss=null"
        )
    if parts.class_weights is not None:
        raise ValueError(
            f"train.class_weights: found some, but {type(net).__name__} makes its loss itself, in "
            f"{STEP}; weigh there, and set them to null"
        )
    step = _method(net, STEP)
    return OwnStep(step, _method(net, JUDGE) if is_own(net, JUDGE) else step)


def is_own(net: nn.Module, name: str) -> bool:
    """Returns whether a class of the user's defines the method."""
    kind = next((each for each in type(net).__mro__ if name in vars(each)), None)
    return kind is not None and _package(kind) not in FOREIGN


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _method(net: nn.Module, name: str) -> Method:
    parameters = inspect.signature(getattr(net, name)).parameters.values()
    by_position = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in parameters if p.default is p.empty and p not in by_position]
    if len(by_position) not in (1, 2) or required:
        raise ValueError(
            f"model.net: its {name} takes {[p.name for p in parameters]}, expected batch, or batch "
            "and batch_idx: there is one optimizer, and one kind of batches"
        )
    return Method(name, len(by_position) == 2)


def _demand_no_hooks(net: nn.Module) -> None:
    names = {name for kind in type(net).__mro__ for name in vars(kind)}
    hooks = [n for n in sorted(names) if n in LOOP or n.startswith("on_")]
    if own := [name for name in hooks if callable(getattr(net, name)) and is_own(net, name)]:
        raise ValueError(_never_called(net, own))
    if not getattr(net, "automatic_optimization", True):
        raise ValueError(
            f"model.net: {type(net).__name__} optimizes by itself (automatic_optimization=False), "
            f"expected a {STEP} that returns the loss: this training steps with model.optimizer"
        )


def _never_called(net: nn.Module, names: list[str]) -> str:
    return (
        f"model.net: {type(net).__name__} defines {' and '.join(names)}, which this training never "
        f"calls; take it out, name optimizer and schedule as model.optimizer and model.scheduler, "
        f"and put what acts on a step into {STEP}"
    )


def _demand_no_counts(net: nn.Module) -> None:
    """Raises ValueError for a step that asks how far Lightning's loop has come: outside of it the
    answer is 0."""
    counts = [name for name in COUNTS if hasattr(type(net), name) and not is_own(net, name)]
    for kind in type(net).__mro__:
        functions = [each for each in vars(kind).values() if isinstance(each, FunctionType)]
        for function in functions if _package(kind) not in FOREIGN else ():
            if read := [name for name in counts if name in _names(function.__code__)]:
                raise ValueError(
                    f"model.net: {kind.__name__}.{function.__name__} goes by {read[0]}, which "
                    f"Lightning's Trainer alone would count; {ADVICE}"
                )


def _names(code: Any) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, type(code)):
            yield from _names(constant)
