"""A training step's loss, and the loss of predictions alone, become programs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from .._examples import Examples
from .._torch import in_numpy
from .._torch_tracing import assigned_in_place, seen_data
from ._capture import EXAMPLE_ROWS, trace
from ._cumulative import own_means
from ._names import LOSS, TRAIN
from ._own_backward import with_own_gradients

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram


def capture_training(training: Any, given: Examples) -> dict[str, "ExportedProgram"]:
    """Returns forward and loss in training mode, from inputs and targets, and the loss alone, from
    what `training.compared` names; the net's states keep their names, and those of the loss have
    one more part ahead of theirs."""
    import torch

    net, values = training.net, given.resized(EXAMPLE_ROWS)
    tensors = given.of("input").tensors(EXAMPLE_ROWS)
    with torch.no_grad():
        answers = training.predicting.answer(dict(zip(training.inputs, tensors, strict=True)))
    step, loss = _modules(training, [name.partition(".")[2] for name in values])
    with _mode(net, training.training_mode):
        train = with_own_gradients(step, given, partial(_trace_step, given, step, net))
    _clean(train, net)
    values |= {f"output.{name}": in_numpy(each) for name, each in answers.items()}
    known = {name.partition(".")[2]: name for name in values}
    compared = {known[name]: values[known[name]] for name in training.compared()}
    judged = training.predicting.net if training.adapter is not None else net
    with torch.no_grad(), _mode(judged, judged.eval):
        of_answers = _trace_loss(Examples(compared, given.dimensions), loss, "its loss")
    _clean(of_answers, judged)
    return {TRAIN: train, LOSS: of_answers}


def _clean(program: "ExportedProgram", net: "nn.Module") -> None:
    """Gives the net's states the names that they have in the net, each one."""
    _rename(program, lambda name: name.removeprefix("net."))
    _join_tied(program, {id(weight): name for name, weight in net.named_parameters()})


def _modules(training: Any, names: list[str]) -> tuple["nn.Module", "nn.Module"]:
    """Returns a module from inputs and targets, of these names, to the loss of a step, and one to
    the loss from what it compares."""
    from torch import nn

    net, name, compared = training.net, _free_name(training.net), training.compared()
    judging = training.predicting if training.adapter is not None else training

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(name, training.loss)
            if training.computes_loss:
                self.net = judging.net

        def forward(self, *arguments: Any) -> Any:
            return judging.loss_of(dict(zip(compared, arguments, strict=True)))

    class Step(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(name, training.loss)
            self.net = net

        def forward(self, *arguments: Any) -> Any:
            values = dict(zip(names, arguments, strict=True))
            inputs = {each: values[each] for each in training.inputs}
            targets = {each: values[each] for each in training.targets}
            with assigned_in_place(net), seen_data():
                return training.judge(inputs, targets)[1]

    return Step(), Loss()


def _free_name(net: "nn.Module") -> str:
    """Returns a name for the loss that none of the net's parts has."""
    taken = {name.partition(".")[0] for name in net.state_dict()}
    name = "loss"
    while name in taken:
        name += "_"
    return name


@contextmanager
def _mode(net: "nn.Module", choose: Callable[[], Any]) -> Iterator[None]:
    """Brings each part back to the mode it was in before `choose`."""
    modes = {module: module.training for module in net.modules()}
    choose()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _trace_step(given: Examples, step: "nn.Module", net: "nn.Module") -> "ExportedProgram":
    with own_means(net):
        return _trace_loss(given, step, "its training step")


def _trace_loss(given: Examples, module: "nn.Module", what: str) -> "ExportedProgram":
    """Returns the program of a forward that takes *arguments and gives a loss."""
    return trace(module, given, (given.shapes(),), ["loss"], what)


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
