"""Runs a command that is no Python of ours, and the programs that it starts: they write to one
directory, reach no network, and end at a limit.

A compiler and Node start programs, which the process that loads a model may not; so Landlock says
what they read and write, and seccomp keeps them from the network and from other processes.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pipeline.config.params import Limits
from pipeline.sandbox import launcher
from pipeline.sandbox.reports import GIB
from pipeline.sandbox.supervisor import ADDRESS_SPACE

LAUNCHER = Path(__file__).resolve().with_name("program_launcher.py")
NEEDED = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/proc", "/dev/zero", "/dev/random"),
    *("/dev/urandom", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone", "/etc/nsswitch.conf"),
    *("/etc/passwd", "/etc/group", "/etc/os-release", "/etc/alternatives"),
    *("/sys/devices/system", "/sys/fs/cgroup", "/sys/kernel/mm"),
)
"""By a shell, git, Python and the frameworks."""

LOOK = 0.01
"""Seconds between two looks at whether it ended."""
LAST_WORDS, LONGEST_LINE = 4096, 400
"""Bytes of what it printed that are read, and characters of a line."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command came to its end."""

    code: int
    """Its exit code; 128 and more is a signal."""
    stopped: str
    """At which limit it was ended; "" where it ended by itself."""
    lines: tuple[str, ...]
    """The last that it printed."""
    seconds: float
    peak_mib: float
    """Of the largest of its processes, and not what this one had when it was started."""

    @property
    def fault(self) -> str:
        """Returns why it failed, in one line; "" where it did not."""
        return self._fault(self.lines[-1:])

    @property
    def build_fault(self) -> str:
        """Returns the same of a build, where make has the last word and a compiler said why
        before."""
        return self._fault([line for line in self.lines if "rror: " in line] or self.lines[-1:])

    def _fault(self, why: Sequence[str]) -> str:
        if self.stopped:
            return self.stopped
        return ": ".join([f"ended with exit code {self.code}", *why[:1]]) if self.code else ""


def run(
    command: Sequence[str],
    directory: Path,
    work_dir: Path,
    readable: Iterable[Path],
    limits: Limits,
    environment: Mapping[str, str],
    port: int = 0,
) -> Ended:
    """Runs a command in `directory`, where `readable` can be read, programs in it be run, and
    `work_dir` be written, too. With a port it is a browser and what serves it there: no other one
    is reached, Unix sockets are made, and no limit is put on addresses, of which it reserves more
    than there is memory."""
    terms, peak = (work_dir.with_name(f"{work_dir.name}.{end}") for end in ("terms.json", "peak"))
    terms.write_text(json.dumps({**_terms(work_dir, readable, limits, port), "peak": str(peak)}))
    peak.unlink(missing_ok=True)
    start = time.monotonic()
    with work_dir.with_name(f"{work_dir.name}.words").open("w+b") as words:
        process = subprocess.Popen(
            [sys.executable, "-IB", str(LAUNCHER), str(terms), *command],
            cwd=directory,
            env={"HOME": str(work_dir), "TMPDIR": str(work_dir), "LANG": "C.UTF-8", **environment},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
        )
        stopped = _waited(process, start, limits)
        return Ended(
            code=process.returncode,
            stopped=stopped,
            lines=_last(words),
            seconds=time.monotonic() - start,
            peak_mib=int(peak.read_text()) / 1024 if peak.exists() else 0.0,
        )


def _waited(process: "subprocess.Popen[bytes]", start: float, limits: Limits) -> str:
    """Returns at which limit it was ended, "" for none, once nothing of it is left."""
    stopped = ""
    try:
        while process.poll() is None:
            if not stopped and time.monotonic() - start > limits.minutes * 60:
                stopped = f"ended at the limit of time: verify.limits.minutes is {limits.minutes:g}"
                process.terminate()
            time.sleep(LOOK)
        return stopped
    finally:
        if process.returncode is None:
            process.terminate()
            process.wait()


def _last(words: IO[bytes]) -> tuple[str, ...]:
    words.seek(max(words.seek(0, os.SEEK_END) - LAST_WORDS, 0))
    lines = words.read().decode(errors="replace").strip().splitlines()
    return tuple(line.strip()[:LONGEST_LINE] for line in lines if line.strip())


def _terms(work_dir: Path, readable: Iterable[Path], limits: Limits, port: int) -> dict[str, Any]:
    lacking = launcher.lacking()
    memory = {} if port else {"memory": int(2 * limits.memory_gib * GIB) + ADDRESS_SPACE}
    return {
        **memory,
        "read": [*NEEDED, *sorted({str(path.resolve()) for path in readable})],
        "write": [str(work_dir)],
        "links": [str(work_dir)] if port else [],
        "devices": [],
        "network": port or False,
        "sockets": bool(port),
        "seconds": int(limits.minutes * 60) * (os.cpu_count() or 1) + 60,
        "file": int(limits.file_gib * GIB),
        "parent": os.getpid(),
        "files": "files" not in lacking,
        "calls": "calls" not in lacking,
    }
