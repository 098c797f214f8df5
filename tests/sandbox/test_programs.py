"""Nothing of what a confined command starts outlives it, its limit, or who asked for it."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.config.params import Limits
from pipeline.sandbox import launcher, programs
from testing.project import ROOT
from testing.sweeps import until

pytestmark = pytest.mark.skipif(bool(launcher.lacking()), reason="this system cannot confine")

FAMILY = "sleep {0} & (setsid sleep {0} & sleep {0}) & touch begun; sleep {0}"
"""A command that does not end, nor do its children and theirs."""
AS_VERIFY = """
import sys
from pathlib import Path
from pipeline.config.params import Limits
from pipeline.sandbox import programs
work, text = Path(sys.argv[1]), sys.argv[2]
limits = Limits(memory_gib=1, minutes=10, file_gib=1)
programs.run(["/bin/sh", "-c", text], work, work, [work], limits, {"PATH": "/usr/bin:/bin"})
"""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (work := tmp_path / "work").mkdir()
    return work


def family(seconds: int) -> list[Path]:
    """The processes of the family that live."""
    words = b"sleep\0%d\0" % seconds
    return [
        place
        for place in Path("/proc").glob("[0-9]*")
        if (place / "cmdline").exists() and _said(place / "cmdline") == words
    ]


def _said(place: Path) -> bytes:
    try:
        return place.read_bytes()
    except OSError:  # it has ended
        return b""


def test_nothing_outlives_the_limit_of_time(work: Path) -> None:
    limits = Limits(memory_gib=1, minutes=0.05, file_gib=1)
    command = ["/bin/sh", "-c", FAMILY.format(86401)]
    ended = programs.run(command, work, work, [work], limits, {"PATH": "/usr/bin:/bin"})
    assert (work / "begun").exists(), ended
    assert "verify.limits.minutes" in ended.stopped
    assert family(86401) == []


def test_nothing_outlives_who_asked_for_it_and_was_killed(work: Path) -> None:
    words = [sys.executable, "-c", AS_VERIFY, str(work), FAMILY.format(86402)]
    process = subprocess.Popen(words, cwd=ROOT)
    until(lambda: len(family(86402)) == 4, 60)
    process.kill()
    process.wait()
    until(lambda: not family(86402), 60)


def test_a_signal_to_its_launcher_ends_all_of_it(work: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", AS_VERIFY, str(work), FAMILY.format(86403)], cwd=ROOT
    )
    until(lambda: len(family(86403)) == 4, 60)
    [launched] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    subprocess.run(["kill", "-TERM", launched], check=True)
    until(lambda: not family(86403), 60)
    assert process.wait(60) == 0
