"""What a process starts ends with it, and with nobody else."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.run import children
from testing.project import needs
from testing.sweeps import until

CHILD = """
import os, sys, time
from pipeline.run.children import ENDS_WITH, end_with_parent
end_with_parent()
assert ENDS_WITH not in os.environ
open(sys.argv[1], "w").write(str(os.getpid()))
time.sleep(600)
"""
PARENT = """
import sys
from pipeline.run.children import run_to_its_end
run_to_its_end([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""


def started(file: Path) -> subprocess.Popen[bytes]:
    """A process that runs one to its end, which writes its number to the file."""
    words = [sys.executable, "-c", PARENT, CHILD, str(file)]
    process = subprocess.Popen(words, preexec_fn=hears_the_terminal)
    until(lambda: file.exists() and file.read_text(), 60)
    return process


def hears_the_terminal() -> None:
    """Which who was started by `nohup` does not, as a suite may be."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_program_ends_with_the_process_that_runs_it_and_was_killed(tmp_path: Path) -> None:
    parent = started(tmp_path / "child")
    child = int((tmp_path / "child").read_text())
    parent.kill()
    parent.wait()
    until(lambda: not lives(child), 60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_one_process_alone_is_passed_on(tmp_path: Path, number: int) -> None:
    parent = started(tmp_path / "child")
    child = int((tmp_path / "child").read_text())
    parent.send_signal(number)
    parent.wait()
    assert not lives(child)


def test_a_program_whose_parent_is_gone_before_it_looks_ends_at_once(tmp_path: Path) -> None:
    environ = {**os.environ, children.ENDS_WITH: "1"}  # is not this process
    words = [sys.executable, "-c", CHILD, str(tmp_path / "child")]
    assert subprocess.run(words, env=environ).returncode == -signal.SIGTERM
    assert not (tmp_path / "child").exists()


@pytest.mark.parametrize("shell", ["bash", "sh"])
def test_the_commands_of_a_process_are_what_its_shells_run(shell: str) -> None:
    text = "import time; time.sleep(600)"
    process = subprocess.Popen([str(needs(shell)), "-c", f"{sys.executable} -c '{text}'; true"])
    until(lambda: not any(map(children.is_shell, children.commands_of(os.getpid()))), 60)
    there = []
    for each in children.commands_of(os.getpid()):
        with contextlib.suppress(OSError):  # another one of this process, which has ended
            if text.encode() in Path(f"/proc/{each}/cmdline").read_bytes():
                there.append(each)
    [command] = there
    assert command != process.pid
    children.end(process)
    assert not lives(command) and process.returncode == 0
