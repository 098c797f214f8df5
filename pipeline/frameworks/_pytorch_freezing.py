"""Weights of a PyTorch net that no step changes."""

from collections.abc import Sequence, Set

from torch import nn

from ._freezing import demand_some_left, fitting


def freeze(net: nn.Module, patterns: Sequence[str]) -> tuple[str, ...]:
    """Takes the gradient from the weights that the patterns fit; returns the batch norms all of
    which is frozen, which normalize in training as they do in evaluation.

    Raises ValueError, one line.
    """
    if not patterns:
        return ()
    weights = dict(net.named_parameters(remove_duplicate=False))
    buffers = dict(net.named_buffers(remove_duplicate=False))
    frozen = fitting(patterns, [*weights, *buffers], ".")
    for name in frozen & weights.keys():
        weights[name].requires_grad_(False)
    demand_some_left(patterns, any(weight.requires_grad for weight in weights.values()))
    return still_norms(net, frozen)


def still_norms(net: nn.Module, frozen: Set[str]) -> tuple[str, ...]:
    """Returns the paths of the batch norms all of which is frozen."""
    return tuple(
        path
        for path, module in net.named_modules()
        if isinstance(module, nn.modules.batchnorm._NormBase)
        and {f"{path}.{name}" for name in module.state_dict()} <= frozen
    )
