"""Files are written whole or not at all, and the system's errors are one line."""

import errno
import os
from pathlib import Path

import pytest

from pipeline.errors import NotWritten, ParamsError
from pipeline.files import (
    replacing,
    temporary_folder,
    translate_os_errors,
    write_atomically,
)


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="disk"), replacing(path) as partial:
        partial.write_text("half")
        raise OSError("no space on disk")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_written_as_text_or_bytes_and_nothing_else_is_left(tmp_path):
    write_atomically(tmp_path / "text", "é")
    write_atomically(tmp_path / "bytes", b"\xe9")
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert contents == {"text": "é".encode(), "bytes": b"\xe9"}


def test_a_full_disk_is_one_line_that_says_where_and_what_to_do(tmp_path):
    fault = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(NotWritten) as told, translate_os_errors(tmp_path / "output"):
        raise fault
    assert str(told.value).startswith(f"{tmp_path / 'output'}: no space left: ")
    assert str(told.value).endswith("what was finished before is intact")
    assert told.value.__cause__ is fault


def test_a_full_disk_is_known_by_a_frameworks_words_and_by_what_caused_its_error(tmp_path):
    with pytest.raises(NotWritten, match="no space left"), translate_os_errors(tmp_path):
        raise RuntimeError("database or disk is full")
    with pytest.raises(NotWritten, match="no space left"), translate_os_errors(tmp_path):
        try:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        except OSError as fault:
            raise RuntimeError("cannot save") from fault


def test_a_missing_permission_names_the_file(tmp_path):
    with pytest.raises(NotWritten) as told, translate_os_errors(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied", "/there/file")
    assert str(told.value).startswith("/there/file: Permission denied; change its permissions")


@pytest.mark.parametrize("fault", [ParamsError("train.lr: wrong"), ValueError("other")])
def test_any_other_error_stays_what_it_is(tmp_path, fault):
    with pytest.raises(type(fault)) as raised, translate_os_errors(tmp_path):
        raise fault
    assert raised.value is fault


def test_folders_nested_beyond_any_path_are_removed(tmp_path: Path) -> None:
    """A confined process can make them one by one, where it stands."""
    with temporary_folder() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            for _ in range(2500):
                Path("a").mkdir()
                os.chdir("a")
            Path("file").touch()
        finally:
            os.chdir(before)
        (folder / "link").symlink_to(tmp_path)
        (folder / "closed").mkdir(mode=0o000)
        (tmp_path / "kept").touch()
    assert not folder.exists() and (tmp_path / "kept").exists()
