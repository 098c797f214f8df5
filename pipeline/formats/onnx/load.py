"""Loads the graph, and says where its weights lie."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from .._arrays import at_least_one_row
from .._onnx_proto import DTYPES, Attribute, Entry, Graph, Model, Node, Tensor
from .._onnxruntime import names, refusals, session
from .._protobuf import Message
from ..contract import Arrays, Place
from ..places import within
from ._files import EXTERNAL, FILE
from .screen import screen

LEARNT, MODELS = "ai.onnx.ml", ("TreeEnsemble", "Linear", "SVM")

__all__ = ["load", "refusals", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns the function that predicts; the graph is screened first.

    No rows never reach onnxruntime: its Resize and LSTM end the whole process on them (1.31.1). One
    row of zeros goes in instead, and none comes out.
    """
    screen(directory)
    graph = session(directory / FILE)
    taken, given = names(graph.get_inputs()), names(graph.get_outputs())

    def predict(inputs: Arrays) -> Arrays:
        rows = min(len(inputs[name]) for name in taken)
        feed = {name: inputs[name] if rows else at_least_one_row(inputs[name]) for name in taken}
        answers = zip(given, map(_with_text, graph.run(given, feed)), strict=True)
        return {name: each if rows else each[:0] for name, each in answers}

    return predict


def weights(directory: Path) -> dict[str, Place]:
    """Returns the place of every initializer, in whichever file it lies."""
    try:
        model = Message(memoryview((directory / FILE).read_bytes()))
        (graph,) = model.all(Model.GRAPH)
        places = {each.text(Tensor.NAME): _place(each) for each in graph.all(Graph.INITIALIZER)}
        places |= {name: place for node in graph.all(Graph.NODE) for name, place in _learnt(node)}
        return within(places, directory, [FILE, *EXTERNAL])
    except (ValueError, LookupError) as error:
        raise ValueError(f"{FILE}: {error}") from error


def _place(tensor: Message) -> Place:
    dtype = DTYPES.get(tensor.integer(Tensor.DATA_TYPE), "uint8")
    entries = tensor.all(Tensor.EXTERNAL_DATA)
    external = {entry.text(Entry.KEY): entry.text(Entry.VALUE) for entry in entries}
    if external:
        return external["location"], int(external["offset"]), int(external["length"]), dtype
    for raw in tensor.all(Tensor.RAW_DATA):
        return FILE, raw.start, len(raw), dtype
    return FILE, tensor.start, 0, dtype


def _learnt(node: Message) -> Iterator[tuple[str, Place]]:
    """Yields the numbers that an operator of classical learning has in its attributes: those of
    trees, of linear models and of support vectors."""
    if node.text(Node.DOMAIN) != LEARNT or not node.text(Node.OPERATOR).startswith(MODELS):
        return
    for each in node.all(Node.ATTRIBUTE):
        name = f"{node.text(Node.OPERATOR)}/{each.text(Attribute.NAME)}"
        for values in each.all(Attribute.FLOATS):
            yield name, (FILE, values.start, len(values), "float32")
        for tensor in each.all(Attribute.TENSOR):
            yield name, _place(tensor)


def _with_text(array: np.ndarray) -> np.ndarray:
    """Returns strings as numpy's own text; onnxruntime gives them as objects."""
    return array.astype(str) if array.dtype.hasobject else array
