"""predict.onnx: the network in evaluation mode, whose weights are inputs."""

from pathlib import Path
from typing import Any

from .._examples import Examples
from ._capture import capture, tensors_before_inputs
from ._graph import write_graph


def write_predict(
    source: Any, inputs: list[str], outputs: list[str], examples: Examples, path: Path
) -> None:
    net = source.net.eval()
    program = capture(source, inputs, examples)
    count = len(program.graph_signature.user_outputs)
    if count != len(outputs):
        raise ValueError(f"onnx_train: forward returned {count} values, expected {outputs}")
    order, tensors = tensors_before_inputs(net, program)
    names = [*tensors, *inputs]
    places = [names.index(name) for name in (*order, *inputs)]
    fixed = [*tensors.values()]
    write_graph(program.graph_module, places, fixed, examples, names, outputs, path)
