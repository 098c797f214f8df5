"""Processes that load a model: each confined to its room, watched, and ended at a limit.

What a process gives up by itself is in launcher.py; here is what another must do for it.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile, ZipFile

from pipeline.config.params import Limits
from pipeline.sandbox import launcher
from pipeline.verification.evidence import Answers, Continued

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).resolve().with_name("worker.py")
FORMATS = Path(__file__).resolve().parents[1] / "formats"
CONFINE = SCRIPT.with_name("launcher.py")

GIB = 1 << 30
BESIDE = 16 * GIB
"""Of address space: frameworks reserve what they never use; what is in use is watched."""

LOOK, EVERY_SO_OFTEN = 0.1, 1.0
"""Seconds between two looks at a process' memory, and at its files."""

LONGEST, LONGEST_REPORT = 400, 64 << 20
"""Of a line, in characters, and of what a process reports, in bytes."""

OUT_OF_REACH = "no file is in reach but its own (Landlock)"

PASSED_ON = ("PATH", "LD_LIBRARY_PATH")
"""Of the environment, where the interpreter and its libraries may need it."""

UNREADABLE: tuple[type[Exception], ...] = (
    *(OSError, ValueError, TypeError, LookupError, EOFError, BadZipFile),
    *(AttributeError, MemoryError, RecursionError, zlib.error),
)
"""What reading JSON and arrays raises where a stranger wrote them."""

Reported = TypeVar("Reported", Answers, Continued)

_ENDING = threading.Event()


@contextlib.contextmanager
def together() -> Iterator[ThreadPoolExecutor]:
    """Where an exception ends the work, it ends the processes at work, too."""
    _ENDING.clear()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield pool
        except BaseException:
            _ENDING.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def told(limits: Limits) -> dict[str, str]:
    """What holds for the processes, for a report; what this system cannot do is said, too."""
    lacking = launcher.lacking()
    by = {"files": "Landlock: nothing but its own and the libraries'"}
    by |= {"calls": "seccomp: no network, no program, no other process"}
    found = {what: f"NOT CONFINED: {lacking[what]}" if what in lacking else by[what] for what in by}
    quantities = dataclasses.asdict(limits)
    return found | {"limits": ", ".join(f"{name} {most:g}" for name, most in quantities.items())}


def run(
    job: Mapping[str, Any],
    room: Path,
    given: Iterable[Path],
    limits: Limits,
    threads: int,
    cwd: Path,
) -> str | None:
    """Runs worker.py where `given` can be read, `room` be written, and nothing else be had;
    how it died if it left no report."""
    terms = _terms(room, given, limits, threads)
    for name, content in {"job": job, "terms": terms}.items():
        (room / f"{name}.json").write_text(json.dumps(content))
    script = [str(CONFINE), str(room / "terms.json"), str(SCRIPT), str(room / "job.json")]
    said = room.with_name(f"{room.name}.stderr")
    with said.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-I", *script],
            cwd=cwd,
            env=environment(threads, room),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        stopped = _watch(process, room, limits)
    if stopped is None and Path(job["report"]).is_file():
        return None
    return stopped or _death(process.returncode, _last_words(said))


def _terms(room: Path, given: Iterable[Path], limits: Limits, threads: int) -> dict[str, Any]:
    lacking = launcher.lacking()
    return {
        "read": sorted({str(SCRIPT), *(str(each.resolve()) for each in given)}),
        "write": [str(room)],
        "memory": int(2 * limits.memory_gib * GIB) + BESIDE,
        "seconds": int(limits.minutes * 60 * max(threads, 1)) + 60,
        "file": int(limits.file_gib * GIB),
        "parent": os.getpid(),
        "files": "files" not in lacking,
        "calls": "calls" not in lacking,
    }


def formats_alone(room: Path) -> Path:
    """A copy of the formats in the room, which is on the import path there: nothing else of ours
    can be. With the bytecode that is at hand, since none is written there."""
    there = room / "alone"
    shutil.copytree(FORMATS, there / FORMATS.name)
    return there


def linked(directory: Path) -> list[Path]:
    """The directory, and what links in it lead to: DVC may link files to its cache."""
    return [directory, *(each for each in directory.rglob("*") if each.is_symlink())]


def _watch(process: subprocess.Popen[bytes], room: Path, limits: Limits) -> str | None:
    """Waits for its end, or ends it and says at which limit."""
    start, looked = time.monotonic(), 0.0
    while process.poll() is None:
        found, now = None, time.monotonic()
        if now - start > limits.minutes * 60:
            found = f"at the limit of time: verify.limits.minutes is {limits.minutes:g}"
        elif (used := _resident(process.pid)) > limits.memory_gib * GIB:
            most = f"verify.limits.memory_gib is {limits.memory_gib:g}"
            found = f"at the limit of memory, using {used / GIB:.2f} GiB: {most}"
        elif now - looked > EVERY_SO_OFTEN:
            looked = now
            found = _overfull(room, limits)
        if _ENDING.is_set():
            found = "with this one"
        if found:
            process.kill()
            process.wait()
            return f"the process was ended {found}"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(LOOK)
    return _overfull(room, limits) and f"the process ended {_overfull(room, limits)}"


def _resident(process: int) -> int:
    """Bytes in memory and swapped out; 0 where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    lines = (line.split() for line in status.splitlines())
    return sum(int(line[1]) << 10 for line in lines if line[0] in ("VmRSS:", "VmSwap:"))


def _overfull(room: Path, limits: Limits) -> str | None:
    """A file may vanish while its size is asked for."""
    total = 0
    for folder, _, names in os.walk(room):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.lstat(Path(folder) / name).st_blocks * 512
    if total <= limits.file_gib * GIB:
        return None
    return f"at the limit of files: verify.limits.file_gib is {limits.file_gib:g}"


def explained(error: str, limits: Limits) -> str:
    """An error that confinement causes, with the limit that it comes from."""
    for sign, limit in (
        ("[Errno 13]", OUT_OF_REACH),
        ("[Errno 18]", OUT_OF_REACH),
        ("[Errno 1]", "no network and no other process is (seccomp)"),
        ("[Errno 27]", f"verify.limits.file_gib is {limits.file_gib:g}"),
        ("MemoryError", f"verify.limits.memory_gib is {limits.memory_gib:g}"),
        ("bad_alloc", f"verify.limits.memory_gib is {limits.memory_gib:g}"),
    ):
        if sign in error:
            return f"{error}; it is confined: {limit}"
    return error


def read(
    kind: type[Reported], job: Mapping[str, Any], death: str | None, limits: Limits
) -> Reported:
    """What a process reported, which may have run code that nobody here knows."""
    if death is not None:
        return kind(error=explained(death, limits), at="start")
    try:
        demand_bounded(Path(job["answers"]), limits)
        if Path(job["report"]).stat().st_size > LONGEST_REPORT:
            raise ValueError("it is too long")
        found = kind.read(Path(job["report"]), Path(job["answers"]))
    except UNREADABLE as fault:
        return kind(error=f"its report cannot be read: {fault}", at="start")
    error = found.error if found.error is None else explained(str(found.error), limits)
    return dataclasses.replace(found, error=error)


def demand_bounded(archive: Path, limits: Limits) -> None:
    """Raises ValueError where arrays would take more memory than a process may."""
    with ZipFile(archive) as opened:
        size = sum(each.file_size for each in opened.infolist())
    if size > limits.memory_gib * GIB:
        raise ValueError(f"{archive.name}: unpacks to {size} bytes")


def environment(threads: int, home: Path) -> dict[str, str]:
    """Bitwise parity needs the thread count of training; other arithmetic than a CPU's is out."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    fixed = {"HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", "CUDA_VISIBLE_DEVICES": ""}
    fixed |= {"TF_DETERMINISTIC_OPS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    counts = (
        *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
        *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
    )
    return kept | fixed | dict.fromkeys(counts, str(threads))


def _last_words(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        last = file.read().decode(errors="replace").strip().splitlines()[-1:]
    return " ".join(last)[:LONGEST]


def _death(code: int, last: str) -> str:
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"the process ended with {how} and no report{f': {last}' if last else ''}"
