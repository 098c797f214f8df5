"""Which fields of TensorFlow's messages a graph may have, and which of their values are listed.

fields.txt names the fields, values.txt the values of those in which a text decides what is run:
devices, kinds of objects, collections, tags. What TensorFlow does with another field is not known
here, so it is refused.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .._lists import by_first_word, listed

HERE = Path(__file__).parent
FIELDS = listed(HERE / "fields.txt")
VALUES = by_first_word(HERE / "values.txt")
ELSEWHERE = {"tensorflow.AttrValue"}
"""Messages that _screen_nodes looks at, by the names of the attributes that hold them."""
PLAIN = {"tensorflow.OpList", "tensorflow.TensorShapeProto", "tensorflow.FullTypeDef"}
"""Messages that hold numbers and names of types, which nobody looks up."""
OPAQUE = ELSEWHERE | PLAIN
Reader = Callable[[Any], Iterable[Any]]


def check_messages(content: Any, folder: Path) -> None:
    """Raises ValueError for a field, or a listed field's value, that is not let in."""
    size = content.ByteSize()
    content.DiscardUnknownFields()
    if content.ByteSize() != size:
        raise ValueError(f"{folder}: holds fields that TensorFlow's messages lack; do not load it")
    readers: dict[str, Reader | None] = {}
    queue = [content]
    while queue:
        for field, value in queue.pop().ListFields():
            name = field.full_name
            if name not in readers:
                readers[name] = _reader(field, folder)
            if name in VALUES:
                _check_values(field, value, folder)
            reader = readers[name]
            if reader:
                queue += reader(value)


def _reader(field: Any, folder: Path) -> Reader | None:
    """Returns what gives the messages within a field's value, None where none is to be looked at;
    ValueError where the field is not let in."""
    if field.full_name not in FIELDS:
        raise ValueError(
            f"{folder}: has {field.full_name}, which nothing that is written here has; do not load "
            "it"
        )
    kind = field.message_type
    is_map = kind is not None and kind.GetOptions().map_entry
    inner = kind.fields_by_name["value"].message_type if is_map else kind
    if inner is None or inner.full_name in OPAQUE:
        return None
    if is_map:
        return lambda value: value.values()
    return (lambda value: value) if field.is_repeated else (lambda value: (value,))


def _check_values(field: Any, value: Any, folder: Path) -> None:
    """Holds a field to its list: a text or number, each of several, or the keys of a map."""
    for each in value if field.is_repeated else (value,):
        if str(each) not in VALUES[field.full_name]:
            raise ValueError(
                f"{folder}: {field.full_name} is {str(each)[:200]!r}, expected one of "
                f"{sorted(VALUES[field.full_name])[:9]}; do not load it"
            )
