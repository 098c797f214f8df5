"""TensorBoard's event files, read without it: records of a protobuf each, of which the scalars
count."""

import struct
from collections.abc import Iterator
from pathlib import Path

from ._files import below
from .contract import Value

TITLE = "TensorBoard log"
ORDER = 3
PARTS = ("train", "training", "val", "valid", "validation", "eval", "test")
"""Folders by which Keras' callback parts what is trained on from what is validated on."""
LARGEST = 1 << 20
"""Bytes of an event that holds scalars."""
FLOAT, DOUBLE = 1, 2
WIDTHS = {1: 8, 5: 4}
"""Bytes of a fixed number, by its wire type."""


def files(folder: Path) -> list[Path]:
    return below(folder, "events.out.tfevents.*")


def read(path: Path) -> Iterator[Value]:
    """Yields the values. A tag is a column; one of Keras' callback has its folder before it. A last
    record that was not written whole is passed over. Raises ValueError for bytes that are no
    records."""
    within = path.parent.name if path.parent.name.lower() in PARTS else ""
    for event in _records(path):
        fields = list(_fields(event))
        step = next((float(_signed(value)) for number, value in fields if number == 2), 0.0)
        for summary in (value for number, value in fields if number == 5):
            for entry in (each for number, each in _fields(_bytes(summary)) if number == 1):
                tag, scalar = _scalar(_bytes(entry))
                if scalar is not None:
                    yield Value(f"{within}/{tag}" if within else tag, scalar, None, step)


def _records(path: Path) -> Iterator[bytes]:
    """Yields the records; each is its length (8 bytes), a checksum, its bytes, and another
    checksum."""
    with path.open("rb") as file:
        while len(head := file.read(12)) == 12:
            length = struct.unpack("<Q", head[:8])[0]
            if length > LARGEST:
                if file.tell() + length > path.stat().st_size:
                    raise ValueError("a record reaches beyond its end")
                file.seek(length + 4, 1)
                continue
            record = file.read(length)
            if len(record) < length or len(file.read(4)) < 4:
                return
            yield record


def _scalar(entry: bytes) -> tuple[str, float | None]:
    """Returns tag and value: a plain number, or a tensor of one, as TensorFlow writes it."""
    tag, value = "", None
    for number, each in _fields(entry):
        if number == 1:
            tag = _bytes(each).decode(errors="replace")
        elif number == 2 and isinstance(each, bytes):
            value = struct.unpack("<f", each)[0]
        elif number == 8:
            value = _of_tensor(_bytes(each))
    return tag, value


def _of_tensor(tensor: bytes) -> float | None:
    """Returns the number in a tensor's message: float_val stands in field 5, double_val in 6, raw
    bytes in 4."""
    fields = dict(_fields(tensor))
    kind = fields.get(1)
    if kind not in (FLOAT, DOUBLE) or _size(tensor) != 1:
        return None
    form, own = ("<f", 5) if kind == FLOAT else ("<d", 6)
    content = fields.get(own) or fields.get(4)
    if not isinstance(content, bytes) or len(content) != struct.calcsize(form):
        return None
    return float(struct.unpack(form, content)[0])


def _size(tensor: bytes) -> int:
    """Returns how many numbers it has, from its shape in field 2."""
    size = 1
    for shape in (each for number, each in _fields(tensor) if number == 2):
        for dim in (each for number, each in _fields(_bytes(shape)) if number == 2):
            size *= next((_signed(value) for number, value in _fields(_bytes(dim))), 0)
    return size


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Gives number and value of each field: a whole number, or bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, at = _varint(message, at)
        elif kind in WIDTHS:
            length = WIDTHS[kind]
        else:
            raise ValueError("its records are no events")
        if at + length > len(message):
            raise ValueError("its records are no events")
        yield tag >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 70:
        value |= (message[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not message[at - 1] & 0x80:
            return value, at
    raise ValueError("its records are no events")


def _signed(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("its records are no events")
    return value - (1 << 64) if value >= 1 << 63 else value


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("its records are no events")
    return value
