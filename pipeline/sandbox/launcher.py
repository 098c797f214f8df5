"""Run by its path, `python -I launcher.py terms.json script argument ...`: the process gives up,
for good and before any library is imported, what the script does not need; then it runs it.

Files by Landlock, system calls by seccomp, quantities by rlimits; nothing of ours is imported.
What another process must do, to watch memory, time and disk, is in supervisor.py. terms.json has
  read     files and directories that may be read, beside what Python and its libraries need
  write    directories that may be written, too
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
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# Numbers of system calls: x86_64, and aarch64 (Linux' generic ones; 0 is one it does not have).
COLUMNS = {"x86_64": 0, "aarch64": 1}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CLONE, CLONE3, TGKILL, PRLIMIT, PRCTL = (56, 220), (435, 435), (234, 131), (302, 261), (157, 167)
REFUSED: dict[str, dict[str, list[int]]] = json.loads(
    Path(__file__).with_name("system_calls.json").read_text()
)
"""Why -> system call -> its number on x86_64 and on aarch64; read while files can still be."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
# Regular files and directories, made, renamed and removed: no links, pipes, sockets or devices.
WRITE = WRITE_FILE | TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13
FOR_FILES = READ_FILE | WRITE_FILE | TRUNCATE
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock's version -> how many kinds of access to files it knows."""

NEEDED = (
    *("/usr", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/timezone"),
    *("/etc/nsswitch.conf", "/etc/passwd", "/etc/group", "/etc/os-release", "/proc/self"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/version", "/proc/filesystems"),
    *("/proc/sys/kernel", "/proc/sys/vm", "/sys/devices/system", "/sys/fs/cgroup"),
    *("/sys/kernel/mm", "/dev/zero", "/dev/random", "/dev/urandom"),
)
"""By Python, its libraries and the frameworks; of /proc only what is no other process'."""

PDEATHSIG, NO_NEW_PRIVS, SECCOMP, FILTER = 1, 38, 22, 2
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
CLONE_THREAD = 0x10000

Line = tuple[int, int, int, int]
"""Of a seccomp filter: code, lines to skip if true, if false, and a value."""


def lacking() -> dict[str, str]:
    """Returns what this system cannot confine -> why; empty on a Linux that has both."""
    if not sys.platform.startswith("linux"):
        return dict.fromkeys(("files", "calls"), f"{platform.system()} has no such thing")
    reasons = {}
    if _landlock() < 1:
        reasons["files"] = "this kernel has no Landlock, or it is not switched on"
    if platform.machine() not in COLUMNS:
        reasons["calls"] = f"the system calls of {platform.machine()} are not known here"
    # With no filter at all the answer is EFAULT where filters are known, else EINVAL.
    elif _libc().prctl(SECCOMP, FILTER, None) != -1 or ctypes.get_errno() != errno.EFAULT:
        reasons["calls"] = "this kernel has no seccomp filters"
    return reasons


def confine(terms: Mapping[str, Any]) -> None:
    """Confines this process for good; it must have one thread still. Raises OSError if any part of
    it is refused."""
    _quantities(terms)
    if sys.platform.startswith("linux"):
        _prctl(PDEATHSIG, signal.SIGKILL)
        if os.getppid() != terms["parent"]:
            raise OSError("the process that started it is gone")
        _prctl(NO_NEW_PRIVS, 1)
        # Where memory runs out all the same, it is this process that the kernel ends.
        Path("/proc/self/oom_score_adj").write_text("1000")
    if terms["files"]:
        _files([*map(Path, NEEDED), *_python(), *map(Path, terms["read"])], terms["write"])
    if terms["calls"]:
        _calls(platform.machine())


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


def _files(readable: Iterable[Path], writable: Iterable[str]) -> None:
    version = _landlock()
    known = (1 << RIGHTS[min(version, max(RIGHTS))]) - 1
    network, scopes = (3 if version >= 4 else 0), (3 if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", known, network, scopes)[:size]
    rules = _call(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    for path in readable:
        _let(rules, path, READ_FILE | READ_DIR)
    for place in writable:
        _let(rules, Path(place), known & (READ_FILE | READ_DIR | WRITE))
    _let(rules, Path("/dev/null"), known & FOR_FILES)
    _call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def _let(rules: int, path: Path, access: int) -> None:
    """Allows access to a path and all beneath it; what does not exist needs none."""
    if not path.exists():
        return
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    access &= -1 if path.is_dir() else FOR_FILES
    _call(ADD_RULE, rules, 1, struct.pack("=Qi", access, place), 0)
    os.close(place)


def _calls(machine: str) -> None:
    program = b"".join(struct.pack("=HBBI", *line) for line in program_for(machine, os.getpid()))
    lines = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(lines))
    )
    _prctl(SECCOMP, FILTER, ctypes.byref(header))


def program_for(machine: str, process: int) -> list[Line]:
    """Returns the filter; a call of another architecture's numbering ends the process."""
    column, refuse = COLUMNS[machine], (RETURN, 0, 0, ERRNO | errno.EPERM)
    lines: list[Line] = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
    ]
    lines.append((LOAD, 0, 0, 0))
    if machine == "x86_64":  # the numbers of its 32-bit twin begin here
        lines += [(AT_LEAST, 0, 1, 0x40000000), refuse]
    for number in sorted(_refused(column) - {0}):
        lines += [(EQUAL, 0, 1, number), refuse]
    allow = (RETURN, 0, 0, ALLOW)
    # Its flags lie in memory, where no filter sees them; without it libc falls back to clone.
    lines += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    lines += _if(CLONE[column], _argument(0), (ANY_BIT, 1, 0, CLONE_THREAD), refuse, allow)
    lines += _if(TGKILL[column], _argument(0), (EQUAL, 1, 0, process), refuse, allow)
    lines += _if(PRCTL[column], _argument(0), (EQUAL, 0, 1, PDEATHSIG), refuse, allow)
    asks = [_argument(2), (EQUAL, 0, 2, 0), _argument(2, high=True), (EQUAL, 1, 0, 0)]
    lines += _if(PRLIMIT[column], *asks, refuse, allow)
    return [*lines, allow]


def _refused(column: int) -> set[int]:
    return {numbers[column] for calls in REFUSED.values() for numbers in calls.values()}


def _if(number: int, *lines: Line) -> list[Line]:
    return [(EQUAL, 0, len(lines), number), *lines]


def _argument(position: int, high: bool = False) -> Line:
    return (LOAD, 0, 0, 16 + 8 * position + 4 * high)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _landlock() -> int:
    """Returns Landlock's version; 0 or less if there is none."""
    return int(_libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def _call(number: int, *arguments: Any) -> int:
    return _checked(_libc().syscall(ctypes.c_long(number), *arguments), f"system call {number}")


def _prctl(option: int, *arguments: Any) -> None:
    values = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    _checked(_libc().prctl(option, *values, *[ctypes.c_ulong(0)] * (4 - len(values))), "prctl")


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


if __name__ == "__main__":
    confine(json.loads(Path(sys.argv[1]).read_text()))
    sys.argv = sys.argv[2:]
    runpy.run_path(sys.argv[0], run_name="__main__")
