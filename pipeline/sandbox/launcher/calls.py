"""Which system calls the process can make: those that are listed, some in certain forms alone.

recorded.json is what the libraries were seen to ask for, written by scripts/system_calls, and the
numbers of all calls that are named; system_calls.json says, each with its reason, what is let
through beside that, in which forms, and what never is.
"""

import ctypes
import errno
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import kernel

SECCOMP, FILTER = 22, 2
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMNS = {"x86_64": 0, "aarch64": 1}
YOUNGER = {"x86_64": 313, "aarch64": 273}
"""The first call that libraries know to do without, since an older kernel they run on has it not:
one that is not listed is answered as that kernel would, ENOSYS; an older one with EPERM."""

ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
SELF = "this process"

ANY: dict[str, Any] = {"only": []}

Line = tuple[int, int, int, int]
"""Of a seccomp filter: code, lines to skip if true, if false, and a value."""

RECORDED: dict[str, Any] = json.loads(Path(__file__).with_name("recorded.json").read_text())
REASONED: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("system_calls.json").read_text()
)
"""Both read while files can still be."""


def allowed() -> set[str]:
    """Returns the names of all that is let through, in whatever form."""
    seen = {name for record in RECORDED["records"] for name in record["calls"]}
    beside = {name for names in REASONED["beside"].values() for name in names}
    never = {name for names in REASONED["never"].values() for name in names}
    return (seen | beside | set(REASONED["forms"])) - never


def restrict(machine: str) -> None:
    install(program_for(machine, os.getpid()))


def install(filter_lines: list[Line]) -> None:
    """Puts every call of this process to the filter, for good."""
    program = b"".join(struct.pack("=HBBI", *line) for line in filter_lines)
    lines = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(lines))
    kernel.prctl(SECCOMP, FILTER, header)


def program_for(machine: str, process: int) -> list[Line]:
    """Returns the filter; a call of another architecture's numbering ends the process."""
    lines: list[Line] = [
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, ARCHITECTURES[machine]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, 0),
    ]
    for name in sorted(allowed()):
        number = RECORDED["numbers"][name][COLUMNS[machine]]
        if number is not None:
            body = list(_judgement(REASONED["forms"].get(name, ANY), process))
            lines += [(EQUAL, 0, len(body), number), *body]
    lines += [(AT_LEAST, 0, 1, YOUNGER[machine]), _refused(errno.ENOSYS)]
    return [*lines, _refused(errno.EPERM)]


def _judgement(form: dict[str, Any], process: int) -> Iterator[Line]:
    """Yields the lines that end in an answer to one call."""
    for condition in form["only"]:
        values = [process if each == SELF else _number(each) for each in condition["in"]]
        yield (LOAD, 0, 0, 16 + 8 * condition["argument"] + 4 * condition.get("high", False))
        if "mask" in condition:
            yield (AND, 0, 0, _number(condition["mask"]))
        for position, value in enumerate(values):
            yield (EQUAL, len(values) - position, 0, value)
        yield _refused(getattr(errno, form["else"]))
    yield (RETURN, 0, 0, ALLOW)


def _number(value: int | str) -> int:
    """Returns it also where it is written in hexadecimal, which JSON does not know."""
    return int(value, 0) if isinstance(value, str) else value


def _refused(code: int) -> Line:
    return (RETURN, 0, 0, ERRNO | code)
