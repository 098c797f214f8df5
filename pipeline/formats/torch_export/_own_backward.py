"""A torch.autograd.Function has a backward of its own, of which a traced program knows nothing: the
program trains by the derivative of the forward."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .._examples import Examples
from . import _plain_draws
from ._capture import EXAMPLE_ROWS

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

MUTATIONS = ("BUFFER_MUTATION", "PARAMETER_MUTATION")
RTOL, ATOL = 1e-4, 1e-6
"""Of gradients: what differs by less is the same derivative, computed in another order."""


def demand_own_gradients(step: "nn.Module", program: "ExportedProgram", given: Examples) -> None:
    """Raises ValueError where the step has such functions and the program's gradients are others,
    or where it draws numbers that the program would hold.

    Weights, buffers and random numbers are afterwards what they were.
    """
    import torch

    examples = given.tensors(EXAMPLE_ROWS)
    state = {name: each.clone() for name, each in _changing(step, program).items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loss = _plain_draws.demand_none(partial(step, *examples), "its training step")
        names = own_functions(loss)
        if names:
            weights = {n: each for n, each in step.named_parameters() if each.requires_grad}
            eager = _gradients(loss, weights)
            step.load_state_dict(state, strict=False)
            torch.manual_seed(0)
            module = program.module()
            traced = dict(module.named_parameters())
            exported = _gradients(module(*examples), {n: traced[n] for n in weights if n in traced})
    step.load_state_dict(state, strict=False)
    wrong = [n for n in names and exported if not _close(exported[n], eager[n])]
    if wrong:
        raise ValueError(
            f"torch_export: {', '.join(names)}: a torch.autograd.Function, whose own backward no "
            f"export holds, so {wrong[0]} would be trained by another gradient; write it with "
            "torch's functions (x + (f(x) - x).detach() passes a gradient straight through)"
        )


def _changing(step: "nn.Module", program: "ExportedProgram") -> "dict[str, Tensor]":
    """Returns what a forward may change: buffers, and the weights that the program says it does."""
    signature = program.graph_signature
    changed = {spec.target for spec in signature.output_specs if spec.kind.name in MUTATIONS}
    weights = {name for name, _ in step.named_parameters(remove_duplicate=False)} - changed
    return {name: each for name, each in step.state_dict().items() if name not in weights}


def own_functions(loss: "Tensor") -> list[str]:
    """Returns the names of all such functions that the loss came through."""
    from torch.autograd.function import BackwardCFunction

    names: dict[str, None] = {}
    waiting: list[Any] = [loss.grad_fn]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if isinstance(node, BackwardCFunction):
            names[type(node).__name__.removesuffix("Backward")] = None
        waiting += [each for each, _ in node.next_functions]
    return list(names)


def _gradients(loss: "Tensor", weights: "Mapping[str, Tensor]") -> "dict[str, Tensor | None]":
    import torch

    if not loss.requires_grad:
        return dict.fromkeys(weights)
    gradients = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
    return dict(zip(weights, gradients, strict=True))


def _close(one: "Tensor | None", other: "Tensor | None") -> bool:
    import torch

    if one is None or other is None:
        present = one if other is None else other
        return present is None or not present.any()
    return torch.allclose(one, other, rtol=RTOL, atol=ATOL)
