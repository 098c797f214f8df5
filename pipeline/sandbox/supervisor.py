"""Starts the process that loads a model, watches it, and ends it at a limit.

What the process gives up by itself is in launcher.py; here is what another must do for it.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from pipeline.config.params import Limits
from pipeline.sandbox import launcher, processes
from pipeline.sandbox.reports import GIB
from pipeline.sandbox.worker.job import Job
from pipeline.sandbox.worker.tasks import UNUSED

PACKAGE = Path(__file__).resolve().parents[1]
WORKER = PACKAGE / "sandbox/worker"
FORMATS = PACKAGE / "formats"

ALONE = "alone"
ENTRY = "from worker.tasks import main\n\nmain()\n"

ADDRESS_SPACE = 16 * GIB
"""Beside twice the memory: frameworks reserve what they never use; what is in use is watched."""

LOOK_AT_MEMORY, LOOK_AT_FILES = 0.1, 1.0
"""Seconds between two looks."""

LONGEST_LINE = 400

PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
"""Variables that the interpreter and its libraries may need."""

Task = Literal["answer", "train", "screen"]

_ENDING = threading.Event()
_SERVERS: ContextVar[processes.Servers | None] = ContextVar("servers", default=None)


@contextlib.contextmanager
def pool() -> Iterator[ThreadPoolExecutor]:
    """Gives threads to run processes from, each of which begins with its imports done where the
    system has a safe fork; an exception that ends the work ends those, too."""
    _ENDING.clear()
    with (
        processes.servers(UNUSED) as servers,
        ThreadPoolExecutor(
            os.cpu_count(), initializer=_SERVERS.set, initargs=(servers,)
        ) as threads,
    ):
        try:
            yield threads
        except BaseException:
            _ENDING.set()
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def description(limits: Limits) -> dict[str, str]:
    """Returns what holds for the processes, and what this system cannot do, for a report."""
    lacking = launcher.lacking()
    by = {"files": "Landlock: nothing but its own and the libraries'"}
    by |= {"calls": "seccomp: no network, no program, no other process"}
    lines = {what: f"NOT CONFINED: {lacking[what]}" if what in lacking else by[what] for what in by}
    quantities = dataclasses.asdict(limits)
    return lines | {"limits": ", ".join(f"{name} {most:g}" for name, most in quantities.items())}


def new_job(
    work_dir: Path,
    task: Task,
    name: str,
    *,
    complete_model: Path,
    batches: Mapping[str, Path],
    training: Path,
    threads: int,
    refused: list[str],
    **more: Any,
) -> Job:
    """Makes `work_dir`, puts there what the process runs, and returns its job.

    `name` is the format's, `more` are fields of Job.
    """
    (work_dir / "empty").mkdir(parents=True)
    _copy_code(work_dir / ALONE)
    return Job(
        task=task,
        format=name,
        complete_model=str(complete_model.resolve()),
        batches={batch: str(path.resolve()) for batch, path in batches.items()},
        training=str(training.resolve()),
        threads=threads,
        refused=refused,
        repository=str(PACKAGE.parent),
        answers=str(work_dir / "answers.npz"),
        report=str(work_dir / "report.json"),
        **more,
    )


def _copy_code(alone: Path) -> None:
    """Copies the bytecode that is at hand, too, since the process writes none."""
    for folder in (WORKER, FORMATS):
        shutil.copytree(folder, alone / folder.name)
    (alone / "__main__.py").write_text(ENTRY)


def run(
    job: Job,
    work_dir: Path,
    readable: Iterable[Path],
    limits: Limits,
    imports: tuple[str, ...] = (),
) -> str | None:
    """Runs the job where `readable` can be read, `work_dir` be written, and nothing else be had.

    It runs in an empty directory, or in its source, and in a pool begins with `imports` done.
    Returns how it died if it left no report.
    """
    terms = _terms(work_dir, readable, limits, job.threads)
    for name, content in {"job": dataclasses.asdict(job), "terms": terms}.items():
        (work_dir / f"{name}.json").write_text(json.dumps(content))
    stderr = work_dir.with_name(f"{work_dir.name}.stderr")
    with stderr.open("wb") as errors:
        start = processes.Start(
            arguments=[str(work_dir / name) for name in ("terms.json", ALONE, "job.json")],
            directory=Path(job.source or work_dir / "empty"),
            environment=environment(job.threads, work_dir),
            stderr=errors,
        )
        servers = _SERVERS.get()
        process = servers.start(imports, start) if servers and imports else processes.started(start)
        stopped = _watch(process, work_dir, limits)
    if stopped is None and Path(job.report).is_file():
        return None
    return stopped or _death(process.wait(), _last_words(stderr))


def _terms(
    work_dir: Path, readable: Iterable[Path], limits: Limits, threads: int
) -> dict[str, Any]:
    lacking = launcher.lacking()
    return {
        "read": sorted({str(path.resolve()) for path in readable}),
        "write": [str(work_dir)],
        "memory": int(2 * limits.memory_gib * GIB) + ADDRESS_SPACE,
        "seconds": int(limits.minutes * 60 * max(threads, 1)) + 60,
        "file": int(limits.file_gib * GIB),
        "parent": os.getpid(),
        "files": "files" not in lacking,
        "calls": "calls" not in lacking,
    }


def with_link_targets(directory: Path) -> list[Path]:
    """Returns the directory and the links in it: DVC may link files to its cache."""
    return [directory, *(path for path in directory.rglob("*") if path.is_symlink())]


def _watch(process: processes.Process, work_dir: Path, limits: Limits) -> str | None:
    """Waits for its end, or ends it and says at which limit."""
    start, looked = time.monotonic(), 0.0
    while process.poll() is None:
        limit, now = None, time.monotonic()
        if now - start > limits.minutes * 60:
            limit = f"at the limit of time: verify.limits.minutes is {limits.minutes:g}"
        elif (used := _resident(process.pid)) > limits.memory_gib * GIB:
            most = f"verify.limits.memory_gib is {limits.memory_gib:g}"
            limit = f"at the limit of memory, using {used / GIB:.2f} GiB: {most}"
        elif now - looked > LOOK_AT_FILES:
            looked = now
            limit = _overfull(work_dir, limits)
        if _ENDING.is_set():
            limit = "with this one"
        if limit:
            process.kill()
            process.wait()
            return f"the process was ended {limit}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK_AT_MEMORY)
    limit = _overfull(work_dir, limits)
    return limit and f"the process ended {limit}"


def _resident(process: int) -> int:
    """Returns the bytes in memory and swapped out; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines())
    return sum(int(line[1]) << 10 for line in lines if line[0] in ("VmRSS:", "VmSwap:"))


def _overfull(work_dir: Path, limits: Limits) -> str | None:
    """Says at which limit its files are; one may vanish while its size is asked for."""
    total = 0
    for folder, _, names in os.walk(work_dir):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(Path(folder) / name).st_blocks * 512
    if total <= limits.file_gib * GIB:
        return None
    return f"at the limit of files: verify.limits.file_gib is {limits.file_gib:g}"


def environment(threads: int, home: Path) -> dict[str, str]:
    """Returns the only variables there: bitwise parity needs the thread count of training, and
    other arithmetic than a CPU's is out."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    fixed = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "CUDA_VISIBLE_DEVICES": ""}
    fixed |= {"TF_DETERMINISTIC_OPS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    counts = (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    )
    return passed_on | fixed | dict.fromkeys(counts, str(threads))


def _last_words(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        last = file.read().decode(errors="replace").strip().splitlines()[-1:]
    return " ".join(last)[:LONGEST_LINE]


def _death(code: int, last: str) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the process ended with {how} and no report{f': {last}' if last else ''}"
