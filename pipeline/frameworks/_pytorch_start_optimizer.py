"""An optimizer goes on from a state that was saved elsewhere, as torch's state_dict has it."""

import inspect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from . import _pytorch_groups as groups
from ._pytorch_training import Training

Group = dict[str, Any]
SMALL = (3, 5, 7, 11, 13, 17, 19, 23)
"""Axes of a parameter that a step is tried with: each is as long as no other."""
HOW = ("foreach", "fused", "capturable", "differentiable")
"""Settings that choose an implementation; ours stay."""
COMMON = frozenset({"params", "param_names", "lr", "initial_lr", "weight_decay", "maximize", *HOW})
"""Settings that tell nothing about which optimizer it is."""
SINCE = frozenset({"decoupled_weight_decay"})
"""Settings that older versions do not write, which tell it where both are there."""


def restore(training: Training, saved: Any, named: set[str], own_rates: bool) -> list[str]:
    """Sets state and settings, but for the learning rates with `own_rates`; `named` are the weights
    that come from the checkpoint, of which alone the state is taken. Returns notes. Raises
    ValueError, one line."""
    state, its_groups = _parts(saved)
    optimizer = training.optimizer
    _demand_same_kind(optimizer, its_groups)
    assigned = groups.assign(training, its_groups, state, named)
    left = [name for name in assigned.values() if name not in named]
    settings = _settings(optimizer, its_groups, own_rates)
    notes = groups.set_groups(training, its_groups, assigned, settings)
    weights = dict(training.net.named_parameters())
    slots = {
        weights[name]: _slots(optimizer, name, weights[name], state[key])
        for key, name in assigned.items()
        if name in named and state.get(key)
    }
    for parameter, values in slots.items():
        optimizer.state[parameter] = values
    packed = optimizer.state_dict()
    optimizer.load_state_dict(packed)  # brings steps of other versions to ours
    if left:
        notes.append(f"the optimizer begins anew for {', '.join(left)}")
    if not slots:
        notes.append("the checkpoint's optimizer has taken no step yet")
    return notes


def _parts(saved: Any) -> tuple[Mapping[Any, Any], list[Group]]:
    """Returns the state by parameter, and the groups."""
    is_state = isinstance(saved, Mapping) and {"state", "param_groups"} <= set(saved)
    if not is_state or not saved["param_groups"]:
        raise ValueError(
            "train.start_with: the checkpoint's optimizer has no state and param_groups as torch's "
            "have; set it to weights"
        )
    return saved["state"], [dict(group) for group in saved["param_groups"]]


def _demand_same_kind(optimizer: torch.optim.Optimizer, its_groups: Sequence[Group]) -> None:
    ours, its = set(optimizer.defaults) - COMMON, set(its_groups[0]) - COMMON
    foreign = (its & _all_settings()) - ours
    differ = [
        key
        for key in SINCE & ours & its
        if bool(its_groups[0][key]) != bool(optimizer.param_groups[0][key])
    ]
    if ours - its - SINCE or foreign - SINCE or differ:
        raise ValueError(
            f"model.optimizer: found {type(optimizer).__name__}, which is set by "
            f"{_listed(optimizer.param_groups[0], ours)}, for a checkpoint whose optimizer is set "
            f"by {_listed(its_groups[0], its)}; name the same one, or set train.start_with to "
            "weights"
        )


def _listed(group: Group, names: set[str]) -> str:
    said = [f"{n}={group[n]}" if n in SINCE else n for n in sorted(names & _all_settings())]
    return ", ".join(said) or "nothing of its own"


def _all_settings() -> set[str]:
    """Returns the names of settings of all optimizers that torch has."""
    kinds = [k for k in vars(torch.optim).values() if isinstance(k, type)]
    signatures = [inspect.signature(k) for k in kinds if issubclass(k, torch.optim.Optimizer)]
    return {name for each in signatures for name in each.parameters} - COMMON


def _settings(
    optimizer: torch.optim.Optimizer, its_groups: Sequence[Group], own_rates: bool
) -> list[Group]:
    """Returns those of each group: the checkpoint's, where ours has one of the name."""
    ours = {key: value for key, value in optimizer.param_groups[0].items() if key != "params"}
    taken = (set(optimizer.defaults) - {"lr"} if own_rates else set(ours)) - set(HOW)
    return [
        {k: _plain(group[k], v) if k in taken & set(group) else v for k, v in ours.items()}
        for group in its_groups
    ]


def _plain(value: Any, ours: Any) -> Any:
    if isinstance(value, Tensor) and not isinstance(ours, Tensor):
        return value.item() if value.ndim == 0 else value.tolist()
    return tuple(value) if isinstance(ours, tuple) and isinstance(value, list) else value


def _slots(
    optimizer: torch.optim.Optimizer, name: str, weight: Tensor, its: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns copies of a parameter's slots, which are those that a step of ours makes."""
    expected = _expected(optimizer, weight)
    its = {slot: value for slot, value in its.items() if value is not None}
    if set(expected) != set(its):
        raise ValueError(
            f"model.optimizer: {type(optimizer).__name__} holds "
            f"{', '.join(sorted(expected)) or 'nothing'} for {name}, the checkpoint "
            f"{', '.join(sorted(map(str, its))) or 'nothing'}; name the optimizer that it is of, "
            "or set train.start_with to weights"
        )
    copies = {}
    for slot, value in its.items():
        if not isinstance(value, Tensor):
            copies[slot] = value
            continue
        if slot != "step" and tuple(value.shape) != expected[slot]:
            raise ValueError(
                f"model.optimizer: the checkpoint's {slot} of {name} has shape "
                f"{list(value.shape)}, expected {list(expected[slot] or ())}; it is of other "
                "parameters"
            )
        as_weight = slot != "step" and value.is_floating_point()
        like = {"dtype": weight.dtype, "device": weight.device} if as_weight else {}
        copies[slot] = value.detach().to(copy=True, **like)  # type: ignore[call-overload]
    return copies


def _expected(
    optimizer: torch.optim.Optimizer, weight: Tensor
) -> dict[str, tuple[int, ...] | None]:
    """Returns the slots that a step makes for a parameter, each with its shape, None for what is no
    tensor: those that there are already, or of a small one with as many axes."""
    if held := optimizer.state.get(weight):
        return _shapes(held, (), ())
    small = SMALL[: weight.ndim]
    dummy = torch.nn.Parameter(torch.zeros(small, dtype=weight.dtype, device=weight.device))
    dummy.grad = torch.zeros_like(dummy)
    before = optimizer.param_groups, optimizer.state
    optimizer.param_groups = [{**before[0][0], "params": [dummy]}]
    optimizer.state = defaultdict(dict)
    try:
        type(optimizer).step(optimizer)
        return _shapes(optimizer.state[dummy], small, tuple(weight.shape))
    except (TypeError, RuntimeError, ValueError, KeyError) as fault:
        raise ValueError(
            f"model.optimizer: a state of {type(optimizer).__name__} cannot be taken over "
            f"({' '.join(str(fault).split())}); set train.start_with to weights"
        ) from None
    finally:
        optimizer.param_groups, optimizer.state = before


def _shapes(
    slots: Mapping[str, Any], small: tuple[int, ...], whole: tuple[int, ...]
) -> dict[str, tuple[int, ...] | None]:
    """Returns each slot's shape, an axis as long as that of the small parameter brought to that of
    the whole one."""
    longer = dict(zip(small, whole, strict=True))
    return {
        slot: tuple(longer.get(n, n) for n in value.shape) if isinstance(value, Tensor) else None
        for slot, value in slots.items()
        if value is not None
    }
