"""A torch.autograd.Function has a backward of its own, of which a traced program knows nothing: the
program trains by the derivative of the forward."""

import contextlib
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from .._examples import Examples
from . import _plain_draws
from ._capture import EXAMPLE_ROWS
from ._elementwise_backward import own_backwards
from ._unseen import hooked, refused_hook

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

MUTATIONS = ("BUFFER_MUTATION", "PARAMETER_MUTATION")
RTOL, ATOL = 1e-4, 1e-6
"""Of gradients: what differs by less is the same derivative, computed in another order."""


def with_own_gradients(
    step: "nn.Module", given: Examples, trace: "Callable[[], ExportedProgram]"
) -> "ExportedProgram":
    """Returns the program of the step as `trace` makes it, or where the step has such functions one
    that has their gradients bit for bit. Raises ValueError where neither has them, where a hook
    makes others, or where the step draws numbers that the program would hold.

    Weights, buffers and random numbers are afterwards what they were.
    """
    import torch

    program, examples = trace(), given.tensors(EXAMPLE_ROWS)
    state = {name: each.clone() for name, each in _changing(step, program).items()}
    weights = {n: each for n, each in step.named_parameters() if each.requires_grad}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loss = _plain_draws.demand_none(partial(step, *examples), "its training step")
        names = own_functions(loss)
        hooks = hooked(step.get_submodule("net"))
        eager = _gradients(loss, weights) if names or hooks else {}
        step.load_state_dict(state, strict=False)

    def wrong(traced: "ExportedProgram", alike: Callable[[Any, Any], bool]) -> list[str]:
        exported = _exported_gradients(traced, examples, list(eager))
        step.load_state_dict(state, strict=False)
        return [name for name in exported if not alike(exported[name], eager[name])]

    if not eager or not wrong(program, _same):
        return program
    with contextlib.suppress(ValueError), own_backwards():
        other = trace()
        if not wrong(other, _same):
            return other
    others = wrong(program, _close)
    if others and not names:
        raise ValueError(refused_hook(hooks[0]))
    if others:
        raise ValueError(
            f"torch_export: {', '.join(names)}: a torch.autograd.Function, whose own backward no "
            f"export holds, so {others[0]} would be trained by another gradient; write it with "
            "torch's functions (x + (f(x) - x).detach() passes a gradient straight through)"
        )
    return program


def _exported_gradients(
    program: "ExportedProgram", examples: Any, names: list[str]
) -> "dict[str, Tensor | None]":
    """Returns the gradients of those of the weights that the program has."""
    import torch

    module = program.module()
    # The program's weights are the net's, with their hooks.
    weights = {
        name: each.detach().requires_grad_(each.requires_grad)
        for name, each in module.named_parameters()
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        loss = torch.func.functional_call(module, weights, tuple(examples))
        return _gradients(loss, {name: weights[name] for name in names if name in weights})


def _changing(step: "nn.Module", program: "ExportedProgram") -> "dict[str, Tensor]":
    """Returns what a forward may change: buffers, and the weights that the program says it does."""
    signature = program.graph_signature
    changed = {spec.target for spec in signature.output_specs if spec.kind.name in MUTATIONS}
    weights = {name for name, _ in step.named_parameters(remove_duplicate=False)} - changed
    return {name: each for name, each in step.state_dict().items() if name not in weights}


def own_functions(loss: "Tensor") -> list[str]:
    """Returns the names of all such functions that the loss came through."""
    from torch.autograd.function import BackwardCFunction
    from torch.nn.modules._functions import BackwardHookFunction

    names: dict[str, None] = {}
    waiting: list[Any] = [loss.grad_fn]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        kind = getattr(node, "_forward_cls", None)
        if isinstance(node, BackwardCFunction) and kind is not BackwardHookFunction:
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
    return _alike(one, other, RTOL, ATOL)


def _same(one: "Tensor | None", other: "Tensor | None") -> bool:
    return _alike(one, other, 0, 0)


def _alike(one: "Tensor | None", other: "Tensor | None", rtol: float, atol: float) -> bool:
    import torch

    if one is None or other is None:
        present = one if other is None else other
        return present is None or not present.any()
    return torch.allclose(one, other, rtol=rtol, atol=atol)
