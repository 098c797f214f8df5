"""Run by its folder, `python -I launcher terms.json script argument ...`: the process gives up,
for good and before any library is imported, what the script does not need; then it runs it.

Files by Landlock, system calls by seccomp, quantities by rlimits; nothing of ours is imported.
What another process must do, to watch memory, time and disk, is in supervisor.py. terms.json has
  read     files and directories that may be read, beside what Python and its libraries need
  write    directories that may be written, too
  view     an empty directory of no other use, for view.py
  memory   bytes of address space
  seconds  of processor time
  file     bytes of a file
  parent   the process that it dies with
  files, calls  false where `lacking` says that this system has no such confinement
"""

import ctypes
import errno
import json
import os
import platform
import resource
import runpy
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import calls, files, kernel, view

NEEDED = (
    *("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone"),
    *("/etc/os-release", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/kernel/osrelease", "/proc/sys/vm/overcommit_memory"),
    *("/proc/sys/vm/max_map_count", "/sys/devices/system", "/sys/kernel/mm/transparent_hugepage"),
    *("/dev/random", "/dev/urandom"),
    *(
        f"/proc/self/{name}"
        for name in ("auxv", "cmdline", "fd", "maps", "stat", "statm", "status")
    ),
)
"""By Python, its libraries and the frameworks; of /proc only what is no other process'."""

SEEN = (os.devnull, "/proc/self")
"""Beside what may be read: to be written to; and for links such as `exe`."""

PDEATHSIG, NO_NEW_PRIVS = 1, 38


def lacking() -> dict[str, str]:
    """Returns what this system cannot confine -> why; empty on a Linux that has both."""
    if not sys.platform.startswith("linux"):
        return dict.fromkeys(("files", "calls"), f"{platform.system()} has no such thing")
    reasons = {}
    if files.version() < 1:
        reasons["files"] = "this kernel has no Landlock, or it is not switched on"
    if platform.machine() not in calls.ARCHITECTURES:
        reasons["calls"] = f"the system calls of {platform.machine()} are not known here"
    # With no filter at all the answer is EFAULT where filters are known, else EINVAL.
    elif kernel.libc().prctl(calls.SECCOMP, calls.FILTER, None) != -1 or (
        ctypes.get_errno() != errno.EFAULT
    ):
        reasons["calls"] = "this kernel has no seccomp filters"
    return reasons


def confine(terms: Mapping[str, Any]) -> None:
    """Confines this process for good; it must have one thread still. Raises OSError if any part of
    it is refused."""
    machine = platform.machine()
    _quantities(terms)
    if sys.platform.startswith("linux"):
        kernel.prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() != terms["parent"]:
            raise OSError("the process that started it is gone")
        kernel.prctl(NO_NEW_PRIVS, 1)
        # Where memory runs out all the same, it is this process that the kernel ends.
        Path("/proc/self/oom_score_adj").write_text("1000")
    if terms["files"]:
        readable = [*map(Path, NEEDED), *_python(), *map(Path, terms["read"])]
        writable = [*map(Path, terms["write"])]
        seen = [*readable, *writable, *map(Path, SEEN)]
        view.narrow(seen, Path(terms["view"]), machine)
        allowed = [(path, files.READ) for path in readable]
        allowed += [(path, files.WRITE) for path in writable]
        files.restrict([*allowed, (Path(os.devnull), files.TO_DEVICE)])
    if terms["calls"]:
        view.drop_capabilities(machine)
        calls.restrict(machine)


def _quantities(terms: Mapping[str, Any]) -> None:
    wanted = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 1024,
        resource.RLIMIT_FSIZE: terms["file"],
        resource.RLIMIT_CPU: terms["seconds"],
    }
    if sys.platform.startswith("linux"):  # macOS refuses it
        wanted[resource.RLIMIT_AS] = terms["memory"]
    for kind, value in wanted.items():
        most = resource.getrlimit(kind)[1]
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


def _python() -> list[Path]:
    """Returns where modules and libraries are looked for."""
    places = [
        sys.prefix,
        sys.base_prefix,
        *sys.path,
        *os.environ.get("LD_LIBRARY_PATH", "").split(":"),
    ]
    return [Path(place) for place in places if place]


def main() -> None:
    """Confines this process, and runs the script that the command line names."""
    confine(json.loads(Path(sys.argv[1]).read_text()))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
