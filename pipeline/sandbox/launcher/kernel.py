"""The kernel's calls that Python has no names for; a refusal is an OSError that says which call."""

import ctypes
import os
from typing import Any


def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(number: int, *arguments: Any) -> int:
    """Makes a system call by its number; integers are passed as the 64 bits they are."""
    values = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return checked(libc().syscall(ctypes.c_long(number), *values), f"system call {number}")


def prctl(option: int, *arguments: Any) -> None:
    values = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    checked(libc().prctl(option, *values, *[ctypes.c_ulong(0)] * (4 - len(values))), "prctl")


def checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return int(result)
