"""Starts the process that loads a model, watches it, and ends it at a limit.

What the process gives up by itself is in launcher/; here is what another must do for it.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal

from pipeline.config.params import Limits
from pipeline.files import temporary_folder
from pipeline.sandbox import disk, launcher, processes
from pipeline.sandbox.reports import GIB
from pipeline.sandbox.watch import Watch
from pipeline.sandbox.worker.job import Job
from pipeline.sandbox.worker.loading import UNUSED

PACKAGE = Path(__file__).resolve().parents[1]
WORKER = PACKAGE / "sandbox/worker"
FORMATS = PACKAGE / "formats"
ROWS = PACKAGE / "data/ragged.py"
"""Reads rows that differ in length; it needs nothing else of ours, either."""

ALONE = "alone"
ENTRY = "from worker.tasks import main\n\nmain()\n"

ADDRESS_SPACE = 16 * GIB
"""Beside twice the memory: frameworks reserve what they never use; what is in use is watched."""

PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
"""Variables that the interpreter and its libraries may need."""

Task = Literal["answer", "train", "screen", "time", "tokenize", "adopt"]

_ENDING = threading.Event()
_SERVERS: ContextVar[processes.Servers | None] = ContextVar("servers", default=None)
_CODE: ContextVar[Path | None] = ContextVar("code", default=None)
"""What all processes of a pool run, and none may write to."""


@contextlib.contextmanager
def pool() -> Iterator[ThreadPoolExecutor]:
    """Gives threads to run processes from, which share a copy of the code and begin with their
    imports done where the system has a safe fork; an exception that ends the work ends those,
    too."""
    _ENDING.clear()

    def share() -> None:
        _SERVERS.set(servers)
        _CODE.set(code)

    with (
        temporary_folder() as code,
        processes.servers(UNUSED) as servers,
        ThreadPoolExecutor(os.cpu_count(), initializer=share) as threads,
    ):
        _copy_code(code)
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
    if _CODE.get() is None:
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


def code_of(work_dir: Path) -> Path:
    """Returns the folder of what a job's process runs: its own, or else the pool's."""
    own = work_dir / ALONE
    return own if own.exists() else _CODE.get() or own


def _copy_code(alone: Path) -> None:
    """Copies the bytecode that is at hand, too, since the process writes none."""
    for folder in (WORKER, FORMATS):
        shutil.copytree(folder, alone / folder.name)
    shutil.copyfile(ROWS, alone / ROWS.name)
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
    (work_dir / "job.json").write_text(json.dumps(dataclasses.asdict(job)))
    directory = Path(job.source or work_dir / "empty")
    return confined(work_dir, directory, readable, limits, job.threads, Path(job.report), imports)


def confined(
    work_dir: Path,
    directory: Path,
    readable: Iterable[Path],
    limits: Limits,
    threads: int,
    report: Path,
    imports: tuple[str, ...] = (),
) -> str | None:
    """Runs the script of `code_of` with `work_dir`/job.json, confined as `run` says, in a
    directory. Returns how it died if it left no report."""
    script = code_of(work_dir)
    terms = _terms(work_dir, [*readable, script], limits, threads)
    (work_dir / "terms.json").write_text(json.dumps(terms))
    said, stderr = os.pipe()
    with open(said, "rb", buffering=0) as words:  # noqa: PTH123 - a descriptor
        with open(stderr, "wb", buffering=0) as errors:  # noqa: PTH123
            start = processes.Start(
                arguments=[str(work_dir / "terms.json"), str(script), str(work_dir / "job.json")],
                directory=directory,
                environment=environment(threads, work_dir),
                stderr=errors,
            )
            servers = _SERVERS.get()
            forks = servers if servers and imports else None
            process = forks.start(imports, start) if forks else processes.started(start)
        watch = Watch(process, words, work_dir, limits)
        try:
            stopped = watch.until_its_end(threads, _ENDING)
        finally:
            process.kill()
            code = process.wait()
    if stopped is not None:
        disk.empty(work_dir)
    elif report.is_file():
        return None
    return stopped or _death(code, watch.last_words)


def _terms(
    work_dir: Path, readable: Iterable[Path], limits: Limits, threads: int
) -> dict[str, Any]:
    lacking = launcher.lacking()
    view = work_dir.with_name(f"{work_dir.name}.view")
    view.mkdir(exist_ok=True)
    return {
        "read": sorted({str(path.resolve()) for path in readable}),
        "write": [str(work_dir)],
        "view": str(view),
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


def environment(threads: int, home: Path) -> dict[str, str]:
    """Returns the only variables there: bitwise parity needs the thread count of training, and
    other arithmetic than a CPU's is out."""
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    fixed = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "CUDA_VISIBLE_DEVICES": ""}
    fixed |= {"TF_DETERMINISTIC_OPS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    fixed |= {"THP_MEM_ALLOC_ENABLE": "1"}  # torch's, as where the model was trained
    counts = (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    )
    return passed_on | fixed | dict.fromkeys(counts, str(threads))


def _death(code: int, last: str) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the process ended with {how} and no report{f': {last}' if last else ''}"
