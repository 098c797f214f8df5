"""What `reproduce` runs ends before it does, confined or not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.sandbox import launcher
from testing.project import ROOT
from testing.sweeps import until

RUNS = """
import sys
from pathlib import Path
from pipeline.reproduce.code import Ground, Repository
from pipeline.reproduce.confined import Runner
from pipeline.run import signals
place, confined, text = Path(sys.argv[1]), sys.argv[2] == "confined", sys.argv[3]
ground = Ground(scratch=place / "scratch", source=Repository(top=place, prefix=""))
ground.clone.mkdir(parents=True)
signals.install()
try:
    Runner(ground=ground, confined=confined).run(["/bin/sh", "-c", text], ground.clone)
except signals.Interrupted as end:
    sys.exit(128 + end.number)
"""
STAGE = """
import os, signal, sys, time
def end(*_):
    open("ended", "w").close()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
open("begun", "w").write(str(os.getpid()))
time.sleep(600)
"""


def started(place: Path, how: str) -> tuple[subprocess.Popen[bytes], int]:
    """A process that runs a stage below a shell, and the stage's number."""
    clone = place / "scratch/clone"
    text = f"until [ -e stage.py ]; do sleep 0.1; done; {sys.executable} stage.py; exit 3"
    process = subprocess.Popen([sys.executable, "-c", RUNS, str(place), how, text], cwd=ROOT)
    until(lambda: clone.is_dir(), 60)
    (clone / "stage").write_text(STAGE)
    (clone / "stage").rename(clone / "stage.py")
    until(lambda: (clone / "begun").exists() and (clone / "begun").read_text(), 60)
    return process, int((clone / "begun").read_text())


def lives(number: int) -> bool:
    return Path(f"/proc/{number}").exists()


def test_a_stage_of_the_user_s_own_may_save_first(tmp_path: Path) -> None:
    process, stage = started(tmp_path, "own")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 128 + signal.SIGTERM
    assert not lives(stage) and (tmp_path / "scratch/clone/ended").exists()


@pytest.mark.skipif(bool(launcher.lacking()), reason="this system cannot confine")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stranger_s_is_ended_with_it(tmp_path: Path, number: int) -> None:
    process, _ = started(tmp_path, "confined")
    process.send_signal(number)
    process.wait(60)
    clone = os.fsencode(tmp_path / "scratch/clone")
    until(lambda: not within(clone), 60)


def within(place: bytes) -> list[bytes]:
    """The processes that work in a folder."""
    links = [entry / "cwd" for entry in Path("/proc").glob("[0-9]*")]
    return [where for where in map(_target, links) if where == place]


def _target(link: Path) -> bytes:
    try:
        return os.fsencode(link.readlink())
    except OSError:  # it has ended
        return b""
