"""Protobuf messages as they lie in a file, field by field, without a library.

A library hides where a value lies, what comes twice and what it does not know.
"""

from collections.abc import Iterable, Iterator

Content = bytes | memoryview
WIDTHS = {1: 8, 5: 4}  # bytes of a fixed number, by wire type


class Message:
    """The bytes of a message, or of a field's value, from `start` to `end` of `content`.

    Raises ValueError where a field reaches beyond its message, and IndexError or KeyError where the
    bytes are no protobuf.
    """

    __slots__ = ("content", "end", "start")

    def __init__(self, content: Content, start: int = 0, end: int | None = None):
        self.content, self.start = content, start
        self.end = len(content) if end is None else end

    def __len__(self) -> int:
        return self.end - self.start

    def fields(self) -> Iterator[tuple[int, "Message"]]:
        """Gives number and value of each field, in the order of the file."""
        return ((tag >> 3, value) for tag, value in self.tagged())

    def tagged(self) -> Iterator[tuple[int, "Message"]]:
        """Gives tag and value of each field: number and wire type as one number."""
        content, at, end = self.content, self.start, self.end
        while at < end:
            tag, at = varint(content, at)
            first, kind = at, tag & 7
            if kind == 0:
                _, at = varint(content, at)
            elif kind == 2:
                length, first = varint(content, at)
                at = first + length
            else:
                at += WIDTHS[kind]
            if at > end:
                raise ValueError("a field reaches beyond what holds it; do not load it")
            yield tag, Message(content, first, at)

    def numbers(self) -> set[int]:
        """Returns the numbers of the fields that are there."""
        return {number for number, _ in self.fields()}

    def all(self, number: int) -> Iterator["Message"]:
        """Gives every value of one field."""
        return (value for each, value in self.fields() if each == number)

    def text(self, number: int) -> str:
        """Returns the last value, as protobuf reads it; "" where there is none."""
        return text_in(self.all(number))

    def integers(self, number: int) -> list[int]:
        """Returns signed integers of 64 bits, which stand one by one or packed."""
        return integers_in(self.all(number))

    def integer(self, number: int) -> int:
        """Returns the last value, as protobuf reads it; 0 where there is none."""
        return (self.integers(number) or [0])[-1]


def text_in(values: Iterable[Message]) -> str:
    """Returns the last of a field's values, as protobuf reads it; "" where there is none."""
    texts = [bytes(each.content[each.start : each.end]).decode() for each in values]
    return texts[-1] if texts else ""


def integers_in(values: Iterable[Message]) -> list[int]:
    """Returns a field's values as signed integers of 64 bits, one by one or packed."""
    integers = []
    for value in values:
        at = value.start
        while at < value.end:
            each, at = varint(value.content, at)
            integers.append(each - (1 << 64) if each >> 63 else each)
    return integers


def varint(content: Content, at: int) -> tuple[int, int]:
    """Returns the unsigned number that begins at `at`, and where it ends."""
    value = shift = 0
    while shift < 70:
        byte = content[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80 and not value >> 64:
            return value, at
    raise ValueError("a number of more than 64 bits; do not load it")
