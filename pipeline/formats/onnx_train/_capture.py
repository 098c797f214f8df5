"""A network is captured with torch.export, in training mode as well, for any number of rows."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .._examples import Examples
from .._onnx_export import TORCHVISION, silenced
from .._torch_errors import in_one_line
from .._torch_tracing import assigned_in_place

EXAMPLE_ROWS = 11  # no other batch has so many, so that a fixed number of rows shows


def capture(source: Any, names: list[str], examples: Examples) -> Any:
    """Returns the program of the training's outputs or, where `names` has targets, of its loss."""
    import torch

    class Called(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = source.net
            if len(names) > len(source.inputs):
                self.loss = source.loss

        def forward(self, *given: Any) -> Any:
            values = dict(zip(names, given, strict=True))
            inputs = {name: values.pop(name) for name in source.inputs}
            if hasattr(self, "loss"):
                with assigned_in_place(source.net):
                    return source.judge(inputs, values)[1]
            return tuple(source.answer(inputs).values())

    given, shapes = examples.tensors(EXAMPLE_ROWS), (examples.shapes(1),)
    with complaints_about("model"):
        return torch.export.export(Called(), given, dynamic_shapes=shapes)


def first_names(net: Any) -> dict[str, str]:
    """Returns every name of the net's state, and the first of those that its tensor goes by."""
    first: dict[int, str] = {}
    tensors = net.state_dict(keep_vars=True)
    return {f"net/{k}": first.setdefault(id(each), f"net/{k}") for k, each in tensors.items()}


def tensors_before_inputs(net: Any, program: Any) -> tuple[list[str], dict[str, Any]]:
    """Returns the names of what the program takes before its inputs, in order, and each tensor
    once."""
    names, values = first_names(net), program.state_dict | program.constants
    order, tensors = [], {}
    for spec in program.graph_signature.input_specs:
        if spec.kind.name != "USER_INPUT":
            name = names.get(f"net/{spec.target.removeprefix('net.')}", f"constant/{spec.target}")
            order.append(name)
            tensors[name] = values[spec.target].detach()
    return order, tensors


def check_draws_nothing(program: Any, graph: Any) -> None:
    """Raises ValueError for random numbers in `graph`, which is what `program` comes to: in it,
    dropout with a probability of 0 is no more."""
    import torch

    def draws(node: Any) -> bool:
        return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())

    if any(map(draws, graph.graph.nodes)):
        drawing = [
            f"{node.target} in {next(reversed(node.meta['nn_module_stack'].values()))[0]}"
            for node in filter(draws, program.graph.nodes)
        ]
        raise ValueError(
            f"onnx_train: {', '.join(drawing)} draws random numbers while training, which no other "
            "runtime can follow"
        )


@contextmanager
def complaints_about(what: str) -> Iterator[None]:
    """Raises torch's errors as ValueError in one line, and drops its warnings."""
    import torch

    try:
        with silenced(logging.ERROR, TORCHVISION), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        raise ValueError(f"onnx_train: no ONNX of this {what}: {in_one_line(error)}") from error
