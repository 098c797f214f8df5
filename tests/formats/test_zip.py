"""An archive has one reading or is refused."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.formats._zip import data_offset, lies_at, read_span, spans, stored_offsets
from pipeline.formats._zip_part import ZipPart

CONTENT = {"first": b"one", "folder/second": b"", "third": bytes(70_000)}


@pytest.fixture(params=[False, True], ids=["32 bits", "64 bits"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Written in one go, and as a stream of which no size is known ahead."""
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as file:
        for name, content in CONTENT.items():
            with file.open(name, "w", force_zip64=request.param) as member:
                member.write(content)
    return path


def test_each_member_lies_where_it_says(archive: Path) -> None:
    places = spans(archive)
    assert {name: read_span(archive, span) for name, span in places.items()} == CONTENT
    with zipfile.ZipFile(archive) as file:
        offsets = {info.filename: data_offset(file, info) for info in file.infolist()}
    assert offsets == {name: start for name, (start, _) in places.items()}
    assert sorted(stored_offsets(archive).values()) == sorted(offsets.values())


def test_a_part_has_the_members_that_are_kept(archive: Path) -> None:
    with ZipPart(archive, lambda name: name != "first") as part, zipfile.ZipFile(part) as file:
        assert {name: file.read(name) for name in file.namelist()} == {
            name: content for name, content in CONTENT.items() if name != "first"
        }
    with ZipPart(archive, lambda name: True) as part:
        assert zipfile.ZipFile(part).testzip() is None
        part.seek(-30, 2)
        assert len(part.read(100)) == 30 and part.read(1) == b""


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_a_part_has_the_bytes_of_changes_in_the_place_of_its_own(archive: Path, step: int) -> None:
    content, start = archive.read_bytes(), spans(archive)["first"][0]
    changes = {start: np.frombuffer(b"o", np.uint8), start + 1: np.frombuffer(b"NE", ">u2")}
    expected = content[:start] + b"oNE" + content[start + 3 :]
    with ZipPart(archive, lambda name: True, changes) as part:
        table = part._start
        found = b"".join(iter(lambda: part.read(step), b""))
        assert found[:table] == expected[:table] != content[:table]
        part.seek(start + 1)
        assert part.read(2) == b"NE"
    assert archive.read_bytes() == content


def test_bytes_lie_where_they_are_or_do_not(archive: Path) -> None:
    start, _ = spans(archive)["first"]
    assert lies_at(archive, start, b"one")
    assert not lies_at(archive, start, b"two") and not lies_at(archive, start + 1, b"one")
    assert not lies_at(archive, archive.stat().st_size, b"one")


def test_a_file_that_is_not_there_has_no_members(tmp_path: Path) -> None:
    assert stored_offsets(tmp_path / "nothing.zip") == {}


@pytest.mark.parametrize("field", ["size", "offset"])
def test_a_number_beyond_every_file_is_refused_like_any_other(field: str, tmp_path: Path) -> None:
    """Of 64 bits, where a place in a file takes 63."""
    path, flags, far = tmp_path / "archive.zip", 0x8, 0xFFFFFFFF
    numbers = {"size": (far, 0), "offset": (0, far)}[field]
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 45, flags, 0, 0, 0, 0, 0, 0, 1, 0) + b"a"
    wide = struct.pack("<2H", 1, 8 * (2 if field == "size" else 1))
    wide += struct.pack("<Q", (1 << 64) - 1) * (2 if field == "size" else 1)
    size, offset = numbers
    entry = struct.pack(
        "<4s6H3L5H2L",
        *(b"PK\1\2", 45, 45, flags, 0, 0, 0, 0, size, size),
        *(1, len(wide), 0, 0, 0, 0, offset),
    )
    table = entry + b"a" + wide
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(table), len(local), 0)
    path.write_bytes(local + table + end)
    with pytest.raises(ValueError, match=r"archive\.zip: malformed archive"):
        spans(path)
