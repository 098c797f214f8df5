"""The processes between a stage and DVC, which has started it: a shell may stand between."""

import os
import sys
from pathlib import Path

STANDS_FOR = "stands_for"
"""The option of the interpreter (`-X`) that holds the number of the process which a preloaded one
stands for."""
RUNS_STAGES = "RUNS_STAGES"
"""The variable by which `reproduce` says that it runs stages as DVC does: its process number."""


def stage_process() -> int:
    """Returns the process that DVC's shell has started: this one, or the one it stands for."""
    return int(sys._xoptions.get(STANDS_FOR) or os.getpid())


def processes_up_to_dvc() -> list[tuple[int, int]]:
    """Returns each process with its parent, from the stage's up to DVC."""
    pairs, process = [], stage_process()
    while above := parent_of(process):
        pairs.append((process, above))
        if not is_shell(above):
            break
        process = above
    return pairs


def parent_of(process: int) -> int | None:
    """Returns the parent of a process that is there, else None."""
    if process == os.getpid():
        return os.getppid()
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])


def is_left(pairs: list[tuple[int, int]]) -> bool:
    """Returns whether DVC is gone already, and the stage has another parent, as init is: in another
    group of processes. A command that leads a group, as `srun` and `setsid` begin it, is not left.
    """
    try:
        group = os.getpgid(pairs[0][0])
        return os.getpgid(pairs[-1][1]) != group and group not in {each for each, _ in pairs}
    except (IndexError, ProcessLookupError):  # it has no parent here; or is seen to lose it
        return False


def is_shell(process: int) -> bool:
    """Returns whether it is a shell that runs a command, as DVC starts it; not one typed in."""
    try:
        program, *words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    own = os.fsencode(os.environ.get("SHELL", ""))
    return b"-c" in words[:3] and (program.endswith(b"sh") or program == own)
