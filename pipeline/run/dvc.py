"""DVC as `python -m pipeline` runs it: told to end, it first has what it runs end.

By itself it dies of SIGTERM at once: a stage that saves what it has come to goes on beside whoever
begins the same again, and a container ends before it has saved.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType

from pipeline.run import children
from pipeline.run.signals import Arrivals, handled

INTERVAL = 0.1
"""Seconds between two looks at what DVC runs next."""
_arrivals = Arrivals()
_ending: list[threading.Thread] = []


def main(words: list[str]) -> int:
    """Returns DVC's exit code."""
    from dvc.cli import main as dvc

    for number in handled():  # DVC ignores SIGINT while it runs a command, which has it as well
        signal.signal(number, _on_signal)
    return int(dvc(words))


def _on_signal(*_: int | FrameType | None) -> None:
    """Between two commands DVC ends as it does at Ctrl-C."""
    if not _arrivals.is_another():
        return
    commands = children.commands_of(os.getpid())
    if not commands:
        raise KeyboardInterrupt
    _send(commands)
    if not _ending:
        _ending.append(threading.Thread(target=_end_what_comes, args=(set(commands),), daemon=True))
        _ending[0].start()


def _end_what_comes(ended: set[int]) -> None:
    """Ends what would be begun still: the next of a shell's commands, or the stage after one that
    was done just then."""
    while True:
        time.sleep(INTERVAL)
        commands = set(children.commands_of(os.getpid())) - ended
        _send(commands)
        ended |= commands


def _send(commands: list[int] | set[int]) -> None:
    for each in commands:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGTERM)


if __name__ == "__main__":
    children.end_with_parent()
    sys.exit(main(sys.argv[1:]))
