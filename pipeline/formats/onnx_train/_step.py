"""step.onnx: forward, loss, backward, clipping and the optimizer's update as one graph.

torch.export holds the model in training mode to any number of rows; what it captured is run under
make_fx, which writes down what autograd does. Gradients are thus those of torch itself, whatever
detaches, and what ONNX cannot say (batch norm in training, a convolution's gradient) is spelt out.
torch.onnx.export on a model in training mode would write batch norm for inference without a word.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._examples import Examples
from ..contract import Arrays
from ._capture import (
    capture,
    check_draws_nothing,
    complaints_about,
    first_names,
    tensors_before_inputs,
)
from ._drawing import Drawing, check_drawn_alike
from ._gradients import decompositions
from ._graph import write_graph
from ._masks import Mask
from ._optimizers import updated
from ._source import EagerStep, state
from ._states import Entry

Step = Callable[..., list[Any]]


def write_step(
    source: Any, inputs: list[str], examples: Examples, first: EagerStep, path: Path
) -> tuple[list[tuple[Entry, np.ndarray]], list[Mask]]:
    """Writes the graph; returns what state.json says of each tensor but its place, and the tensor;
    and the masks that a step draws.

    `inputs` are the net's and the targets; `first` is the first step of a copy of `source`.
    """
    import torch

    program = capture(source, inputs, examples)
    order, tensors = tensors_before_inputs(source.net, program)
    tensors |= _slots(source, first.state)
    groups = source.optimizer.param_groups
    rates = {f"lr/{n}": torch.zeros((), dtype=torch.float64) for n in range(len(groups))}
    names = [*tensors, *rates, *inputs]
    taken = [*order, *inputs]
    step = _step(source, program, taken, names, [*tensors], first.trained)
    fixed = [*tensors.values(), *rates.values()]
    graph, masks = _trace(step, program, fixed, inputs)
    check_draws_nothing(program, graph)
    answers = ["loss", *(f"new/{name}" for name in tensors)]
    places = [*range(len(names))]
    changed = write_graph(graph, places, fixed, examples, names, answers, path, masks)
    return _described(source.net, tensors, changed), masks


def _slots(source: Any, after: Arrays) -> dict[str, Any]:
    """Returns the optimizer's state, as it begins where no step was taken yet."""
    import torch

    before = state(source)
    slots = {}
    for name, array in after.items():
        if name.startswith("optimizer/"):
            fresh = name not in before
            if fresh and any(group.get("dampening") for group in source.optimizer.param_groups):
                raise ValueError("onnx_train: SGD does not dampen its first step; take one first")
            slots[name] = torch.from_numpy(_fresh(name, array) if fresh else before[name])
    return slots


def _fresh(name: str, array: np.ndarray) -> np.ndarray:
    """Returns the slot as an optimizer begins with it: a product with 1, a sum with 0."""
    return np.ones_like(array) if name.endswith("/mu_product") else np.zeros_like(array)


def _step(
    source: Any,
    program: Any,
    taken: list[str],
    names: list[str],
    kept: list[str],
    trained: list[str],
) -> Step:
    """Returns the function of all `names` that gives the loss and what it makes of `kept`; of its
    arguments the program takes those named in `taken`."""
    import torch

    def step(*flat: Any) -> list[Any]:
        values = dict(zip(names, flat, strict=True))
        values |= {name: values[name].clone() for name in kept}
        leaves = {name: values[f"net/{name}"].detach().requires_grad_() for name in trained}
        called = values | {f"net/{name}": leaf for name, leaf in leaves.items()}
        (loss,) = program.graph_module(*(called[name] for name in taken))
        gradients = torch.autograd.grad(loss, [*leaves.values()])
        with torch.no_grad():
            values |= updated(source, dict(zip(leaves, gradients, strict=True)), values)
        return [loss.detach(), *(values[name] for name in kept)]

    return step


def _trace(step: Step, program: Any, fixed: list[Any], inputs: list[str]) -> tuple[Any, list[Mask]]:
    """Returns the graph of a step for any number of rows, and the masks that it takes last, if it
    draws any; `fixed` is what has no rows."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    fakes = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    given = fakes[-len(program.graph_signature.user_inputs) :]
    mode = fakes[0].fake_mode
    held = [mode.from_tensor(each, static_shapes=True) for each in fixed]  # else all are symbols
    drawing = Drawing(_sizes(inputs, given))

    def drawn_step(*flat: Any) -> list[Any]:
        drawing.begin(flat[-1])
        return step(*flat[:-1])

    flat = torch.zeros(1, dtype=torch.bool)
    arguments = [*held, *given, mode.from_tensor(flat)]
    table = decompositions() | drawing.decompositions()
    plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with complaints_about("training step"), plain, torch.backends.mkldnn.flags(enabled=False):
        graph = make_fx(drawn_step, decomposition_table=table, tracing_mode="symbolic")(*arguments)
    if drawing.masks:
        check_drawn_alike()
    else:
        _without_last_argument(graph)
    return graph, drawing.masks


def _sizes(inputs: list[str], fakes: list[Any]) -> dict[Any, tuple[str, int]]:
    """Returns which size of which input each symbol of the trace is."""
    return {
        size.node.expr: (name, axis)
        for name, fake in reversed([*zip(inputs, fakes, strict=True)])
        for axis, size in enumerate(fake.shape)
        if not isinstance(size, int)
    }


def _without_last_argument(graph: Any) -> None:
    graph.graph.erase_node([node for node in graph.graph.nodes if node.op == "placeholder"][-1])
    graph.recompile()


def _described(
    net: Any, tensors: dict[str, Any], changed: set[str]
) -> list[tuple[Entry, np.ndarray]]:
    described = []
    for name, same in ({name: name for name in tensors} | first_names(net)).items():
        array, output = tensors[same].numpy(), f"new/{same}"
        entry: Entry = {"name": name, "input": same}
        entry["output"] = output if output in changed else None
        described.append((entry | {"dtype": array.dtype.name, "shape": [*array.shape]}, array))
    return described
