"""A zip archive is read here so that every other reader must find the same members in it.

Python's zipfile and torch's reader look for a table of 64 bits in different places, so that one
archive could show a harmless face to the one and another to the other. Records and their fields
are named as in PKWARE's APPNOTE.TXT.
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

Span = tuple[int, int]
"""Offset in the file, and size in bytes."""

TABLE_LIMIT = 1 << 24
FARTHEST = 1 << 43  # bytes; a seek takes at most 63 bits
WIDE, WIDE_COUNT = 0xFFFFFFFF, 0xFFFF
"""They stand where a number does not fit into 32 or 16 bits."""
SIZES_FOLLOW, UTF8 = 0x8, 0x800
WIDE_FIELD = 1
_END, _END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
_LOCATOR = struct.Struct("<4sLQL")
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")


class _Entry(NamedTuple):
    """What the table says of a member."""

    name: bytes
    flags: int
    method: int
    crc: int
    size: int
    offset: int


def spans(path: Path) -> dict[str, Span]:
    """Returns where each member's data lies, by name.

    Raises ValueError unless every reader must find the same ones: stored one behind the other from
    the first byte on, then the table, described once, and nothing else.
    """
    try:
        with path.open("rb") as file:
            start, size, count = _table(file, path.stat().st_size)
            file.seek(start)
            entries = list(_entries(file, file.read(size), count, start))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: malformed archive ({error}); do not load it") from error
    if len({name.lower() for name, _ in entries}) < len(entries):
        raise ValueError(
            f"{path}: malformed archive, expected each member once, in whichever case its name is "
            "written; do not load it"
        )
    for name, _ in entries:
        if "\\" in name or not name.isprintable():
            raise ValueError(
                f"{path}: malformed archive: readers take the name {name[:100]!r} differently; "
                "do not load it"
            )
    return dict(entries)


def first_member(path: Path) -> list[str]:
    """Returns the name of the first member alone, which a file that is cut off still has; none of
    what does not begin as an archive does."""
    with path.open("rb") as file:
        header = file.read(_LOCAL.size)
        if len(header) < _LOCAL.size or header[:4] != b"PK\3\4":
            return []
        *_, length, _ = _LOCAL.unpack(header)
        return [file.read(length).decode(errors="replace")]


def read_span(path: Path, span: Span) -> bytes:
    """Returns the bytes of one of `spans`."""
    start, size = span
    with path.open("rb") as file:
        file.seek(start)
        return file.read(size)


def lies_at(path: Path, offset: int, data: bytes) -> bool:
    """Returns whether exactly these bytes stand there."""
    return read_span(path, (offset, len(data))) == data


def data_offset(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Returns where a member's data begins in an archive of our own: behind its local header, and
    behind name and padding of the lengths that the header gives."""
    assert archive.fp is not None
    archive.fp.seek(info.header_offset)
    *_, name, extra = _LOCAL.unpack(archive.fp.read(_LOCAL.size))
    return info.header_offset + _LOCAL.size + int(name) + int(extra)


def stored_offsets(path: Path) -> dict[tuple[int, int], int]:
    """Returns where the data of each stored member of an archive of our own begins, by its size and
    crc32; the first of several that are the same, and none where there is no such file."""
    if not path.is_file():
        return {}
    offsets: dict[tuple[int, int], int] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.compress_type == zipfile.ZIP_STORED:
                offsets.setdefault((info.file_size, info.CRC), data_offset(archive, info))
    return offsets


def _table(file: IO[bytes], total: int) -> tuple[int, int, int]:
    """Returns where the table starts, its size and its number of entries, as the file's end says.

    Raises struct.error where that, read with 32 or with 64 bits, is not one and the same table.
    """
    file.seek(max(0, total - _END.size - _LOCATOR.size - _END64.size))
    tail = file.read()
    mark, disk, first, here, count, size, start, comment = _END.unpack(tail[-_END.size :])
    valid = mark == b"PK\5\6" and not (disk or first or comment) and here == count
    behind = total - _END.size
    if tail[-_END.size - _LOCATOR.size :][:4] == b"PK\6\7":
        behind -= _LOCATOR.size + _END64.size
        locator = _LOCATOR.unpack(tail[-_END.size - _LOCATOR.size : -_END.size])
        narrow, limits = (count, size, start), (WIDE_COUNT, WIDE, WIDE)
        mark, length, _, _, disk, first, here, *wide = _END64.unpack(tail[: _END64.size])
        count, size, start = wide
        valid &= locator == (b"PK\6\7", 0, behind, 1)
        valid &= (mark, length, disk, first, here) == (b"PK\6\6", _END64.size - 12, 0, 0, count)
        for short, long, limit in zip(narrow, wide, limits, strict=True):
            valid &= short in (long, limit)
    if not valid or start + size != behind or size > TABLE_LIMIT:
        raise struct.error("its table is not where its end says, or too large")
    return start, size, count


def _entries(file: IO[bytes], table: bytes, count: int, end: int) -> Iterator[tuple[str, Span]]:
    """Yields each member's name and span; raises struct.error for a gap between two of them."""
    at = behind = 0
    for _ in range(count):
        entry, at = _entry(table, at)
        start = _data_start(file, entry, behind)
        behind = start + entry.size
        if entry.flags & SIZES_FOLLOW:
            _seek(file, behind)
            behind += _descriptor_length(file.read(24), entry)
        name = entry.name.decode("utf-8" if entry.flags & UTF8 else "ascii")
        yield name, (start, entry.size)
    if at != len(table) or behind != end:
        raise struct.error("something lies between its members")


def _entry(table: bytes, at: int) -> tuple[_Entry, int]:
    """Returns what the table says of a member, and where its next entry begins."""
    mark, _, _, flags, method, _, _, crc, *rest = _ENTRY.unpack_from(table, at)
    packed, size, length, extra, comment, disk, _, _, offset = rest
    at += _ENTRY.size
    name, fields = table[at : at + length], table[at + length : at + length + extra]
    size, packed, offset = _widened(fields, [size, packed, offset])
    known = mark == b"PK\1\2" and not (comment or disk or flags & ~(SIZES_FOLLOW | UTF8))
    if not known or method or packed != size:
        raise _mismatch(name)
    return _Entry(name, flags, method, crc, size, offset), at + length + extra


def _data_start(file: IO[bytes], entry: _Entry, behind: int) -> int:
    """Returns where its data begins; raises struct.error unless its header lies at `behind` and
    says the same as the table."""
    _seek(file, entry.offset)
    mark, _, flags, method, _, _, *numbers, length, extra = _LOCAL.unpack(file.read(_LOCAL.size))
    header = mark, flags, method, file.read(length)
    expected = b"PK\3\4", entry.flags, entry.method, entry.name
    stated = numbers if flags & SIZES_FOLLOW else _stated_sizes(numbers, file.read(extra))
    if header != expected or entry.offset != behind or not _agrees(stated, entry):
        raise _mismatch(entry.name)
    return entry.offset + _LOCAL.size + int(length) + int(extra)


def _stated_sizes(numbers: list[int], fields: bytes) -> list[int]:
    """Returns checksum and sizes as a member's header has them: what 32 bits do not hold stands
    in the first of its fields."""
    crc, packed, size = numbers
    if WIDE not in (packed, size):
        return numbers
    kind, length, *wide = struct.unpack_from("<HH2Q", fields)
    if (kind, length) != (WIDE_FIELD, 16) or (packed, size) != (WIDE, WIDE):
        raise struct.error("a header has fields that readers take differently")
    return [crc, wide[1], wide[0]]


def _agrees(numbers: list[int], entry: _Entry) -> bool:
    """Returns whether a member's header tells the same checksum and sizes as the table, or leaves
    them to the record behind its data."""
    same = [entry.crc, entry.size, entry.size]
    return numbers == same or (bool(entry.flags & SIZES_FOLLOW) and numbers == [0, 0, 0])


def _seek(file: IO[bytes], offset: int) -> None:
    """Moves behind the end of any file for an offset that no file can have."""
    file.seek(min(offset, FARTHEST))


def _mismatch(name: bytes) -> struct.error:
    readable = name.decode(errors="replace")
    return struct.error(f"member {readable!r} is compressed or told of differently")


def _widened(fields: bytes, values: list[int]) -> list[int]:
    """Returns the values with those in place that 32 bits do not hold: they stand in a field of
    their own, and struct.error is raised for any other."""
    wide = values.count(WIDE)
    if not wide and not fields:
        return values
    kind, size, *numbers = struct.unpack(f"<HH{wide}Q", fields)
    if (kind, size) != (WIDE_FIELD, 8 * wide):
        raise struct.error("its table has fields that readers take differently")
    return [numbers.pop(0) if each == WIDE else each for each in values]


def _descriptor_length(rest: bytes, entry: _Entry) -> int:
    """Returns how long the record behind a member is that repeats its size."""
    if rest == struct.pack("<4sL2Q", b"PK\7\x08", entry.crc, entry.size, entry.size):
        return 24
    if entry.size < WIDE:
        narrow = struct.pack("<4s3L", b"PK\7\x08", entry.crc, entry.size, entry.size)
        if rest[: len(narrow)] == narrow:
            return len(narrow)
    raise struct.error("a member's size is told twice and differently")
