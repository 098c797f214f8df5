"""The training as PyTorch does it, whose steps the graph must come to."""

import copy
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from .._examples import Examples
from .._onnx_export import reason
from ..contract import Arrays
from ._updates import updates

CHECKED_ROWS = (5, 3)  # of the steps that are compared with the source's
EPOCHS = 100  # for so many epochs ahead the learning rates are written down


@dataclass(frozen=True, kw_only=True)
class EagerStep:
    """What a step of the source came to."""

    loss: float
    state: Arrays
    trained: list[str]
    """The weights with a gradient."""


def copied(training: Any) -> Any:
    """Returns a copy in training mode, with an optimizer and a scheduler of its own and no hooks.

    Raises ValueError for what the copy would lose.
    """
    _check_fits(training)
    parts = (training.net, training.loss, training.optimizer, training.scheduler)
    try:
        net, loss, optimizer, scheduler = copy.deepcopy(parts)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"onnx_train: cannot be copied: {reason(error)}") from error
    made = replace(training, net=net, loss=loss, optimizer=optimizer, scheduler=scheduler)
    made.training_mode()
    return made


def _check_fits(training: Any) -> None:
    import torch

    optimizer = training.optimizer
    if type(optimizer) not in updates():
        name, known = type(optimizer).__name__, ", ".join(each.__name__ for each in updates())
        raise ValueError(f"onnx_train: found the optimizer {name}, expected one of {known}")
    for name, each in training.net.state_dict().items():
        if each.dtype == torch.bfloat16:
            raise ValueError(f"onnx_train: {name} is bfloat16, which numpy does not have")
    hooks = [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    hooks += [each._backward_hooks for each in training.net.parameters()]
    hooks += [each._post_accumulate_grad_hooks for each in training.net.parameters()]
    if any(hooks):
        raise ValueError("onnx_train: found hooks on the optimizer or a parameter's gradient")


def least_rows(source: Any, examples: Examples) -> int:
    """Returns 2 where batch norm refuses a single row, which a captured one would not."""
    import torch

    net = copy.deepcopy(source.net)
    try:
        with torch.no_grad():
            replace(source, net=net).answer(
                dict(zip(source.inputs, examples.of("input").tensors(1), strict=True))
            )
    except (ValueError, RuntimeError):
        return 2
    return 1


def eager_steps(source: Any, examples: Examples) -> Iterator[EagerStep]:
    """Takes steps on the examples, inputs first and then targets."""
    import torch

    names = parameter_names(source.net)
    optimized = {each for group in source.optimizer.param_groups for each in group["params"]}
    for rows in CHECKED_ROWS:
        taken = [*source.inputs, *source.targets]
        values = dict(zip(taken, examples.tensors(rows), strict=True))
        inputs = {name: values.pop(name) for name in source.inputs}
        _, loss = source.judge(inputs, values)
        source.optimizer.zero_grad()
        loss.backward()
        with_gradient = [each for each in names if each.grad is not None]
        idle = [names[each] for each in with_gradient if each not in optimized]
        if source.clip_norm is not None:
            if idle:
                raise ValueError(
                    f"onnx_train: {idle[0]} is clipped with but is not the optimizer's"
                )
            torch.nn.utils.clip_grad_norm_(source.net.parameters(), source.clip_norm)
        source.optimizer.step()
        trained = [names[each] for each in with_gradient if each in optimized]
        yield EagerStep(loss=loss.item(), state=state(source), trained=trained)


def parameter_names(net: Any) -> dict[Any, str]:
    return {parameter: name for name, parameter in net.named_parameters()}


def state(source: Any) -> Arrays:
    """Returns weights and optimizer's state by name, as the framework names them."""
    import torch

    tensors = {f"net/{name}": each for name, each in source.net.state_dict().items()}
    for parameter, name in parameter_names(source.net).items():
        for slot, value in source.optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer/{name}/{slot}"] = torch.as_tensor(value)
    return {name: each.detach().cpu().numpy().copy() for name, each in tensors.items()}


def learning_rates(source: Any) -> list[list[float]]:
    """Returns each group's learning rate in this epoch and those to come.

    Raises ValueError where a scheduler changes anything else, or goes by what an epoch reaches.
    """
    from torch.optim import lr_scheduler

    if isinstance(source.scheduler, lr_scheduler.ReduceLROnPlateau):
        raise ValueError("onnx_train: ReduceLROnPlateau goes by val/loss, which no file can know")
    groups = source.optimizer.param_groups
    before = _other_settings(groups)
    rates = [[float(group["lr"]) for group in groups]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no step was taken before
        while source.scheduler is not None and len(rates) < EPOCHS:
            try:
                source.scheduler.step()
            except ValueError:  # at its end, where it stays
                return rates + rates[-1:] * (EPOCHS - len(rates))
            rates.append([float(group["lr"]) for group in groups])
            if _other_settings(groups) != before:
                name = type(source.scheduler).__name__
                raise ValueError(f"onnx_train: {name} changes more than the learning rate")
    return rates


def _other_settings(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in group.items() if k not in ("params", "lr")} for group in groups]
