"""The names that a program in another language feeds and fetches, read without TensorFlow."""

from pathlib import Path

from .._protobuf import Message
from ._files import FILE

GRAPH, SIGNATURE = 2, 5
"""Fields of SavedModel and MetaGraphDef; then those of a map's entry and of SignatureDef."""
KEY, VALUE = 1, 2
INPUTS, OUTPUTS = 1, 2
SERVING = "serving_default"


def tensors(directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Returns the tensor (`operation:number`) of each input and output of what SavedModel serves.

    Raises ValueError where there is no such signature."""
    content = Message((directory / FILE).read_bytes())
    for graph in content.all(GRAPH):
        for entry in graph.all(SIGNATURE):
            if entry.text(KEY) == SERVING:
                signature = next(entry.all(VALUE))
                return _named(signature, INPUTS), _named(signature, OUTPUTS)
    raise ValueError(f"{directory / FILE}: has no signature {SERVING}")


def _named(signature: Message, side: int) -> dict[str, str]:
    return {each.text(KEY): next(each.all(VALUE)).text(KEY) for each in signature.all(side)}
