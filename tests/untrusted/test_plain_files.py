"""What an artifact from elsewhere calls its things can neither steer a terminal nor be markup."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.tracking.description import _code
from testing import preloaded
from testing.project import ROOT

HOSTILE = "\x1b[2J\x1b]0;mine\x07<script>alert(1)</script>\u202e`|\x9b31m\r"


def test_in_markdown_it_stays_code() -> None:
    shown = _code(HOSTILE)
    assert shown[1:-1].isprintable() and not {"`", "|"} & set(shown[1:-1])


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two complete models, as far as statements go, whose maker gave things such names."""
    made = []
    for name in ("a", "b"):
        directory = tmp_path_factory.mktemp("foreign") / name
        directory.mkdir()
        (directory / "formats.json").write_text(json.dumps({"held": [HOSTILE], "trains": []}))
        (directory / f"{name}\x1b[31m.txt").write_text(name)
        (directory / "model.pt2").write_bytes(b"PK\x03\x04 no archive" + name.encode())
        code = {"name": "git", "digest": {"gitCommit": None}}
        params = {"model": {"name": HOSTILE, HOSTILE: name}}
        stage = provenance.build_definition("export-complete", params, [], code)
        provenance.write(directory, stage)
        made.append(directory)
    return made


@pytest.mark.parametrize("options", [(), ("--json",)])
@pytest.mark.parametrize("tool", ["trace", "diff", "reproduce"])
def test_no_command_lets_it_reach_the_terminal(
    foreign: list[Path], tool: str, options: tuple[str, ...]
) -> None:
    named = foreign if tool == "diff" else foreign[:1]
    command = [preloaded.python(), "-m", f"pipeline.{tool}", *map(str, named), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    assert "x1b[" in said or "u001b[" in said or tool == "reproduce"
    assert all(c.isprintable() or c in "\n\t" for c in said)


def test_weights_that_cannot_be_read_are_told(foreign: list[Path]) -> None:
    command = [sys.executable, "-m", "pipeline.diff", *map(str, foreign)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "model.pt2 of A cannot be read: " in done.stdout


def test_a_page_holds_no_markup_of_it(foreign: list[Path], tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    command = [preloaded.python(), "-m", "pipeline.diff", *map(str, foreign), "--html", str(page)]
    subprocess.run(command, cwd=ROOT, capture_output=True)
    assert "<script>alert" not in page.read_text()
    assert "&lt;script&gt;alert" in page.read_text()
