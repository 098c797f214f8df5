"""Takes in an ONNX graph that was made elsewhere."""

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._copying import copy_part
from .._onnx_export import reason, strip
from .._onnx_proto import DTYPES
from .._onnxruntime import FATAL, session
from .._patching import load_patched
from ..contract import Arrays
from ..programs import Program
from . import _foreign
from ._files import FILE, OVERFLOW
from ._foreign import BFLOAT16, TEXT
from ._rewriting import packed
from .load import LEARNT
from .screen import screen

ALIGNED = 64
INITIALIZERS_APART = 4
"""The version of ONNX from which on a weight need not be listed among the inputs."""
TRAINING = ("training_info", "configuration", "metadata_props")
NUMBERS = DTYPES.keys() - {BFLOAT16}
NO_TENSOR = ("sequence", "map", "optional", "sparse_tensor", "nothing")


def describe(path: Path) -> Program:
    """Reads the graph's signature; see programs.Adopter."""
    model, _ = _foreign.read(path)
    answers = _foreign.outputs(model)
    left_out = [name for name, port in answers.items() if port.dtype in NO_TENSOR]
    for name in left_out:
        if len(left_out) == len(answers):
            raise ValueError(
                f"answers a {answers[name].dtype} in {name}, expected tensors; export it again, "
                "from scikit-learn with options={'zipmap': False}"
            )
    notes = [
        f"output {name} is left out: it is a {answers[name].dtype}, not a tensor (from "
        "scikit-learn export with options={'zipmap': False} to have it)"
        for name in left_out
    ]
    opsets = {f"opset {each.domain or 'ai.onnx'}": str(each.version) for each in model.opset_import}
    producer = {model.producer_name: model.producer_version} if model.producer_name else {}
    for tensor, said in _foreign.external(model):
        _foreign.weight_place(path, tensor.name, said, _size(tensor))
    return Program(
        inputs=_foreign.inputs(model),
        outputs={name: port for name, port in answers.items() if name not in left_out},
        versions={**producer, "ir": str(model.ir_version), **opsets},
        notes=tuple(notes),
    )


def adopt(
    path: Path, directory: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Writes the graph anew without what tells of its source, and screens it; see
    programs.Adopter. Weights that lay in other files lie in OVERFLOW."""
    model, large = _foreign.read(path)
    stored = {each.name for each in model.graph.initializer}
    _keep(model.graph.input, [each for each in model.graph.input if each.name not in stored])
    model.ir_version = max(model.ir_version, INITIALIZERS_APART)
    for field in TRAINING:
        model.ClearField(field)
    model.graph.ClearField("quantization_annotation")
    model.graph.ClearField("value_info")  # of what may have gone; runtimes infer it
    strip(model)
    _lift(model.graph)
    _rename(model.graph, inputs, outputs)
    _keep(model.graph.node, _needed(model.graph))
    used = {node.domain for node in _nodes(model.graph.node)} | {"", "ai.onnx"}
    used |= {each.domain for each in model.functions}
    _keep(model.opset_import, [each for each in model.opset_import if each.domain in used])
    try:
        _gather(model, large, path, directory / OVERFLOW)
        content = model.SerializeToString(deterministic=True)
        learnt = any(each.domain == LEARNT for each in model.graph.node)
        (directory / FILE).write_bytes(packed(content) if learnt else content)
        screen(directory)
        _demand_runs(directory / FILE)
    except ValueError as error:
        for name in (FILE, OVERFLOW):
            (directory / name).unlink(missing_ok=True)
        raise ValueError(str(error).removeprefix(f"{directory / FILE}: ")) from error


def load_with(directory: Path, weights: Mapping[str, np.ndarray]) -> Callable[[Arrays], Arrays]:
    """Returns what `load` does, of the program with these weights; see programs.Adopter."""
    from . import load

    return load_patched(load.load, directory, load.weights(directory), weights)


def predictor(directory: Path) -> None:
    """Returns no program: no framework makes another format of an ONNX graph."""


def _keep(field: Any, items: Iterable[Any]) -> None:
    """Leaves these in a repeated field, which they are of."""
    copies = [type(each).FromString(each.SerializeToString()) for each in items]
    del field[:]
    field.extend(copies)


def _lift(graph: Any) -> None:
    """Makes weights of constants, and has each weight's numbers lie as raw bytes, by which alone it
    is known where they lie."""
    from onnx import AttributeProto, numpy_helper

    result = []
    for node in graph.node:
        values = [each.t for each in node.attribute if each.type == AttributeProto.TENSOR]
        if node.op_type != "Constant" or node.domain not in ("", "ai.onnx") or not values:
            result.append(node)
            continue
        graph.initializer.add().CopyFrom(values[0])
        graph.initializer[-1].name = node.output[0]
    _keep(graph.node, result)
    for tensor in graph.initializer:
        inside = tensor.data_location != tensor.EXTERNAL and not tensor.HasField("raw_data")
        if inside and tensor.data_type in NUMBERS:
            with contextlib.suppress(ValueError):  # the screen says what is wrong with its shape
                array = numpy_helper.to_array(tensor)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def _rename(graph: Any, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> None:
    """Gives inputs and outputs the names that they get, by a node of Identity for each that has
    another; no value within the graph changes its name."""
    taken = {name for node in _nodes(graph.node) for name in (*node.input, *node.output)}
    values = {each.name: each for each in (*graph.input, *graph.output)}
    if lacking := [n for n in (*inputs.values(), *outputs.values()) if n not in values]:
        raise ValueError(f"lacks {', '.join(lacking)}, which it was to take or to answer")
    renamed = {own: theirs for own, theirs in (*inputs.items(), *outputs.items()) if own != theirs}
    for own in [*renamed, *(inputs.keys() & outputs.keys())]:
        if own in taken or (own in inputs and own in outputs):
            raise ValueError(f"has another value called {own!r}; choose another name for this one")
    before = [_identity(own, theirs) for own, theirs in inputs.items() if own != theirs]
    after = [_identity(theirs, own) for own, theirs in outputs.items() if own != theirs]
    for field, names in ((graph.input, inputs), (graph.output, outputs)):
        result = []
        for own, theirs in names.items():
            value = type(values[theirs]).FromString(values[theirs].SerializeToString())
            value.name = own
            result.append(value)
        _keep(field, result)
    _keep(graph.node, [*before, *graph.node, *after])


def _identity(taken: str, given: str) -> Any:
    from onnx import NodeProto

    return NodeProto(op_type="Identity", input=[taken], output=[given], name=f"name/{given}")


def _nodes(nodes: Any) -> Iterator[Any]:
    """Yields them, and those of the graphs within them."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                waiting += graph.node


def _needed(graph: Any) -> list[Any]:
    """Returns the nodes that an output depends on, in their order."""
    wanted, needed = {each.name for each in graph.output}, []
    for node in reversed(graph.node):
        if wanted & set(node.output):
            needed.append(node)
            wanted |= {name for each in _nodes([node]) for name in each.input}
            inner = (g for a in node.attribute for g in (a.g, *a.graphs))
            wanted |= {each.name for g in inner for each in g.output}
    return needed[::-1]


def _gather(model: Any, large: _foreign.Places, path: Path, target: Path) -> None:
    """Copies weights that lie in other files, and large ones, into one that the graph refers to."""
    places = [
        (tensor, _foreign.weight_place(path, tensor.name, said, _size(tensor)))
        for tensor, said in _foreign.external(model)
    ]
    for tensor in model.graph.initializer:
        if tensor.name in large:
            offset, size = large[tensor.name]
            if size != _size(tensor):
                raise ValueError(f"{tensor.name!r} of {size} bytes does not fit its shape")
            places.append((tensor, (_foreign.graph_file(path), offset)))
    if not places:
        return
    with target.open("wb") as written:
        for tensor, (file, offset) in places:
            written.write(bytes(-written.tell() % ALIGNED))
            values = {"location": OVERFLOW, "offset": written.tell(), "length": _size(tensor)}
            del tensor.external_data[:]
            tensor.data_location = tensor.EXTERNAL
            for key, value in values.items():
                tensor.external_data.add(key=key, value=str(value))
            copy_part(file, offset, _size(tensor), written)


def _size(tensor: Any) -> int:
    """Returns the bytes of a weight. Raises ValueError for one that has none of its own."""
    from onnx import helper

    if tensor.data_type == TEXT or min(tensor.dims, default=0) < 0:
        raise ValueError(f"keeps {tensor.name!r} in another file, which can hold numbers alone")
    try:
        bits = 8 * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except KeyError:
        raise ValueError(f"{tensor.name!r} is of no type that is known here") from None
    return int(math.prod(tensor.dims) * bits // 8)


def _demand_runs(path: Path) -> None:
    """Raises ValueError where onnxruntime does not take the graph."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    refused = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.NotImplemented)
    try:
        session(path, FATAL)
    except (*refused, state.RuntimeException) as error:
        text = re.sub(r"\[ONNXRuntimeError\]([^:]*:){3} ", "", reason(error), count=1)
        text = text[max(0, text.find("Unsupported model")) :]
        raise ValueError(f"onnxruntime does not take it: {text[:300]}") from error
