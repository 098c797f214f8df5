"""Groups of parameters, each with settings of its own, in a PyTorch optimizer."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._pytorch_training import Training

Group = dict[str, Any]
Weights = Mapping[str, nn.Parameter]
NAMES = "param_names"
"""A group's key for names of its parameters, as torch writes it."""


def own_names(training: Training) -> list[str]:
    """Returns the names of what the optimizer holds, in its order."""
    names = {id(weight): name for name, weight in training.net.named_parameters()}
    held = [w for group in training.optimizer.param_groups for w in group["params"]]
    return [names[id(weight)] for weight in held]


def assign(
    training: Training, its_groups: Sequence[Group], state: Mapping[Any, Any], named: set[str]
) -> dict[Any, str]:
    """Returns which parameter each key of a saved state is of: by the names in its groups or, where
    there are none, by the order in which they hold them, which shapes of those that are `named`
    must bear out where there are several groups. Raises ValueError, one line."""
    weights = dict(training.net.named_parameters())
    held = own_names(training)
    trained = [name for name in held if weights[name].requires_grad]
    keys = [key for group in its_groups for key in group["params"]]
    if by_name := _by_name(its_groups, held):
        return by_name
    names = next((each for each in (held, trained) if len(each) == len(keys)), None)
    if names is None:
        raise ValueError(
            f"model.optimizer: the checkpoint's is of {len(keys)} parameters, expected the "
            f"{len(held)} of the net; set train.start_with to weights"
        )
    sizes = [len(group["params"]) for group in its_groups]
    if len(sizes) == 1 or sizes == [len(g["params"]) for g in training.optimizer.param_groups]:
        return dict(zip(keys, names, strict=True))
    known = {name: weights[name] for name in names}
    ways: list[list[str]] = []
    for way in _orders(known, sizes, training.net):
        if way not in ways and _fits(way, keys, state, known, named):
            ways.append(way)
    if len(ways) == 1:
        return dict(zip(keys, ways[0], strict=True))
    what = "may be in several orders" if ways else "differ in shape from those of the net"
    raise ValueError(
        f"model.optimizer: the parameters of the checkpoint's {what}, and it does not name them; "
        "give its groups param_names, or set train.start_with to weights"
    )


def _by_name(its_groups: Sequence[Group], held: Sequence[str]) -> dict[Any, str]:
    """Returns it for groups that name each parameter as the net does, but for a prefix."""
    pairs = []
    for group in its_groups:
        names = group.get(NAMES) or [k for k in group["params"] if isinstance(k, str)]
        if len(names) != len(group["params"]):
            return {}
        pairs += list(zip(group["params"], names, strict=True))
    named = {key: _own(name, held) for key, name in pairs}
    return {k: n for k, n in named.items() if n} if all(named.values()) else {}


def _own(name: str, held: Sequence[str]) -> str:
    ends = [each for each in held if name == each or name.endswith(f".{each}")]
    return max(ends, key=len, default="")


def _orders(weights: Weights, sizes: Sequence[int], net: nn.Module) -> Iterator[list[str]]:
    """Yields the orders in which groups of these sizes may hold the weights: one after the other,
    or, of two, those with and without weight decay, by any of the rules for it."""
    names = list(weights)
    yield names
    if len(sizes) != 2:
        return
    norms = {
        f"{path}.{name}"
        for path, module in net.named_modules()
        if "Norm" in type(module).__name__
        for name, _ in module.named_parameters(recurse=False)
    }
    flat = {name for name in names if weights[name].ndim < 2}
    biases = {name for name in names if name.rpartition(".")[2] == "bias"}
    for second in (flat, biases, biases | norms, norms):
        parts = [n for n in names if n not in second], [n for n in names if n in second]
        for one, other in (parts, parts[::-1]):
            if (len(one), len(other)) == tuple(sizes):
                yield [*one, *other]


def _fits(
    names: Sequence[str],
    keys: Sequence[Any],
    state: Mapping[Any, Any],
    weights: Weights,
    named: set[str],
) -> bool:
    """Returns whether each slot that is no scalar has its parameter's shape, or none of them
    has."""
    for name, key in zip(names, keys, strict=True):
        if name not in named:
            continue
        shapes = {
            tuple(value.shape)
            for value in (state.get(key) or {}).values()
            if isinstance(value, Tensor) and value.ndim == weights[name].ndim and value.ndim
        }
        whole = tuple(weights[name].shape)
        if shapes and whole not in shapes and not _are_factors(shapes, whole):
            return False
        if not shapes and weights[name].ndim and _has_arrays(state.get(key) or {}):
            return False
    return True


def _are_factors(shapes: set[tuple[int, ...]], whole: tuple[int, ...]) -> bool:
    """Returns whether they are rows and columns of it, as Adafactor's."""
    return all(
        len(shape) == len(whole) and all(a in (1, b) for a, b in zip(shape, whole, strict=True))
        for shape in shapes
    )


def _has_arrays(slots: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Tensor) and value.numel() > 1 for value in slots.values())


def set_groups(
    training: Training,
    its_groups: Sequence[Group],
    assigned: Mapping[Any, str],
    settings: Sequence[Group],
) -> list[str]:
    """Gives the optimizer's groups these settings, and makes as many as differ in them; returns
    notes on what was set otherwise."""
    optimizer = training.optimizer
    held = optimizer.param_groups
    before = held if len(held) == len(settings) else [held[0]] * len(settings)
    changed = {
        key: ([group.get(key) for group in before], [group[key] for group in settings])
        for key in settings[0]
        if any(group[key] != own.get(key) for group, own in zip(settings, before, strict=True))
        and key != "initial_lr"
    }
    if all(each == settings[0] for each in settings):
        for group in optimizer.param_groups:
            group.update(settings[0])
    else:
        named = [[assigned[k] for k in group["params"] if k in assigned] for group in its_groups]
        rest = [name for name in own_names(training) if name not in set(assigned.values())]
        regroup(training, [named[0] + rest, *named[1:]], settings)
    return [
        f"the optimizer's {key} is {_listed(its)} as in the checkpoint, for {_listed(ours)} in "
        "params.yaml"
        for key, (ours, its) in changed.items()
    ]


def _listed(values: Sequence[Any]) -> str:
    different = list(dict.fromkeys(map(str, values)))
    return different[0] if len(different) == 1 else " and ".join(different) + " by groups"


def regroup(
    training: Training, names: Sequence[Sequence[str]], settings: Sequence[Mapping[str, Any]]
) -> None:
    """Makes the optimizer's groups of the parameters of these names, which they then name."""
    weights = dict(training.net.named_parameters())
    training.optimizer.param_groups[:] = [
        {"params": [weights[name] for name in each], **how, NAMES: list(each)}
        for each, how in zip(names, settings, strict=True)
    ]
    for each in _schedules(training.scheduler):
        for held in ("base_lrs", "lr_lambdas", "min_lrs"):
            if len(values := getattr(each, held, [])) == 1:
                setattr(each, held, list(values) * len(names))


def like_saved(training: Training, saved: Sequence[Group]) -> None:
    """Makes groups as those of a state that this training wrote, where they have names."""
    if len(saved) != len(training.optimizer.param_groups) and all(NAMES in each for each in saved):
        known = [{k: v for k, v in g.items() if k not in ("params", NAMES)} for g in saved]
        regroup(training, [group[NAMES] for group in saved], known)


def _schedules(scheduler: torch.optim.lr_scheduler.LRScheduler | None) -> Iterator[Any]:
    if scheduler is not None:
        yield scheduler
        for each in getattr(scheduler, "_schedulers", ()):
            yield from _schedules(each)
