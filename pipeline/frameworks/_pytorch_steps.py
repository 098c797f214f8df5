"""One step of a PyTorch training: gradients, clipping, the optimizer, the schedule."""

import operator
from collections.abc import Callable, Mapping
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn

from . import _pytorch_demands as demands
from ._pytorch_own_step import demand_no_own_backward
from ._pytorch_training import Training

Tensors = Mapping[str, Tensor]


def take(training: Training, inputs: Tensors, targets: Tensors) -> Tensor:
    """Takes one step on all rows; returns its loss, a scalar."""
    return step(training, partial(_gradient, training, inputs, targets))


def step(training: Training, gradient: Callable[[], Tensor]) -> Tensor:
    """Takes one step along what `gradient` adds to the weights' gradients; returns its loss."""
    training.training_mode()
    training.net.zero_grad()  # also of what the optimizer does not hold: clipping counts it
    loss = gradient()
    if training.scaler is not None:
        training.scaler.unscale_(training.optimizer)
    if training.clip_norm is not None:
        nn.utils.clip_grad_norm_(training.net.parameters(), training.clip_norm)
    if training.scaler is None:
        training.optimizer.step()
    else:  # no step where a gradient has left the numbers
        training.scaler.step(training.optimizer)
        training.scaler.update()
    if training.average is not None:
        training.average.add(training.net)
    if training.schedule_by == "step":
        advance(training.scheduler)
    return loss


def _gradient(training: Training, inputs: Tensors, targets: Tensors) -> Tensor:
    """Adds the gradient of each batch of a step, weighted by its rows; returns the step's loss."""
    rows = len(next(iter(inputs.values())))
    losses: list[Tensor] = []
    for part in training.accumulation.batches_of(rows):
        share = (part.stop - part.start) / rows
        with training.autocast():
            _, loss = judged(training, _part(inputs, part, share), _part(targets, part, share))
        if training.own_step is not None and not losses:
            demand_no_own_backward(training.net)
        demands.demand_one_number(loss)
        loss = loss if share == 1 else loss * share
        (loss if training.scaler is None else training.scaler.scale(loss)).backward()
        losses.append(loss.detach())
    return reduce(operator.add, losses)


def _part(values: Tensors, part: slice, share: float) -> Tensors:
    if share == 1:
        return values
    return {name: tensor[part].clone() for name, tensor in values.items()}


def judged(
    training: Training, inputs: Tensors, targets: Tensors
) -> tuple[dict[str, Tensor], Tensor]:
    """Returns the outputs, which are tensors of these rows, and the loss."""
    rows = len(next(iter(inputs.values())))
    narrow = training.net.training and training.precision != "float32"

    def look(outputs: Tensors) -> None:
        demands.demand_outputs(outputs, rows, narrow)

    if training.own_step is None:
        return training.judge(inputs, targets, look)
    with training.own_step.demand_no_plain_draws(training.net):
        return training.judge(inputs, targets, look)


def advance(scheduler: Any, val_loss: float = float("nan")) -> None:
    """Brings the learning rate to the next; a schedule that has come to its end stays there."""
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(val_loss)
    elif scheduler is not None and not schedule_has_ended(scheduler):
        scheduler.step()


def schedule_has_ended(scheduler: Any) -> bool:
    """Returns whether torch would refuse another step: OneCycleLR, by itself or within others."""
    within = getattr(scheduler, "_schedulers", ())
    total = getattr(scheduler, "total_steps", None)
    one_cycle = isinstance(scheduler, torch.optim.lr_scheduler.OneCycleLR)
    return (one_cycle and scheduler.last_epoch >= total) or any(map(schedule_has_ended, within))
