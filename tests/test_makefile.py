"""The Makefile makes the environment with whatever Python there is that the lock is for."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from testing.project import ROOT

MAKE = shutil.which("make")
VENV = "-m venv --clear .venv"


def interpreter(folder: Path, name: str, version: str | None) -> Path:
    """A command that says it is of that version and notes its arguments, or one that fails."""
    path = folder / name
    lines = ["#!/bin/sh", f'case "$1" in -c) echo {version} ;; *) echo "$@" > ran; exit 3 ;; esac']
    path.write_text("\n".join(lines if version else ["#!/bin/sh", "exit 127", ""]))
    path.chmod(0o755)
    return path


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """In a copy without an environment, where nothing but `folder` is on the path."""
    here = folder.parent / "project"
    here.mkdir()
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, here)
    environ = {k: v for k, v in os.environ.items() if not k.startswith("MAKE")}
    return subprocess.run(
        [str(MAKE), *arguments],
        cwd=here,
        env=environ | {"PATH": str(folder)},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin"


@pytest.mark.parametrize(
    ("versions", "chosen"),
    [
        ({"python3.11": "3.11", "python3.12": "3.12"}, "python3.11"),
        ({"python3.12": "3.12", "python3": "3.12"}, "python3.12"),
        ({"python3.13": "3.13"}, "python3.13"),
        ({"python3": "3.12"}, "python3"),
        ({"python3.11": None, "python3.12": None, "python3.13": "3.13"}, "python3.13"),
        ({"python3": "3.9", "python3.12": "3.12"}, "python3.12"),
    ],
    ids=["both", "only 3.12", "only 3.13", "only python3", "shims of none", "an old python3"],
)
def test_the_first_that_the_lock_is_for_makes_the_environment(
    folder: Path, versions: dict[str, str | None], chosen: str
) -> None:
    for name, version in versions.items():
        interpreter(folder, name, version)
    done = make(folder, "test")
    assert done.returncode != 0 and "Error 3" in done.stderr  # it is no Python
    assert (folder.parent / "project/ran").read_text().strip() == VENV
    assert str(folder / chosen) in make_python(folder)


def make_python(folder: Path) -> str:
    shutil.rmtree(folder.parent / "project")
    return make(folder, "python").stdout


@pytest.mark.parametrize(
    ("versions", "met"),
    [
        ({}, "nothing"),
        ({"python3": "3.9"}, "python3 is Python 3.9"),
        ({"python3.11": None, "python3": "3.14"}, "python3 is Python 3.14"),
    ],
)
def test_without_one_a_line_says_what_was_found(
    folder: Path, versions: dict[str, str | None], met: str
) -> None:
    for name, version in versions.items():
        interpreter(folder, name, version)
    done = make(folder, "test")
    line, _ = done.stderr.splitlines()  # the other is make's own
    assert done.returncode == 2
    assert line == (
        f"error: make: found {met} among python3.11 python3.12 python3.13 python3, expected Python "
        "3.11, 3.12 or 3.13; install one, or name it: make PYTHON=/path/to/python3"
    )


def test_one_that_is_named_is_taken(folder: Path) -> None:
    interpreter(folder, "python3.11", "3.11")
    assert make(folder, "python", f"PYTHON={sys.executable}").stdout.strip() == sys.executable
