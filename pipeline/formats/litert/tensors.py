"""The names that a program in another language feeds and fetches, read without TensorFlow."""

import struct
from pathlib import Path

from . import _schema as schema
from ._flatbuffer import Table, root
from ._names import ENDPOINT, FILE

Dtypes = dict[str, str]


def signature(directory: Path) -> tuple[Dtypes, Dtypes]:
    """Returns the dtype of each input and output by its name, in the order in which the graph has
    them, as LiteRT's C API numbers them. Raises ValueError in one line for a file that does not
    name them."""
    try:
        return _signature((directory / FILE).read_bytes())
    except (ValueError, struct.error, IndexError) as error:
        raise ValueError(f"{directory / FILE}: {error}") from error


def _signature(content: bytes) -> tuple[Dtypes, Dtypes]:
    model = root(content)
    signatures = list(model.tables(schema.SIGNATURES))
    keys = [each.text(schema.KEY) for each in signatures]
    if keys != [ENDPOINT]:
        raise ValueError(f"has the signatures {keys}, expected {[ENDPOINT]}")
    graph = list(model.tables(schema.GRAPHS))[signatures[0].number(schema.GRAPH, "I")]
    return (
        _named(graph, schema.INPUTS, signatures[0], schema.SIGNATURE_INPUTS),
        _named(graph, schema.OUTPUTS, signatures[0], schema.SIGNATURE_OUTPUTS),
    )


def _named(graph: Table, ends: int, signature: Table, side: int) -> Dtypes:
    names = {
        each.number(schema.TENSOR_INDEX, "I"): each.text(schema.MAP_NAME)
        for each in signature.tables(side)
    }
    tensors = list(graph.tables(schema.TENSORS))
    return {
        names.get(number, f"tensor {number}"): _dtype(tensors[number])
        for number in graph.shape(ends)
    }


def _dtype(tensor: Table) -> str:
    kind = tensor.number(schema.KIND, "b")
    return "string" if kind == schema.TEXT else schema.DTYPES.get(kind, f"kind {kind}")
