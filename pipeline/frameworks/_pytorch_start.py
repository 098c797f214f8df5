"""A PyTorch training starts from tensors that were trained elsewhere."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from . import _pytorch_start_optimizer as optimizers
from . import _pytorch_start_schedule as schedules
from ._pytorch_adapter import of_adapters
from ._pytorch_average import average_of
from ._pytorch_training import Training, buffer_name
from .contract import Spec

Weights = Mapping[str, Any]


def weight_specs(training: Training, naming: str = "own") -> dict[str, Spec]:
    """Returns every tensor of the net's state_dict; what stands for missing values is none of a
    checkpoint's, for the data say it. Raises ValueError for names that are not torch's own."""
    if naming != "own":
        raise ValueError(f"model.framework: found pytorch for a checkpoint named as {naming!r}")
    first: dict[int, str] = {}
    specs = {}
    for name, tensor in _tensors(training).items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        earlier = first.setdefault(id(tensor), name)
        specs[name] = Spec(tuple(tensor.shape), dtype, "" if earlier == name else earlier)
    return specs


def start(
    training: Training, naming: str, weights: Weights, optimizer: Any, scheduler: Any
) -> list[str]:
    """Sets the net's tensors that are named, then the optimizer's and the schedule's state where
    there is one; returns notes. Raises ValueError, one line."""
    specs = weight_specs(training, naming)
    _demand_one_value(weights, specs)
    _set(training, weights)
    if training.average is not None:
        training.average = average_of(training.net, training.average.averaging)
    notes = [_of_adapter(training)] if training.adapter is not None else []
    notes += [
        f"the loss' own {name} is as model.loss makes it" for name in training.loss.state_dict()
    ]
    if optimizer is None and scheduler is None:
        return notes
    if optimizer is None:
        raise ValueError("train.start_with: the checkpoint has a schedule, but no optimizer for it")
    begins_anew = training.scheduler is not None and scheduler is None
    notes += optimizers.restore(training, optimizer, set(weights), begins_anew)
    return notes + schedules.restore(training, scheduler)


def _tensors(training: Training) -> dict[str, Tensor]:
    fills = {buffer_name(name) for name in training.fills}
    saved = training.net.state_dict(keep_vars=True)
    tensors = {n: t for n, t in saved.items() if isinstance(t, Tensor) and n not in fills}
    if training.adapter is None:
        return tensors
    added = of_adapters(training.adapter)
    return {name: each for name, each in tensors.items() if not name.startswith(added)}


def _of_adapter(training: Training) -> str:
    weights = list(training.net.parameters())
    trained = sum(each.numel() for each in weights if each.requires_grad)
    count = len(training.adapter.layers) if training.adapter else 0
    every = sum(each.numel() for each in weights)
    return f"adapters in {count} layers: {trained} of {every} weights are trained"


def _demand_one_value(weights: Weights, specs: Mapping[str, Spec]) -> None:
    """Raises ValueError where two names of one tensor have other values in the checkpoint."""
    for name, spec in specs.items():
        both = [each for each in (name, spec.same_as) if each in weights]
        if len(both) == 2 and not _equal(*(weights[each] for each in both)):
            raise ValueError(
                f"model.net: {both[0]} and {both[1]} are one tensor of the net, and two that "
                "differ in the checkpoint; expected equal ones: build the net without tying them"
            )


def _equal(one: Any, other: Any) -> bool:
    return one is other or bool(torch.equal(torch.as_tensor(one), torch.as_tensor(other)))


def _set(training: Training, weights: Weights) -> None:
    """Copies one tensor after the other, so that no more than one is read at a time."""
    net = training.net
    held = {id(each) for each in (*net.parameters(), *net.buffers())}
    made: dict[str, Any] = {}
    with torch.no_grad():
        for name, tensor in _tensors(training).items():
            if name in weights and id(tensor) in held:
                tensor.copy_(torch.as_tensor(weights[name]))
            elif name in weights:
                made[name] = torch.as_tensor(weights[name])
    if made:  # a module that makes what its state_dict holds takes it apart again
        _load(net, made)


def _load(net: nn.Module, made: Mapping[str, Any]) -> None:
    try:
        net.load_state_dict(made, strict=False)
    except RuntimeError as fault:
        raise ValueError(f"model.net: {' '.join(str(fault).split())}") from None
