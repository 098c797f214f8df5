"""Which files the process can open: Landlock lets it have those that are named, for good."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from . import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, MAKE_SOCKET, MAKE_LINK, TRUNCATE, IOCTL = (
    1 << n for n in (0, 1, 2, 3, 9, 12, 14, 15)
)
READ = READ_FILE | READ_DIR
TO_DEVICE = READ_FILE | WRITE_FILE | TRUNCATE
# Regular files and directories, made, renamed and removed: no links, pipes, sockets or devices.
WRITE = READ | WRITE_FILE | TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13
OF_FILES = EXECUTE | READ_FILE | WRITE_FILE | TRUNCATE | IOCTL
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock's version -> how many kinds of access to files it knows."""
SIGNALS_SCOPED = 6
"""The version from which no signal leaves the confined processes."""


def version() -> int:
    """Returns Landlock's version; 0 or less if there is none."""
    return int(kernel.libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def restrict(allowed: Iterable[tuple[Path, int]], network: bool | int = False) -> None:
    """Leaves these files and directories, and what lies beneath them, each to be used as its number
    says. From version 4 on no network is left either unless it is asked for, or that of the one
    port which is a number; from version 6 on no abstract Unix socket and no signal to another
    process."""
    landlock = version()
    known = (1 << RIGHTS[min(landlock, max(RIGHTS))]) - 1
    ports = 3 if landlock >= 4 and network is not True else 0
    scopes = 3 if landlock >= SIGNALS_SCOPED else 0
    size = 24 if landlock >= 6 else 16 if landlock >= 4 else 8
    attributes = struct.pack("=QQQ", known, ports, scopes)[:size]
    rules = kernel.call(CREATE_RULESET, attributes, size, 0)
    for path, access in allowed:
        _let(rules, path, known & access)
    if ports and network:
        kernel.call(ADD_RULE, rules, 2, struct.pack("=QQ", ports, network), 0)
    kernel.call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def _let(rules: int, path: Path, access: int) -> None:
    """Allows access to a path and all beneath it; what does not exist needs none.

    In /proc it stays open: there the kernel may forget a file that nobody has open, and make it
    anew, and the rule would be for the one that is gone.
    """
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    access &= -1 if path.is_dir() else OF_FILES
    kernel.call(ADD_RULE, rules, 1, struct.pack("=Qi", access, place), 0)
    if not path.is_relative_to("/proc"):
        os.close(place)
