"""A child's end: all that Python does at its end, but for taking apart what its parent imported.

That copies most of the parent's memory: 54 ms of processor time for a command of DVC's, and 340 for
one with PyTorch, which a process of its own would need as well.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn


def after(work: Callable[[], None]) -> NoReturn:
    """Does the work and ends this process with its exit code. What is raised, or cannot be
    flushed, is left to Python."""
    code = 0
    try:
        work()
    except SystemExit as leaving:
        code = _code(leaving.code)
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)
    os._exit(code & 0xFF)


def _code(given: object) -> int:
    """Returns the number; a word is said."""
    if given is None or isinstance(given, int):
        return given or 0
    print(given, file=sys.stderr, flush=True)
    return 1
