"""Run by its path, `python -I program_launcher.py terms.json command ...`: runs a command that may
start programs, but writes to nothing outside its own directories, and reaches no network unless
asked.

The sandbox of a model refuses programs altogether; a stage starts git and others. This process
waits, is not confined itself, and ends whatever the command leaves running; at a signal, and when
the process that started it is gone, it ends all of it at once. Nothing of ours is imported but the
parts that the sandbox' launcher is made of. terms.json has
  read     files and directories that may be read, and programs in them be run
  write    directories that may be written, too; no link, pipe, socket or device is made there
  links    directories in which links may be made as well, as a virtual environment has them
  devices  that may be written, as a GPU's
  network  whether there is one; a number is of the one port that there is
  sockets  whether Unix sockets are made, in the directories with links, as a browser does
  memory   bytes of address space, where there is a limit
  seconds  of processor time of a process, where there is a limit
  file     bytes of a file, where there is a limit
  parent   the process that it dies with
  peak     a file that gets the most memory that a process of the command had, in KiB; or none
  files, calls  false where this system has no such confinement
"""

import ctypes
import json
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterable, Mapping
from errno import ENOSYS, EPERM
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
from launcher import calls, files, kernel  # type: ignore[import-not-found]

del sys.path[0]

CLONE, CLONE3, SOCKET, SOCKETPAIR = (56, 220), (435, 435), (41, 198), (53, 199)
PRLIMIT, CAPSET = (302, 261), (126, 91)
CALLS: dict[str, dict[str, list[int]]] = json.loads(
    Path(__file__).with_name("program_calls.json").read_text()
)
"""refused, ignored and signals -> system call -> its number on x86_64 and on aarch64."""

DROP_FROM_BOUNDING_SET, CAPABILITIES_V3 = 24, 0x20080522
PDEATHSIG, NO_NEW_PRIVS, SUBREAPER = 1, 38, 36
LOAD, EQUAL, AND, ANY_BIT = calls.LOAD, calls.EQUAL, calls.AND, 0x45
NAMESPACES = 0x7E020000
INTERNET, NETLINK, UNIX = (2, 10), 16, 1
STREAM, SEQUENCE = 1, 5
"""Kinds of a pair of sockets; one of datagrams can send to any socket that has a name."""


SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main(terms: Mapping[str, Any], command: list[str]) -> int:
    """Returns the command's exit code, once nothing of what it started is left."""
    awaited = {each for each in SIGNALS if signal.getsignal(each) is not signal.SIG_IGN}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, awaited | {signal.SIGCHLD})
    kernel.prctl(PDEATHSIG, signal.SIGTERM)
    kernel.prctl(SUBREAPER, 1)
    if os.getppid() != terms["parent"]:
        raise OSError("the process that started it is gone")
    child = os.fork()
    if child == 0:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.setsid()  # so that it has no terminal to type into
            confine(terms, os.getppid())
            os.execvp(command[0], command)
        except OSError as fault:
            os.write(2, f"{command[0]}: {fault}\n".encode())
        finally:
            os._exit(127)
    status = _waited(child, awaited)
    if "peak" in terms:
        most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        Path(terms["peak"]).write_text(str(most))
    return os.waitstatus_to_exitcode(status) % 256 if status >= 0 else 127


def _waited(child: int, awaited: set[signal.Signals]) -> int:
    """Waits for the command or for a signal, then ends what runs, which has this process as parent.
    Returns how the command ended; -1 where it was ended here."""
    status = -1
    while status < 0:
        ended, code = os.waitpid(-1, os.WNOHANG)
        if ended == child:
            status = code
        elif not ended and signal.sigwait(awaited | {signal.SIGCHLD}) in awaited:
            break
    while True:
        for process in _children():
            os.kill(process, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return status


def _children() -> list[int]:
    own = str(os.getpid())
    children = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = place.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if after_name[1] == own:
            children.append(int(place.parent.name))
    return children


def confine(terms: Mapping[str, Any], parent: int) -> None:
    """Confines this process for good. Raises OSError if any part of it is refused."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    limits = {"memory": resource.RLIMIT_AS, "file": resource.RLIMIT_FSIZE}
    limits |= {"seconds": resource.RLIMIT_CPU}
    for name in limits.keys() & terms.keys():
        resource.setrlimit(limits[name], (terms[name],) * 2)
    kernel.prctl(PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        raise OSError("the process that started it is gone")
    kernel.prctl(NO_NEW_PRIVS, 1)
    _give_up_capabilities()
    if terms["files"]:
        _files(terms)
    if terms["calls"]:
        sockets = terms.get("sockets", False)
        calls.install(program_for(platform.machine(), bool(terms["network"]), sockets))


def _give_up_capabilities() -> None:
    """Gives up all capabilities: root without them is a user like another, who owns root's
    files."""
    for each in range(64):
        kernel.libc().prctl(DROP_FROM_BOUNDING_SET, ctypes.c_ulong(each), 0, 0, 0)
    number = CAPSET[calls.COLUMNS.get(platform.machine(), 0)]
    kernel.call(number, struct.pack("=Ii", CAPABILITIES_V3, 0), bytes(24))


def _files(terms: Mapping[str, Any]) -> None:
    read = files.READ | files.EXECUTE
    write = files.WRITE | files.EXECUTE
    device = read | files.TO_DEVICE | files.IOCTL
    links = write | files.MAKE_LINK | (files.MAKE_SOCKET if terms.get("sockets") else 0)
    rights = {"read": read, "write": write, "links": links, "devices": device}
    allowed = [(Path(path), access) for name, access in rights.items() for path in terms[name]]
    files.restrict([*allowed, (Path(os.devnull), device)], terms["network"])


def program_for(machine: str, network: bool, sockets: bool = False) -> list[calls.Line]:
    """Returns the filter. What changes a file's mode, owner or times, of which Landlock knows
    nothing, does nothing and says that it did: copying a file calls it."""
    column, refuse = calls.COLUMNS[machine], (calls.RETURN, 0, 0, calls.ERRNO | EPERM)
    lines: list[calls.Line] = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, calls.ARCHITECTURES[machine]),
        (calls.RETURN, 0, 0, calls.KILL),
        (LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":  # the numbers of its 32-bit twin begin here
        lines += [(calls.AT_LEAST, 0, 1, 0x40000000), refuse]
    for number in sorted(_numbers("refused", column)):
        lines += [(EQUAL, 0, 1, number), refuse]
    if files.version() < files.SIGNALS_SCOPED:
        for number in sorted(_numbers("signals", column)):
            lines += [(EQUAL, 0, 1, number), refuse]
    for number in sorted(_numbers("ignored", column)):
        lines += [(EQUAL, 0, 1, number), (calls.RETURN, 0, 0, calls.ERRNO)]
    allow = (calls.RETURN, 0, 0, calls.ALLOW)
    # Its flags lie in memory, where no filter sees them; without it libc falls back to clone.
    lines += [(EQUAL, 0, 1, CLONE3[column]), (calls.RETURN, 0, 0, calls.ERRNO | ENOSYS)]
    lines += _if(CLONE[column], _argument(0), (ANY_BIT, 0, 1, NAMESPACES), refuse, allow)
    lines += _if(PRLIMIT[column], _argument(0), (EQUAL, 1, 0, 0), refuse, allow)
    kinds = (STREAM, SEQUENCE) if sockets else (STREAM,)
    pairs = [(EQUAL, len(kinds) - i, 0, n) for i, n in enumerate(kinds)]
    lines += _if(SOCKETPAIR[column], _argument(1), (AND, 0, 0, 0xF), *pairs, refuse, allow)
    known = (*INTERNET, NETLINK, *([UNIX] if sockets else []))
    families = [(EQUAL, len(known) - i, 0, n) for i, n in enumerate(known)]
    asked = [_argument(0), *families, refuse, allow] if network else [refuse]
    return [*lines, *_if(SOCKET[column], *asked), allow]


def _numbers(kind: str, column: int) -> set[int]:
    return {numbers[column] for numbers in CALLS[kind].values()} - {0}


def _if(number: int, *lines: calls.Line) -> Iterable[calls.Line]:
    return [(EQUAL, 0, len(lines), number), *lines]


def _argument(position: int) -> calls.Line:
    return (LOAD, 0, 0, 16 + 8 * position)


if __name__ == "__main__":
    sys.exit(main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:]))
