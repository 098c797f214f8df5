"""A reader of flatbuffers that holds every reference to the file's length."""

import struct
from collections.abc import Iterator

MOST_TABLES, MOST_DIMENSIONS = 1_000_000, 32


class Table:
    """A table of a flatbuffer; struct.error or ValueError for what does not lie in the file."""

    def __init__(self, content: bytes, at: int):
        self.content, self.at = content, at
        (back,) = struct.unpack_from("<i", content, at)
        self.fields = self._within(at - back)
        self.length = struct.unpack_from("<H", content, self.fields)[0]

    def _within(self, at: int) -> int:
        if not 0 <= at < len(self.content):
            raise ValueError(f"refers to byte {at} of {len(self.content)}")
        return at

    def _place(self, field: int) -> int:
        """Returns where a field's value lies; 0 where it has none."""
        entry = 4 + 2 * field
        if entry + 2 > self.length:
            return 0
        (offset,) = struct.unpack_from("<H", self.content, self.fields + entry)
        return self._within(self.at + offset) if offset else 0

    def has(self, field: int) -> bool:
        return self._place(field) > 0

    def present(self) -> set[int]:
        """Returns the numbers of the fields that it has."""
        count = max(0, self.length - 4) // 2
        offsets = struct.unpack_from(f"<{count}H", self.content, self.fields + 4)
        return {number for number, offset in enumerate(offsets) if offset}

    def inner(self, field: int) -> Iterator["Table"]:
        """Gives the table that a field refers to; none where there is no such field."""
        at = self._place(field)
        if at:
            yield Table(self.content, at + struct.unpack_from("<I", self.content, at)[0])

    def number(self, field: int, kind: str) -> int:
        """Returns a number of a kind that `struct` names; 0 where there is none."""
        at = self._place(field)
        return int(struct.unpack_from(f"<{kind}", self.content, at)[0]) if at else 0

    def vector(self, field: int, size: int = 4) -> tuple[int, int]:
        """Returns where its elements of `size` bytes start and how many there are."""
        at = self._place(field)
        if not at:
            return 0, 0
        at = self._within(at + struct.unpack_from("<I", self.content, at)[0])
        (count,) = struct.unpack_from("<I", self.content, at)
        if at + 4 + count * size > len(self.content):
            raise ValueError(f"a list of {count} does not lie in the file")
        return at + 4, count

    def count(self, field: int) -> int:
        return self.vector(field)[1]

    def shape(self, field: int, most: int = MOST_DIMENSIONS) -> list[int]:
        """Returns whole numbers of 32 bits; ValueError where they are more than `most`."""
        at, count = self.vector(field)
        if count > max(most, MOST_DIMENSIONS):
            raise ValueError(f"a shape of {count} dimensions, or as many inputs")
        return list(struct.unpack_from(f"<{count}i", self.content, at))

    def text(self, field: int, most: int | None = None) -> str:
        """Returns a string's first `most` bytes, or all of it."""
        at, count = self.vector(field, 1)
        return self.content[at : at + min(count, most or count)].decode(errors="replace")

    def tables(self, field: int) -> Iterator["Table"]:
        at, count = self.vector(field)
        if count > MOST_TABLES:
            raise ValueError(f"a list of {count} tables")
        for place in range(at, at + 4 * count, 4):
            (offset,) = struct.unpack_from("<I", self.content, place)
            yield Table(self.content, place + offset)


def root(content: bytes) -> Table:
    return Table(content, *struct.unpack_from("<I", content))
