"""A PyTorch net with all that its next step depends on, and how it is called."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import _pytorch_demands as demands
from ._accumulation import WHOLE, Accumulation
from ._leaves import is_in_order, leaves, pick
from ._pytorch_adapter import Adapter
from ._pytorch_average import Average
from ._pytorch_own_step import OwnStep
from ._terms import Compared

Tensors = Mapping[str, Tensor]


@dataclass
class Training:
    """A net with all that its next step depends on but the seed."""

    net: nn.Module
    loss: nn.Module
    """The only term, or the terms by name; of a net that computes its loss it is empty."""
    optimizer: torch.optim.Optimizer
    scheduler: torch.optim.lr_scheduler.LRScheduler | None
    clip_norm: float | None
    device: torch.device
    inputs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Output -> its path in what the net returns."""
    terms: Sequence[tuple[str, Compared, float]] = ()
    """Name in `loss`, what it compares, weight."""
    own_loss: str | None = None
    """The path of the net's own loss in what it returns."""
    own_step: OwnStep | None = None
    """What makes the loss instead, of a net that has a training_step."""
    by_position: bool = True
    fills: Mapping[str, np.ndarray] = field(default_factory=dict)
    """What stands for a missing value of an input; a buffer of the net holds it, too."""
    augment: nn.Module | None = None
    """What inputs and targets go through in a step."""
    accumulation: Accumulation = WHOLE
    schedule_by: str = "epoch"
    still: tuple[str, ...] = ()
    """Modules that are in evaluation mode in training, too."""
    average: Average | None = None
    adapter: Adapter | None = None
    precision: str = "float32"
    """Of a step's arithmetic, where autocast narrows it."""
    scaler: torch.amp.GradScaler | None = None
    """Of the loss, for float16."""

    def autocast(self) -> Any:
        """Returns the context of a step's forward and loss."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, getattr(torch, self.precision))

    @property
    def computes_loss(self) -> bool:
        """Returns whether the net makes the loss itself, of inputs and targets."""
        return self.own_loss is not None or self.own_step is not None

    @property
    def predicting(self) -> "Training":
        """Returns the training with the net that predicts: an average, where there is one, or that
        which an adapter is merged with."""
        if self.adapter is not None:
            return replace(self, net=self.adapter.merge(self.net), adapter=None)
        if self.average is None or not self.average.steps:
            return self
        return replace(self, net=self.average.net)

    @property
    def stepping(self) -> dict[str, Any]:
        """Returns how a step is taken, in plain values: what is not as usual."""
        settings: dict[str, Any] = {}
        if self.accumulation.batches > 1:
            settings["accumulate"] = [self.accumulation.batches, self.accumulation.least]
        if self.schedule_by != "epoch" and self.scheduler is not None:
            settings["schedule_by"] = self.schedule_by
        if self.average is not None:
            settings["averaging"] = self.average.settings
        if self.adapter is not None:
            settings["adapter"] = self.adapter.settings
        if self.precision != "float32":
            settings["precision"] = self.precision
        if self.scaler is not None:
            settings["scaling"] = self.scaler.state_dict()
        return settings

    def training_mode(self) -> None:
        """Brings the net into the mode that a step takes."""
        self.net.train()
        for path in self.still:
            self.net.get_submodule(path).eval()

    def call(self, values: Tensors) -> Any:
        """Returns what the net does, called with these inputs, and targets if any."""
        values = self.known(values) if self.fills else values
        if self.by_position and len(values) == len(self.inputs):
            return self.net(*(values[name] for name in self.inputs))
        return self.net(**values)

    def known(self, values: Tensors) -> Tensors:
        """Returns the values with what stands for the missing ones."""
        result = dict(values)
        for name in self.fills:
            fill = self.net.get_buffer(buffer_name(name))
            result[name] = torch.where(torch.isnan(values[name]), fill, values[name])
        return result

    def answer(self, inputs: Tensors) -> dict[str, Tensor]:
        """Returns the outputs by name. Raises ValueError, one line, where they are not there."""
        return pick(self.call(inputs), self.outputs)

    def judge(
        self,
        inputs: Tensors,
        targets: Tensors,
        look: Callable[[Tensors], None] = lambda outputs: None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Returns the outputs by name, and the loss, in the mode that the net is in.

        `look` sees the outputs before any loss gets them; a net's own training_step returns none.
        """
        inputs, targets = self.augmented(inputs, targets)
        if self.own_step is not None:
            outputs = {} if self.net.training else self.answer(inputs)
            look(outputs)
            return outputs, self.own_step.loss(self.net, {**self.known(inputs), **targets})
        if self.own_loss is None:
            outputs = self.answer(inputs)
            look(outputs)
            return outputs, self.total({**inputs, **outputs, **targets})
        returned = self.call({**inputs, **targets})
        loss = leaves(returned).get(self.own_loss)
        if not isinstance(loss, Tensor):
            raise ValueError(
                f"model.loss: found {self.own_loss!r}, but the net, called with its targets, "
                f"returns {', '.join(leaves(returned))}; name one of these"
            )
        outputs = pick(returned, self.outputs)
        look(outputs)
        return outputs, loss

    def augmented(self, inputs: Tensors, targets: Tensors) -> tuple[Tensors, Tensors]:
        """Returns what a step sees of inputs and targets; a net that predicts sees them as they
        are."""
        if self.augment is None or not self.net.training:
            return inputs, targets
        names = demands.parameters(self.augment)
        values = {**inputs, **targets}
        returned = self.augment(*(values[name] for name in names))
        values |= pick(returned, {name: name for name in names})
        return {n: values[n] for n in inputs}, {n: values[n] for n in targets}

    def total(self, values: Tensors) -> Tensor:
        """Returns the sum of the terms, of outputs, targets and inputs by name."""
        if not isinstance(self.loss, nn.ModuleDict):
            only: Tensor = self.terms[0][1].call(self.loss, values)
            return only
        parts = [
            demands.demand_one_number(takes.call(self.loss[name], values), f"model.loss.{name}")
            * weight
            for name, takes, weight in self.terms
        ]
        return torch.stack([part.reshape(()) for part in parts]).sum()

    def compared(self) -> list[str]:
        """Returns what a program of the loss alone takes: all outputs, all targets, and those of
        the inputs that are compared; of a net that computes its loss the inputs and targets."""
        if self.computes_loss:
            return [*self.inputs, *self.targets]
        names = {name for _, takes, _ in self.terms for name in takes.names}
        inputs = [name for name in self.inputs if name in names]
        return [*self.outputs, *inputs, *self.targets]

    def loss_of(self, values: Tensors) -> Tensor:
        """Returns the loss of what `compared` names, in the mode that the net is in."""
        if not self.computes_loss:
            return self.total(values)
        inputs = {name: values[name] for name in self.inputs}
        return self.judge(inputs, {name: values[name] for name in self.targets})[1]

    def predictor(self, inputs: Tensors) -> nn.Module:
        """Returns a module in evaluation mode that takes the inputs in their order and returns the
        outputs in theirs: the net, where it does so itself."""
        net = self.net.train(False)
        with torch.no_grad():
            returned = self.call(inputs)
        if (
            self.by_position
            and not self.fills
            and (not self.outputs or is_in_order(returned, self.outputs))
        ):
            return net
        picking = copy.copy(net)  # shares all its parts, so that their names stay
        names = list(self.inputs)

        def forward(*tensors: Tensor) -> Any:
            values = tuple(self.answer(dict(zip(names, tensors, strict=True))).values())
            return values if len(values) > 1 else values[0]

        named = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in names]
        vars(forward)["__signature__"] = inspect.Signature(named)  # tracing goes by it
        picking.forward = forward
        return picking


def buffer_name(name: str) -> str:
    """Returns the name of the buffer that holds what stands for a missing value of an input."""
    return f"missing_{name}"
