"""Temporary files lie in memory where there is enough of it, and nowhere else by surprise."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from testing import in_memory

AMPLE = SimpleNamespace(f_bavail=in_memory.ENOUGH, f_frsize=1, f_flag=0)


def chosen(
    monkeypatch: pytest.MonkeyPatch, place: Path, given: dict[str, str] | None = None, **other: int
) -> str | None:
    there = SimpleNamespace(**{**vars(AMPLE), **other})
    monkeypatch.setattr("testing.in_memory.os.statvfs", lambda path: there)
    environ = given or {}
    in_memory.use(environ, place)
    return environ.get(in_memory.ROOT)


def test_ample_memory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / f"{in_memory.NAME}{os.getpid()}"
    assert chosen(monkeypatch, tmp_path) == str(own)
    assert own.is_dir() and own.stat().st_mode & 0o011 == 0o011


def test_what_a_run_that_is_no_more_has_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One whose process has the number of this one is no more, either."""
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True)
    numbers = (ended.stdout.strip(), str(os.getpid()), str(os.getppid()))
    for name in (*(f"{in_memory.NAME}{number}" for number in numbers), "another"):
        (tmp_path / name / "pytest-of-me").mkdir(parents=True)
    chosen(monkeypatch, tmp_path)
    there = {each.name: len(list(each.iterdir())) for each in tmp_path.iterdir()}
    running, own = (f"{in_memory.NAME}{number}" for number in (os.getppid(), os.getpid()))
    assert there == {running: 1, own: 0, "another": 1}


def test_too_little_of_it_one_that_runs_no_program_and_none_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(monkeypatch, tmp_path, f_bavail=in_memory.ENOUGH - 1) is None
    assert chosen(monkeypatch, tmp_path, f_flag=os.ST_NOEXEC) is None
    assert chosen(monkeypatch, tmp_path / "none") is None


def test_who_has_named_a_folder_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, tmp_path, {in_memory.ROOT: "/elsewhere"}) == "/elsewhere"
