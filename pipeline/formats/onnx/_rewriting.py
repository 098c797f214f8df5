"""An ONNX file is changed as protobuf, field by field, where a message of a library would hold all
of its weights, or write what nobody could find again."""

from collections.abc import Callable

from .._onnx_proto import Attribute, Graph, Model, Node, Tensor
from .._protobuf import Content, Message

LARGE = 1 << 20  # bytes
LENGTH, FIXED32 = 2, 5


def packed(content: bytes) -> bytes:
    """Returns a model's bytes with the floats of its attributes one behind the other, so that it
    can be said where they lie: onnx writes each with a tag of its own, and every reader of protobuf
    takes both."""
    path = (Model.GRAPH, Graph.NODE, Node.ATTRIBUTE)
    return _rewritten(Message(memoryview(content)), path, _with_packed_floats)


def _with_packed_floats(attribute: Message) -> bytes:
    written, floats = bytearray(), bytearray()
    for tag, value in attribute.tagged():
        if tag == Attribute.FLOATS << 3 | FIXED32:
            floats += _bytes(value)
        else:
            written += _field(tag, _bytes(value))
    return bytes(written + (_field(Attribute.FLOATS << 3 | LENGTH, floats) if floats else b""))


def without_large(content: Content) -> tuple[bytes, dict[str, tuple[int, int]]]:
    """Returns a model's bytes without the raw bytes of its large weights, and offset and size of
    these by the weight's name."""
    places: dict[str, tuple[int, int]] = {}

    def small(tensor: Message) -> bytes:
        written = bytearray()
        for tag, value in tensor.tagged():
            if tag == Tensor.RAW_DATA << 3 | LENGTH and len(value) >= LARGE:
                places[tensor.text(Tensor.NAME)] = (value.start, len(value))
            else:
                written += _field(tag, _bytes(value))
        return bytes(written)

    return _rewritten(Message(content), (Model.GRAPH, Graph.INITIALIZER), small), places


def _rewritten(message: Message, path: tuple[int, ...], leaf: Callable[[Message], bytes]) -> bytes:
    """Returns the message, in which those that the path leads to are what `leaf` makes of them."""
    if not path:
        return leaf(message)
    written = bytearray()
    for tag, value in message.tagged():
        on_path = tag == path[0] << 3 | LENGTH
        written += _field(tag, _rewritten(value, path[1:], leaf) if on_path else _bytes(value))
    return bytes(written)


def _bytes(value: Message) -> bytes:
    return bytes(value.content[value.start : value.end])


def _field(tag: int, content: bytes | bytearray) -> bytes:
    length = _varint(len(content)) if tag & 7 == LENGTH else b""
    return _varint(tag) + length + bytes(content)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number > 0x7F:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
