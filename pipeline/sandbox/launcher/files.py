"""Which files the process can open: Landlock lets it have those that are named, for good."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from . import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
READ_FILE, READ_DIR, WRITE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 14
# Regular files and directories, made, renamed and removed: no links, pipes, sockets or devices.
WRITE = WRITE_FILE | TRUNCATE | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13
FOR_FILES = READ_FILE | WRITE_FILE | TRUNCATE
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Landlock's version -> how many kinds of access to files it knows."""


def version() -> int:
    """Returns Landlock's version; 0 or less if there is none."""
    return int(kernel.libc().syscall(CREATE_RULESET, None, ctypes.c_size_t(0), 1))


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Leaves these files and directories, and what lies beneath them. From version 4 on no network
    is left either, from version 6 on no abstract Unix socket and no signal to another process."""
    landlock = version()
    known = (1 << RIGHTS[min(landlock, max(RIGHTS))]) - 1
    network, scopes = (3 if landlock >= 4 else 0), (3 if landlock >= 6 else 0)
    size = 24 if landlock >= 6 else 16 if landlock >= 4 else 8
    attributes = struct.pack("=QQQ", known, network, scopes)[:size]
    rules = kernel.call(CREATE_RULESET, attributes, size, 0)
    for path in readable:
        _let(rules, path, READ_FILE | READ_DIR)
    for path in writable:
        _let(rules, path, known & (READ_FILE | READ_DIR | WRITE))
    _let(rules, Path(os.devnull), known & FOR_FILES)
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
    access &= -1 if path.is_dir() else FOR_FILES
    kernel.call(ADD_RULE, rules, 1, struct.pack("=Qi", access, place), 0)
    if not path.is_relative_to("/proc"):
        os.close(place)
