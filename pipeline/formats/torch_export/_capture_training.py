"""A training step's loss, and the loss of predictions alone, become programs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .._torch import in_numpy, tensors
from ..contract import Arrays
from ._capture import rows_vary, trace
from ._cumulative import own_means
from ._names import LOSS, TRAIN
from ._own_backward import demand_own_gradients

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram


def capture_training(
    training: Any, inputs: Arrays, target: np.ndarray
) -> dict[str, "ExportedProgram"]:
    """Returns forward and loss in training mode, and the loss alone; the net's states keep their
    names, and those of the loss have one more part ahead of theirs."""
    import torch

    net = training.net
    with torch.no_grad():
        answers = net(*tensors(inputs, list(inputs)))
    step, loss = _modules(training, answers)
    with _training_mode(net), own_means(net):
        train = _trace_loss([*inputs.values(), target], step, "its training step")
    demand_own_gradients(step, train, inputs, target)
    _rename(train, lambda name: name.removeprefix("net."))
    _join_tied(train, {id(weight): name for name, weight in net.named_parameters()})
    several = answers if isinstance(answers, tuple | list) else [answers]
    with torch.no_grad():  # as where a loss is only looked at
        of_answers = _trace_loss([*map(in_numpy, several), target], loss, "its loss")
    return {TRAIN: train, LOSS: of_answers}


def _modules(training: Any, answers: Any) -> tuple["nn.Module", "nn.Module"]:
    """Returns a module from inputs and target to the loss, and one from answers and target, which
    hands the loss the same kind of sequence as the net does, if any."""
    from torch import nn

    net, name = training.net, _free_name(training.net)

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(name, training.loss)

        def forward(self, *arguments: Any) -> Any:
            several = isinstance(answers, tuple | list)
            given = type(answers)(arguments[:-1]) if several else arguments[0]
            return training.loss(given, arguments[-1])

    class Step(Loss):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, *arguments: Any) -> Any:
            return training.loss(net(*arguments[:-1]), arguments[-1])

    return Step(), Loss()


def _free_name(net: "nn.Module") -> str:
    """Returns a name for the loss that none of the net's parts has."""
    taken = {name.partition(".")[0] for name in net.state_dict()}
    name = "loss"
    while name in taken:
        name += "_"
    return name


@contextmanager
def _training_mode(net: "nn.Module") -> Iterator[None]:
    """Brings each part back to the mode it was in."""
    modes = {module: module.training for module in net.modules()}
    net.train()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _trace_loss(examples: list[np.ndarray], module: "nn.Module", what: str) -> "ExportedProgram":
    """Returns the program of a forward that takes *arguments and gives a loss."""
    shapes = (tuple(map(rows_vary, examples)),)
    return trace(module, examples, shapes, ["loss"], what)


def _rename(program: "ExportedProgram", rename: Callable[[str], str]) -> None:
    """Renames the states, wherever a program speaks of them."""
    signature = program.graph_signature
    for spec in [*signature.input_specs, *signature.output_specs]:
        if spec.target is not None and spec.kind.name != "USER_INPUT_MUTATION":
            spec.target = rename(spec.target)
    program._state_dict = {rename(name): each for name, each in program.state_dict.items()}
    program._constants = {rename(name): each for name, each in program.constants.items()}


def _join_tied(program: "ExportedProgram", names: dict[int, str]) -> None:
    """Gives a weight with two names one: torch would load a parameter for each, trained apart."""
    graph, signature = program.graph_module.graph, program.graph_signature
    nodes = {node.name: node for node in graph.nodes}
    weights = {spec.target: spec for spec in signature.input_specs if spec.kind.name == "PARAMETER"}
    for name, spec in weights.items():
        first = names.get(id(program.state_dict[name]), name)
        if first != name:
            twin = nodes[spec.arg.name]
            twin.replace_all_uses_with(nodes[weights[first].arg.name])
            graph.erase_node(twin)
            signature.input_specs.remove(spec)
            del program.state_dict[name]
    program.graph_module.recompile()
