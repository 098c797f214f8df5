"""Writes the graph, and holds it to what onnxruntime makes of it.

A weight that lies byte for byte in another format's file is referred to there; only what is tiny or
lies nowhere is held in the graph itself.
"""

import re
from pathlib import Path
from typing import Any

from .._keras_compare import check_answers
from .._onnx_export import reason, write
from .._onnxruntime import FATAL, names, session
from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from . import _from_keras, _from_torch
from ._external import refer
from ._files import FILE, OVERFLOW
from ._layers import NAMES, layer_at
from .load import load
from .screen import screen


def export(
    model: Any,
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes a graph for any number of rows, and every size of the dimensions.

    `model` is an nn.Module in evaluation mode or a keras.Model that has been called.
    """
    is_keras = any(each.__module__.startswith("keras.") for each in type(model).__mro__)
    origins: dict[str, str] = {}
    if is_keras:
        graph_model, origins = _from_keras.translate(model, inputs, outputs, dimensions)
    else:
        graph_model = _from_torch.translate(model, inputs, outputs, dimensions)
    refer(graph_model.graph.initializers, directory)
    write(graph_model, directory / FILE)
    try:
        screen(directory)
        _check_loads(directory, list(inputs), outputs)
        if is_keras:
            check_answers(model, inputs, outputs, load(directory), NAMES, dimensions)
    except ValueError as error:
        for file in (FILE, OVERFLOW):
            (directory / file).unlink(missing_ok=True)
        blamed = [origins[n] for n in re.findall(r"\b\w+_\d+", str(error)) if n in origins]
        if not blamed:
            raise
        at = layer_at(model, blamed[0])
        raise ValueError(f"{error} In {at}") from error


def _check_loads(directory: Path, inputs: list[str], outputs: list[str]) -> None:
    """Raises ValueError where onnxruntime does not compute what ONNX can say, as bfloat16 layers,
    and where what is returned as it came has another name."""
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidGraph, NotImplemented

    try:
        graph = session(directory / FILE, FATAL, optimize=False)
    except (Fail, InvalidGraph, NotImplemented) as error:
        raise ValueError(f"onnx: onnxruntime does not take this model: {reason(error)}") from error
    sides = [names(graph.get_inputs()), names(graph.get_outputs())]
    if sides != [inputs, outputs]:
        raise ValueError(
            f"onnx: found inputs and outputs {sides}, expected {[inputs, outputs]}; "
            "an input returned as it came, or a value returned twice, has no name of its own"
        )
