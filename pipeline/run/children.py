"""What a process starts ends with it, however it ends itself."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType

from pipeline.run.dvc_process import STANDS_FOR, is_shell
from pipeline.run.signals import Arrivals, Interrupted, handled

ENDS_WITH = "ENDS_WITH"
"""The variable that holds the number of the process which a process of ours ends with."""
PDEATHSIG = 1


def tied(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns the variables with which a program of ours ends with this process."""
    return {**(os.environ if environ is None else environ), ENDS_WITH: str(os.getpid())}


def end_with_parent() -> None:
    """Has the kernel send SIGTERM to this process, if it is `tied`, when its parent is gone; ends
    it where that is so already.

    A stand-in has another parent, and ends with whom it stands for.
    """
    parent = os.environ.pop(ENDS_WITH, None)
    if parent is None or STANDS_FOR in sys._xoptions or not sys.platform.startswith("linux"):
        return
    arguments = (ctypes.c_ulong(each) for each in (signal.SIGTERM, 0, 0, 0))
    ctypes.CDLL(None).prctl(PDEATHSIG, *arguments)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), signal.SIGTERM)


def commands_of(process: int) -> list[int]:
    """Returns the commands that a process runs: its children, or theirs where they are shells."""
    commands = []
    for child in _children(process):
        commands += _children(child) or [child] if is_shell(child) else [child]
    return commands


def _children(process: int) -> list[int]:
    """Returns those of its main thread's children that have not ended."""
    try:
        listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
        return [int(each) for each in listed if not _has_ended(each)]
    except OSError:
        return []


def _has_ended(process: str) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def end(process: "subprocess.Popen[bytes]") -> None:
    """Ends a program and waits for it. A shell is left to end with its command, which would
    outlive it."""
    commands = commands_of(process.pid) if is_shell(process.pid) else []
    for each in commands or [process.pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGTERM)
    process.wait()


def run_to_its_end(
    command: list[str], environ: Mapping[str, str] | None = None, files: Iterable[int] = ()
) -> int:
    """Runs a program of ours to its end, also when a signal comes, and only then raises
    Interrupted. It inherits the open files.

    Each is passed on, once, for it may have come to this process alone. The program ends when this
    process is killed: whoever starts the same again would else work beside it.
    """
    process = subprocess.Popen(command, env=tied(environ), pass_fds=tuple(files))
    arrivals, arrived = Arrivals(), list[int]()

    def pass_on(number: int, _: FrameType | None) -> None:
        if arrivals.is_another():
            arrived.append(number)
            process.terminate()

    before = {number: signal.signal(number, pass_on) for number in handled()}
    try:
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if arrived:
        raise Interrupted(arrived[0])
    return code
