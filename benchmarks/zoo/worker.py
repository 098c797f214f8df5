"""A warm process takes net after net through the stages, each in a fork of its own, so that what
crashes or takes too long costs one net."""

import contextlib
import json
import os
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.reproduced import ROOT, clone
from benchmarks.zoo.nets import Net
from benchmarks.zoo.outcome import Outcome, outcome_of
from pipeline.config.yaml_text import dump_yaml, load_yaml

STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify")
LOOK = 0.2
"""Seconds between two looks at the clock."""
Done = Callable[[Net, Outcome], None]


def served(
    framework: str, nets: list[Net], scratch: Path, jobs: int, limit: float, done: Done
) -> None:
    """Takes the nets of one framework through the stages, so many at a time, `limit` seconds each;
    hands each outcome over. To be called in a process that has imported no framework."""
    warm(framework, {library for net in nets for library in net.libraries})
    places = [clone(scratch / f"{framework}-{number}") for number in range(jobs)]
    waiting = list(nets)
    running: dict[int, tuple[Net, Path, float]] = {}
    while waiting or running:
        while waiting and places:
            net, place = waiting.pop(0), places.pop()
            running[fork(partial(alone, net, place))] = (net, place, time.monotonic())
        time.sleep(LOOK)
        for process, (net, place, began) in list(running.items()):
            ended, seconds = is_ended(process), time.monotonic() - began
            if not ended and seconds < limit:
                continue
            if not ended:
                end_group(process)
            done(net, outcome_of(net, place, seconds, None if ended else limit))
            del running[process]
            places.append(place)


def warm(framework: str, libraries: Iterable[str]) -> None:
    """Imports what nets and stages need, once; a library that is not installed tells each net."""
    import pipeline.checkpoint
    import pipeline.export_complete
    import pipeline.prepare
    import pipeline.train
    import pipeline.verify  # noqa: F401
    from pipeline import formats, frameworks

    sys.path.insert(0, str(ROOT))
    frameworks.framework(framework)
    for name in formats.names():
        if framework in formats.declared(name).frameworks:
            formats.exporter(name)
    if framework == "pytorch":
        declare_operators()
    for library in sorted(libraries):
        with contextlib.suppress(ImportError, RuntimeError):
            __import__(library)


def declare_operators() -> None:
    """Declares the operators without which torchvision, built for another torch than a CPU's, is
    not imported at all; whoever calls one is told that it has no kernel."""
    import torch

    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    KEPT.append(library)


KEPT: list[Any] = []
"""A declaration of torch's ends with its object."""


def fork(work: Callable[[], None]) -> int:
    """Runs the work in a fork that leads a process group; returns its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process:
        with contextlib.suppress(OSError):
            os.setpgid(process, process)
        return process
    code = 1
    try:
        os.setpgid(0, 0)
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the fork ends here
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def is_ended(process: int) -> bool:
    return os.waitpid(process, os.WNOHANG)[0] == process


def end_group(process: int) -> None:
    """Ends a fork with all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process, number)
        time.sleep(1)
    os.waitpid(process, 0)


def alone(net: Net, place: Path) -> None:
    """Takes a net through the stages in a clone; what came of each lies there."""
    os.chdir(place)
    for folder in ("artifacts", "reports"):
        shutil.rmtree(folder, ignore_errors=True)
    log = Path("artifacts/log")
    log.mkdir(parents=True)
    commands = load_yaml(Path("dvc.yaml").read_text(), "dvc.yaml")["stages"]
    for train in (True, False):
        Path("params.yaml").write_text(dump_yaml(net.params(train)))
        for name in STAGES if train else STAGES[3:]:
            file = log / f"{name}.{train}"
            code, memory = stage(commands[name]["cmd"].split()[2:], file)
            file.with_suffix(f".{train}.json").write_text(json.dumps([code, memory]))
            if code:
                break
        if name != "export-complete":
            return


def stage(words: list[str], log: Path) -> tuple[int, float]:
    """Runs `python -m *words` in a fork; returns its exit code and the most memory, in MiB."""

    def run() -> None:
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        sys.argv = list(words)
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)

    process = os.fork()
    if not process:
        try:
            run()
        except BaseException:  # noqa: BLE001 - the fork ends here
            import traceback

            traceback.print_exc()
        finally:
            os._exit(1)
    _, status, usage = os.wait4(process, 0)
    return status, usage.ru_maxrss / 1024
