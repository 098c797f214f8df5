"""The sha256 of what lies at a path is that of its bytes now."""

import hashlib
import io
import tempfile
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import written
from pipeline.files import replacing
from pipeline.provenance import digests


def test_a_large_file_is_digested_anew_once_it_was_written(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(written.LARGE)
    before = digests.digest(large)
    assert digests.digest(large) == before
    with large.open("r+b") as file:
        file.seek(1000)
        file.write(b"\1")
    now = digests.digest(large)
    assert now != before
    assert now == hashlib.sha256(large.read_bytes()).hexdigest()


def test_notes_are_no_part_of_a_folder_but_the_dvc_file_of_what_is_not_here_is(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    (tmp_path / "big").mkdir()
    (tmp_path / "big/part.csv").write_text("a\n2\n")
    whole = digests.digest(tmp_path)
    for name in ("big.dvc", "a.csv.dvc", "note.md", ".gitignore"):
        (tmp_path / name).write_text("outs: []\n")
    assert digests.digest(tmp_path) == whole
    (tmp_path / "big/part.csv").unlink()
    (tmp_path / "big").rmdir()
    assert list(digests.contents(tmp_path)) == ["a.csv", "big.dvc"]
    before = digests.digest(tmp_path)
    (tmp_path / "big.dvc").write_text("outs: [other]\n")
    assert digests.digest(tmp_path) != before


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Returns the names of files that are read to be digested; none is too small to be known."""
    monkeypatch.setattr(written, "LARGE", 1)
    names: list[str] = []

    def read(file: IO[bytes]) -> written.Digests:
        names.append(Path(file.name).name)
        return read_large(file)

    read_large = written._read_large
    monkeypatch.setattr(written, "_read_large", read)
    return names


def test_what_is_written_is_digested_meanwhile(tmp_path: Path, readings: list[str]) -> None:
    content = bytes(range(256)) * 1000
    with replacing(tmp_path / "file") as partial, partial.open("wb") as file:
        file.write(content[:10])
        file.write(memoryview(content)[10:])
    written.link(tmp_path / "file", tmp_path / "link")
    sha256 = hashlib.sha256(content).hexdigest()
    assert written.copy(tmp_path / "link", tmp_path / "copy") == sha256
    written.link(tmp_path / "file", tmp_path / "gone")
    written.unlink(tmp_path / "gone", tmp_path / "file")
    for name in ("file", "link", "copy"):
        assert digests.digest(tmp_path / name) == sha256
    assert not readings
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    every = {tmp_path / name: md5 for name in ("file", "link", "copy")}
    assert written.known_md5(tmp_path) == every
    (tmp_path / "copy").write_bytes(b"other")
    del every[tmp_path / "copy"]
    assert written.known_md5(tmp_path) == every


@given(parts=st.lists(st.binary(max_size=200), max_size=8), buffer=st.sampled_from([7, 64, 4096]))
def test_digests_are_those_of_the_bytes_however_they_come(parts: list[bytes], buffer: int) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        for name, value in {"LARGE": 0, "CHUNK": buffer, "AT_ONCE": 50}.items():
            patch.setattr(written, name, value)
        path = written.WrittenPath(folder) / "file"
        with path.open("wb") as file:
            for part in parts:
                file.write(part)
                file.flush()
        content = b"".join(parts)
        assert path.read_bytes() == content
        names = [hashlib.new(name, content).hexdigest() for name in ("sha256", "md5")]
        with path.open("rb") as file:
            expected = written.Digests(*names)
            assert written._known(path.stat()) == expected == written._read_large(file)
        copy = path.with_name("copy")
        assert written.copy(path, copy) == expected.sha256
        assert written._known(copy.stat()) == expected
        assert copy.read_bytes() == content


def test_what_the_disk_took_a_part_of_is_read(tmp_path: Path, readings: list[str]) -> None:
    class Short(io.FileIO):
        def write(self, data: Any, /) -> int:
            return super().write(data[:3])

    path = tmp_path / "file"
    with io.BufferedWriter(written._Digesting(Short(path, "w"))) as file:
        file.write(b"content" * 5000)
    assert path.read_bytes() == b"content" * 5000
    assert digests.digest(path) == hashlib.sha256(b"content" * 5000).hexdigest()
    assert readings == ["file"]


def test_what_is_written_twice_is_read(tmp_path: Path, readings: list[str]) -> None:
    path = written.WrittenPath(tmp_path / "file")
    with path.open("wb") as file:
        file.write(b"first")
        file.seek(0)
        file.write(b"again")
    assert digests.digest(path) == hashlib.sha256(b"again").hexdigest()
    assert readings == ["file"]
    with (tmp_path / "file").open("ab") as file:
        file.write(b"!")
    assert digests.digest(path) == hashlib.sha256(b"again!").hexdigest()


def test_a_second_name_is_a_copy_where_there_are_no_links(
    tmp_path: Path, readings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("os.link", refuse)
    (tmp_path / "file").write_bytes(b"content")
    written.link(tmp_path / "file", tmp_path / "copy")
    assert not (tmp_path / "copy").samefile(tmp_path / "file")
    assert digests.digest(tmp_path / "copy") == hashlib.sha256(b"content").hexdigest()
    assert not readings
