"""predict.onnx: the network in evaluation mode, whose weights are inputs."""

from pathlib import Path
from typing import Any

import numpy as np

from ._capture import EXAMPLE_ROWS, capture, tensors_before_inputs
from ._graph import write_graph
from ._source import batch


def write_predict(
    source: Any, inputs: list[str], outputs: list[str], examples: list[np.ndarray], path: Path
) -> None:
    net = source.net.eval()
    program = capture(source, inputs, examples)
    count = len(program.graph_signature.user_outputs)
    if count != len(outputs):
        raise ValueError(f"onnx_train: forward returned {count} values, expected {outputs}")
    order, tensors = tensors_before_inputs(net, program)
    names = [*tensors, *inputs]
    places = [names.index(name) for name in (*order, *inputs)]
    given = [*tensors.values(), *batch(examples, EXAMPLE_ROWS)]
    write_graph(program.graph_module, places, given, len(examples), names, outputs, path)
