"""What an attack would leave behind, and the ways in which archives are forged."""

import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.formats.conftest import cases, exported

__all__ = ["cases", "exported"]

Members = dict[str, bytes]
IMPORTED = "planted_by_an_attack"


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def pickled(path: Path) -> bytes:
    return pickle.dumps(Touch(path), protocol=2)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """The harmless file that every attack tries to make."""
    return tmp_path / "mark"


@pytest.fixture
def planted(tmp_path: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module that makes the file when it is imported, lying where Python looks."""
    import sys

    folder = tmp_path / "planted"
    folder.mkdir()
    (folder / f"{IMPORTED}.py").write_text(f"open({str(mark)!r}, 'w').close()\nmade = dict\n")
    monkeypatch.syspath_prepend(str(folder))
    yield IMPORTED
    sys.modules.pop(IMPORTED, None)


def refused(form: ModuleType, directory: Path, mark: Path, named: str = "") -> str:
    """By `screen` and by whatever loads, in one line that names a file, and nothing happened."""
    said = []
    for reader in ("screen", "load", "load_training"):
        if hasattr(form, reader):
            with pytest.raises(ValueError, match=named) as raised:
                getattr(form, reader)(directory)
            said.append(str(raised.value))
    assert not mark.exists()
    for each in said:
        assert "\n" not in each
        assert str(directory) in each or form.FILE.partition("/")[0] in each
    return said[0]


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def members(path: Path) -> Members:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, content: Members, kind: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, each in content.items():
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), each, kind)


def edited(path: Path, change: Callable[[Members], Any]) -> None:
    content = members(path)
    change(content)
    packed(path, content)


def edited_json(path: Path, member: str, change: Callable[[Any], Any]) -> None:
    def edit(content: Members) -> None:
        name = next(each for each in content if each.endswith(member))
        value = json.loads(content[name])
        change(value)
        content[name] = json.dumps(value).encode()

    edited(path, edit)


def two_faced(path: Path, shown: Members, hidden: Members) -> None:
    """Python's zipfile finds the members `shown`, a reader that follows the locator the others."""

    def part(content: Members, at: int) -> tuple[bytes, bytes]:
        buffer = io.BytesIO(bytes(at))
        buffer.seek(at)
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, each in content.items():
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), each)
        whole = buffer.getvalue()
        size, start = struct.unpack("<2L", whole[-10:-2])
        return whole[at:start], whole[start : start + size]

    def record(content: Members, table: bytes, at: int) -> bytes:
        count = len(content)
        return struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(table), at)

    data, table = part(shown, 0)
    other, other_table = part(hidden, len(data))
    body = data + other + other_table
    aside = record(hidden, other_table, len(data + other))
    start = len(body + aside)
    last = record(shown, table, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(body), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(body + aside + table + last + locator + end)


FORGERIES: dict[str, Callable[[Path], None]] = {}


def forgery(make: Callable[[Path], None]) -> Callable[[Path], None]:
    FORGERIES[make.__name__.replace("_", " ")] = make
    return make


@forgery
def members_that_climb_out(path: Path) -> None:
    edited(path, lambda content: content.update({"../outside": b"x"}))


@forgery
def absolute_members(path: Path) -> None:
    edited(path, lambda content: content.update({"/tmp/outside": b"x"}))


@forgery
def members_with_backslashes(path: Path) -> None:
    edited(path, lambda content: content.update({"model\\..\\outside": b"x"}))


@forgery
def a_member_twice(path: Path) -> None:
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(archive.namelist()[0], b"x")


@forgery
def a_name_told_twice_and_differently(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[30] ^= 1  # of the first member, ahead of it but not in the table
    path.write_bytes(content)


@forgery
def a_checksum_told_twice_and_differently(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[14] ^= 1  # of the first member, as above
    path.write_bytes(content)


@forgery
def a_size_told_twice_and_differently(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[22] ^= 1
    path.write_bytes(content)


@forgery
def a_member_by_another_case(path: Path) -> None:
    """Which of the two a reader finds that does not look at the case is its own affair."""

    def change(content: Members) -> None:
        folder, _, name = max(content, key=lambda each: len(content[each])).rpartition("/")
        content[f"{folder}/{name.swapcase()}".removeprefix("/")] = b"x"

    edited(path, change)


@forgery
def a_name_of_two_lines(path: Path) -> None:
    edited(path, lambda content: content.update({"model\n": b"x"}))


@forgery
def a_compressed_member(path: Path) -> None:
    packed(path, members(path), zipfile.ZIP_DEFLATED)


@forgery
def a_bomb(path: Path) -> None:
    content = members(path)
    name = max(content, key=lambda each: len(content[each]))
    packed(path, content | {name: bytes(1 << 26)}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20


@forgery
def a_size_that_is_not_there(path: Path) -> None:
    content = bytearray(path.read_bytes())
    at = content.rfind(b"PK\1\2")
    content[at + 20 : at + 28] = struct.pack("<2L", 1 << 30, 1 << 30)
    path.write_bytes(content)


@forgery
def bytes_ahead_of_it(path: Path) -> None:
    path.write_bytes(bytes(64) + path.read_bytes())


@forgery
def bytes_behind_it(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(64))


@forgery
def a_second_table(path: Path) -> None:
    content = members(path)
    two_faced(path, content, content)


@forgery
def half_of_it(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@forgery
def nothing(path: Path) -> None:
    path.write_bytes(b"")
