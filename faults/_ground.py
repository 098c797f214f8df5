"""Projects to do harm to, and the processes that run in them."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from pipeline import provenance
from testing import preloaded
from testing.preloaded import migrated
from testing.project import PATH, TINY, Project, make_project
from testing.shared import once

LONGEST = 300
"""Seconds after which a command counts as hanging."""


def project(root: Path, *overrides: str) -> Project:
    made = make_project(root)
    made.params(*overrides)
    made.commit("params")
    return made


SHARED = "FAULTS_SHARED"
"""Names a folder in which several faults of a run find what they begin with."""

VERIFIED = (*TINY, "export.formats=[torch_export,onnx,torch_pickle]", "verify.checks=[integrity]")
"""The overrides of `verified`."""


def prepared(root: Path, *overrides: str) -> Project:
    """Returns a project after `dvc repro prepare`, which none of the overrides concerns."""
    made = _made_by(root, "prepare", *TINY)
    made.params(*overrides)
    made.commit("params")
    return made


def verified(root: Path) -> Project:
    """Returns a project after `dvc repro verify`, with every file that a PyTorch model can have."""
    return _made_by(root, "verify", *VERIFIED)


def _made_by(root: Path, stage: str, *overrides: str) -> Project:
    """Returns a copy of what `dvc repro` of a stage leaves, made once for all faults of a run."""

    def make(folder: Path) -> None:
        project(folder / "project", *overrides).run("dvc", "repro", stage)

    base = Path(os.environ.get(SHARED, root.parent / "shared"))
    return Project(once(base, stage, make) / "project").copied(root)


@dataclass
class Running:
    """A command in a project; what it prints lies in a file, so that nothing waits for a reader."""

    process: psutil.Popen
    log: Path
    within: Project

    @property
    def said(self) -> str:
        return self.log.read_text()

    def ended(self, seconds: float = LONGEST) -> int:
        return int(self.process.wait(seconds))


def started(within: Project, *command: str, log: str = "log", fresh: bool = True) -> Running:
    """Temporary files of the command go to `tmp` beside the project, to be found there. All that it
    starts is in a group of its own, and a signal of ours reaches the one process alone.

    Not `fresh`: python and dvc come with their imports done, but MLflow makes its store itself.
    """
    temporary = within.root.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    said = within.root.parent / log
    with said.open("w") as file:
        process = psutil.Popen(
            command,
            cwd=within.root,
            env={
                **os.environ,
                "PATH": PATH if fresh else preloaded.path(),
                "TMPDIR": str(temporary),
                **migrated.BY_ITSELF,
            },
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    return Running(process, said, within)


def stage_of(running: Running, module: str) -> psutil.Process | None:
    """The stage's own process below DVC's, once it is there; None when the command has ended."""
    return next(iter(processes_of(running, module)), None)


def processes_of(running: Running, module: str, count: int = 1) -> list[psutil.Process]:
    """As many processes below a command's that run this module, once they are there, the first
    first; none when the command has ended."""
    while alive(running.process):
        these = []
        for number in _below(running.process.pid):
            with contextlib.suppress(OSError, psutil.NoSuchProcess):
                words = Path(f"/proc/{number}/cmdline").read_text().split("\0")
                if ["-m", module] in (words[1:3], words[3:5]):  # the latter in a client's
                    these.append(psutil.Process(number))
        if len(these) >= count:
            return sorted(these, key=lambda each: each.pid)
        time.sleep(0.02)  # a look at every process takes a tenth of that
    return []


def left(within: Project, module: str) -> list[psutil.Process]:
    """The processes that run this module in a project."""
    these = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            _, _, name = process.name().partition(" ")  # of one that stands for another
            runs = bool(name) and module.rpartition(".")[2].startswith(name)
            runs |= process.cmdline()[1:3] == ["-m", module]
            if runs and Path(process.cwd()) == within.root:
                these.append(process)
    return these


def _below(process: int) -> Iterator[int]:
    """Its children and theirs, from the kernel's list of each: psutil, which reads every process
    of the machine, takes longer than the pause until the next look. What stands for a command that
    came with its imports done has another parent."""
    for file in Path("/proc").glob(f"{process}/task/*/children"):
        with contextlib.suppress(OSError):  # it has ended
            for child in map(int, file.read_text().split()):
                yield child
                yield from _below(child)
    if _is_client(process):
        for other in _standing_for(process):
            yield other
            yield from _below(other)


def _is_client(process: int) -> bool:
    """Whether it has handed its command to a process that has done the imports."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[1:2] == [b"-ISE"]
    return False


def alive(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def hit(process: psutil.Process, seconds: float, number: int = signal.SIGKILL) -> bool:
    """Sends the signal after that time; False when there was nobody left to receive it."""
    with contextlib.suppress(psutil.TimeoutExpired):
        process.wait(seconds)
    if not alive(process):
        return False
    with contextlib.suppress(psutil.NoSuchProcess):
        process.send_signal(number)
        return True
    return False


def kill_group(running: Running) -> None:
    """Kills the command and all that it has started; nothing of it is left on return."""
    os.killpg(running.process.pid, signal.SIGKILL)
    running.ended()
    while _standing_for(running.process.pid):
        time.sleep(0.001)


def family(process: psutil.Process) -> list[psutil.Process]:
    """The stage's process, the one that does its work where that is another, and their children."""
    numbers = {process.pid, *_standing_for(process.pid)}
    numbers |= {number for each in [*numbers] for number in _below(each)}
    every = []
    for number in sorted(numbers):
        with contextlib.suppress(psutil.NoSuchProcess):
            every.append(psutil.Process(number))
    return every


def working(process: psutil.Process) -> psutil.Process:
    """The process that does a stage's work: its own, or the one that stands for it."""
    for number in _standing_for(process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(number)
    return process


def _standing_for(process: int) -> list[int]:
    found, begins = [], f"{process} ".encode()
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and Path(entry, "comm").read_bytes().startswith(begins):
                found.append(int(entry.name))
    return found


def lives(
    within: Project, modules: Iterable[str], *command: str, fresh: bool = True
) -> list[float]:
    """Seconds that the process of each of these stages lives, undisturbed."""
    running = started(within, *command, fresh=fresh)
    seconds = []
    for module in modules:
        process = stage_of(running, module)
        began = time.monotonic()
        if process:
            psutil.wait_procs([process])
        seconds.append(time.monotonic() - began)
        if process is None:
            break
    if running.ended() or process is None:
        raise AssertionError(f"{' '.join(command)}: failed undisturbed:\n{running.said}")
    return seconds


def files(within: Project) -> dict[str, str]:
    """Each file of the work tree with its sha256, but for git's, DVC's and MLflow's own, locks and
    Python's caches."""
    others = (".git/", ".dvc/", "mlflow.db", "mlartifacts")
    found = {path.relative_to(within.root): path for path in within.root.rglob("*")}
    return {
        name.as_posix(): provenance.digest(path)
        for name, path in sorted(found.items())
        if path.is_file() and not name.as_posix().startswith(others)
        if "__pycache__" not in name.parts and name.suffix != ".lock"
    }


def litter(within: Project) -> list[str]:
    """What was left in the directory for temporary files."""
    temporary = within.root.parent / "tmp"
    return sorted(path.name for path in temporary.iterdir()) if temporary.is_dir() else []


def whole(directory: Path) -> bool:
    return not provenance.faults(directory)


def statement(within: Project, name: str) -> bytes:
    """Same bytes here are the same bytes in every file of a whole artifact."""
    file = within.root / "artifacts" / name / provenance.NAME
    return file.read_bytes() if file.is_file() else b""


def untimed(within: Project) -> str:
    """reports/verify.json without the seconds and bytes that its checks took."""

    def without(report: Any) -> Any:
        if isinstance(report, dict):
            return {k: without(v) for k, v in report.items() if not k.endswith("timing")}
        return [without(each) for each in report] if isinstance(report, list) else report

    return json.dumps(without(json.loads(within.read("reports/verify.json"))))
