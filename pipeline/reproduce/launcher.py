"""Run by its path, `python -I launcher.py terms.json command ...`: runs a command that may start
programs, but writes to nothing outside its own directories, and reaches no network unless asked.

The sandbox of a model refuses programs altogether; a stage starts git and others. This process
waits, is not confined itself, and ends whatever the command leaves running. Nothing of ours is
imported. terms.json has
  read     files and directories that may be read, and programs in them be run
  write    directories that may be written, too; no link, pipe, socket or device is made there
  links    directories in which links may be made as well, as a virtual environment has them
  devices  that may be written, as a GPU's
  network  whether there is one
  memory   bytes of address space, where there is a limit
  parent   the process that it dies with
  files, calls  false where this system has no such confinement
"""

import ctypes
import errno
import json
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

COLUMNS = {"x86_64": 0, "aarch64": 1}
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
CLONE, CLONE3, SOCKET, SOCKETPAIR = (56, 220), (435, 435), (41, 198), (53, 199)
PRLIMIT, CAPSET = (302, 261), (126, 91)
CALLS: dict[str, dict[str, list[int]]] = json.loads(
    Path(__file__).with_name("system_calls.json").read_text()
)
"""refused, ignored and signals -> system call -> its number on x86_64 and on aarch64."""

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL = (1 << n for n in (0, 1, 2, 3, 14, 15))
MAKE_LINK = 1 << 12
READ = EXECUTE | READ_FILE | READ_DIR
# Regular files and directories, made, renamed and removed.
WRITE = READ | WRITE_FILE | TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13
OF_FILES = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock's version -> how many kinds of access to files it knows."""
SIGNALS_SCOPED = 6
"""The version from which no signal leaves the confined processes."""

DROP_FROM_BOUNDING_SET, CAPABILITIES_V3 = 24, 0x20080522
PDEATHSIG, NO_NEW_PRIVS, SECCOMP, FILTER, SUBREAPER = 1, 38, 22, 2, 36
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, EQUAL, AT_LEAST, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
NAMESPACES = 0x7E020000
INTERNET, NETLINK, STREAM = (2, 10), 16, 1

Line = tuple[int, int, int, int]
"""Of a seccomp filter: code, lines to skip if true, if false, and a value."""


def main(terms: Mapping[str, Any], command: list[str]) -> int:
    """Returns the command's exit code, once nothing of what it started is left."""
    _prctl(PDEATHSIG, signal.SIGKILL)
    _prctl(SUBREAPER, 1)
    if os.getppid() != terms["parent"]:
        raise OSError("the process that started it is gone")
    child = os.fork()
    if child == 0:
        try:
            os.setsid()  # so that it has no terminal to type into
            confine(terms, os.getppid())
            os.execvp(command[0], command)
        except OSError as fault:
            os.write(2, f"{command[0]}: {fault}\n".encode())
        finally:
            os._exit(127)
    status = _waited(child)
    return os.waitstatus_to_exitcode(status) % 256 if status >= 0 else 127


def _waited(child: int) -> int:
    """Waits for the command, then ends what it left running, which has this process as parent."""
    status = -1
    while status < 0:
        ended, code = os.waitpid(-1, 0)
        status = code if ended == child else -1
    while True:
        for process in _children():
            os.kill(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return status


def _children() -> list[int]:
    own = str(os.getpid())
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = place.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if after_name[1] == own:
            found.append(int(place.parent.name))
    return found


def confine(terms: Mapping[str, Any], parent: int) -> None:
    """Confines this process for good. Raises OSError if any part of it is refused."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "memory" in terms:
        resource.setrlimit(resource.RLIMIT_AS, (terms["memory"],) * 2)
    _prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the process that started it is gone")
    _prctl(NO_NEW_PRIVS, 1)
    _give_up_capabilities()
    if terms["files"]:
        _files(terms)
    if terms["calls"]:
        _calls(platform.machine(), terms["network"])


def _give_up_capabilities() -> None:
    """Root without them is a user like another, who owns root's files."""
    for each in range(64):
        _libc().prctl(DROP_FROM_BOUNDING_SET, ctypes.c_ulong(each), 0, 0, 0)
    number = CAPSET[COLUMNS.get(platform.machine(), 0)]
    _call(number, struct.pack("=Ii", CAPABILITIES_V3, 0), bytes(24))


def _files(terms: Mapping[str, Any]) -> None:
    version = landlock()
    known = (1 << RIGHTS[min(version, max(RIGHTS))]) - 1
    network = 3 if version >= 4 and not terms["network"] else 0
    scopes = 3 if version >= SIGNALS_SCOPED else 0
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    attributes = struct.pack("=QQQ", known, network, scopes)[:size]
    rules = _call(CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    for path in terms["read"]:
        _let(rules, Path(path), known & READ)
    for path in terms["write"]:
        _let(rules, Path(path), known & WRITE)
    for path in terms["links"]:
        _let(rules, Path(path), known & (WRITE | MAKE_LINK))
    for path in ("/dev/null", *terms["devices"]):
        _let(rules, Path(path), known & (READ | WRITE_FILE | TRUNCATE | IOCTL))
    _call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def _let(rules: int, path: Path, access: int) -> None:
    """Allows access to a path and all beneath it; what does not exist needs none."""
    if not path.exists():
        return
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    access &= -1 if path.is_dir() else OF_FILES
    _call(ADD_RULE, rules, 1, struct.pack("=Qi", access, place), 0)
    os.close(place)


def _calls(machine: str, network: bool) -> None:
    program = b"".join(struct.pack("=HBBI", *line) for line in program_for(machine, network))
    lines = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(
        struct.pack("@HP", len(program) // 8, ctypes.addressof(lines))
    )
    _prctl(SECCOMP, FILTER, ctypes.byref(header))


def program_for(machine: str, network: bool) -> list[Line]:
    """Returns the filter. What changes a file's mode, owner or times, of which Landlock knows
    nothing, does nothing and says that it did: copying a file calls it."""
    column, refuse = COLUMNS[machine], (RETURN, 0, 0, ERRNO | errno.EPERM)
    lines: list[Line] = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":  # the numbers of its 32-bit twin begin here
        lines += [(AT_LEAST, 0, 1, 0x40000000), refuse]
    for number in sorted(_numbers("refused", column)):
        lines += [(EQUAL, 0, 1, number), refuse]
    if landlock() < SIGNALS_SCOPED:
        for number in sorted(_numbers("signals", column)):
            lines += [(EQUAL, 0, 1, number), refuse]
    for number in sorted(_numbers("ignored", column)):
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERRNO)]
    allow = (RETURN, 0, 0, ALLOW)
    # Its flags lie in memory, where no filter sees them; without it libc falls back to clone.
    lines += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    lines += _if(CLONE[column], _argument(0), (ANY_BIT, 0, 1, NAMESPACES), refuse, allow)
    lines += _if(PRLIMIT[column], _argument(0), (EQUAL, 1, 0, 0), refuse, allow)
    # A pair of datagrams can send to any socket that has a name.
    kind = [_argument(1), (AND, 0, 0, 0xF), (EQUAL, 1, 0, STREAM)]
    lines += _if(SOCKETPAIR[column], *kind, refuse, allow)
    families = [(EQUAL, len(INTERNET) - i + 1, 0, n) for i, n in enumerate((*INTERNET, NETLINK))]
    asked = [_argument(0), *families, refuse, allow] if network else [refuse]
    return [*lines, *_if(SOCKET[column], *asked), allow]


def _numbers(kind: str, column: int) -> set[int]:
    return {numbers[column] for numbers in CALLS[kind].values()} - {0}


def _if(number: int, *lines: Line) -> Iterable[Line]:
    return [(EQUAL, 0, len(lines), number), *lines]


def _argument(position: int) -> Line:
    return (LOAD, 0, 0, 16 + 8 * position)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def landlock() -> int:
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
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:]))
