"""The lists of what is let in are compared with what the installed libraries know."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts import known_names
from testing.project import ROOT

FORMATS = ROOT / "pipeline/formats"


@pytest.fixture
def lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two names that are let in, one that is not."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made/names.txt").write_text("# a remark\nAdd\nMul  # another\n")
    (tmp_path / "made/names_refused.txt").write_text("WriteFile\n")
    monkeypatch.setattr(known_names, "FORMATS", tmp_path)
    return tmp_path / "made"


def compare(monkeypatch: pytest.MonkeyPatch, *names: str) -> int:
    monkeypatch.setattr(known_names, "KNOWN", {"made/names": lambda: set(names)})
    return known_names.main(["--check"])


def test_the_installed_versions_know_nothing_that_nobody_decided_on() -> None:
    """In a process of its own: what else is imported registers operators, too."""
    command = [sys.executable, "-m", "scripts.known_names", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


@pytest.mark.parametrize("name", known_names.KNOWN)
def test_nothing_is_both_let_in_and_refused(name: str) -> None:
    allowed = known_names.listed(FORMATS / f"{name}.txt")
    assert not allowed & known_names.listed(FORMATS / f"{name}_refused.txt")


def test_what_a_newer_version_adds_is_shown_and_refused(
    lists: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(monkeypatch, "Add", "Mul", "WriteFile") == 0
    assert compare(monkeypatch, "Add", "Mul", "WriteFile", "NewOp") == 1
    assert capsys.readouterr().out == "+ made/names: NewOp\n"
    assert known_names.main([]) == 1
    assert (lists / "names_refused.txt").read_text() == "NewOp\nWriteFile\n"
    assert known_names.listed(lists / "names.txt") == {"Add", "Mul"}


def test_what_a_newer_version_lacks_is_shown(
    lists: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(monkeypatch, "Add") == 1
    assert capsys.readouterr().out == "- made/names: Mul\n- made/names: WriteFile\n"
