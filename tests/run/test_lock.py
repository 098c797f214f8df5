"""An output has one writer at a time, and who begins waits for what a killed process has begun."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import IncompleteArtifact
from pipeline.run import children
from pipeline.run.lock import exclusive_writer, take_turn
from testing.project import ROOT
from testing.sweeps import until


def test_a_second_writer_is_refused_until_the_first_is_done(tmp_path: Path) -> None:
    output = tmp_path / "artifacts/data"
    with exclusive_writer(output):
        refusal = f"process {os.getpid()} is writing it"
        with pytest.raises(IncompleteArtifact, match=refusal), exclusive_writer(output):
            pass
    with exclusive_writer(output):
        pass


BEGINS = """
import sys
from pipeline.run import children, lock
sleeps = "open(__import__('sys').argv[1], 'w').write('1'); __import__('time').sleep(600)"
children.run_to_its_end([sys.executable, "-c", sleeps, "begun"], files=lock.take_turn())
"""
"""As `python -m pipeline`, whose DVC is ending when it is gone."""
WRITES = """
import sys
from pathlib import Path
from pipeline.run import children, lock
sleeps = "open(__import__('sys').argv[1], 'w').write('1'); __import__('time').sleep(600)"
with lock.exclusive_writer(Path("output")):
    children.run_to_its_end([sys.executable, "-c", sleeps, "begun"], files=lock.held())
"""
"""As `train`, whose command is ending when it is gone."""
WRITES_ON = """
from pathlib import Path
from pipeline.run import lock
with lock.exclusive_writer(Path("output")):
    print('its turn')
"""
TAKES = "from pipeline.run import lock; assert lock.take_turn(); print('its turn')"


def begun(place: Path, text: str = BEGINS) -> tuple[subprocess.Popen[bytes], int]:
    """A process that has the turn, and what it runs."""
    (place / ".dvc").mkdir()
    process = subprocess.Popen([sys.executable, "-c", text], cwd=place, env=with_ours())
    until(lambda: (place / "begun").exists(), 60)
    [child] = children.commands_of(process.pid)
    return process, child


def with_ours() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(("text", "then"), [(BEGINS, TAKES), (WRITES, WRITES_ON)])
def test_what_a_killed_process_has_begun_is_waited_for(
    tmp_path: Path, text: str, then: str
) -> None:
    process, child = begun(tmp_path, text)
    process.kill()
    process.wait()
    words = [sys.executable, "-uc", then]
    second = subprocess.Popen(
        words, cwd=tmp_path, env=with_ours(), stdout=subprocess.PIPE, text=True
    )
    assert second.stdout
    waits = f"process {process.pid} is gone; waiting for the end of what it has begun\n"
    assert second.stdout.readline() == waits
    os.kill(child, signal.SIGKILL)
    assert second.communicate()[0] == "its turn\n"


def test_who_is_there_is_not_waited_for(tmp_path: Path) -> None:
    process, _ = begun(tmp_path)
    words = [sys.executable, "-c", TAKES]
    said = subprocess.run(words, cwd=tmp_path, env=with_ours(), capture_output=True, text=True)
    assert said.stdout == "its turn\n"
    process.terminate()
    process.wait()


def test_there_is_no_turn_without_dvc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert take_turn() == [] and not list(tmp_path.iterdir())
