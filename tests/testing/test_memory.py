"""Temporary files lie in memory where there is enough of it, and nowhere else by surprise."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from testing import memory

AMPLE = SimpleNamespace(f_bavail=memory.ENOUGH, f_frsize=1, f_flag=0)


def chosen(
    monkeypatch: pytest.MonkeyPatch, place: Path, given: dict[str, str] | None = None, **other: int
) -> str | None:
    there = SimpleNamespace(**{**vars(AMPLE), **other})
    monkeypatch.setattr("testing.memory.os.statvfs", lambda path: there)
    environ = given or {}
    memory.use(environ, place)
    return environ.get(memory.ROOT)


def test_ample_memory_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, tmp_path) == str(tmp_path)


def test_too_little_of_it_one_that_runs_no_program_and_none_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen(monkeypatch, tmp_path, f_bavail=memory.ENOUGH - 1) is None
    assert chosen(monkeypatch, tmp_path, f_flag=os.ST_NOEXEC) is None
    assert chosen(monkeypatch, tmp_path / "none") is None


def test_who_has_named_a_folder_keeps_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(monkeypatch, tmp_path, {memory.ROOT: "/elsewhere"}) == "/elsewhere"
