"""Builds a runtime's program as it lies in a complete model, and runs it, confined."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from pipeline import runtimes
from pipeline.config.params import Limits
from pipeline.files import temporary_folder
from pipeline.runtimes.contract import FOLDER, SEARCHED, NotHere, Place
from pipeline.sandbox import programs
from pipeline.sandbox.supervisor import with_link_targets

KINDS = ("losses", "state", "answers")
STEPS = "examples/training.npz"
FAR = 1
"""The exit code of a program that answered, and further off than it may be."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What came of running a program."""

    missing: str = ""
    """What this machine lacks, and how it is installed; it was not run then."""
    fault: str = ""
    """Why it gave no answers, or what it says of them itself."""
    outputs: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """By batch and output; empty where it could not answer."""
    timing: Mapping[str, float] = field(default_factory=dict)
    """Seconds, and `peak_mib` of its memory."""
    trained: "Trained | None" = None
    """None where it predicts alone, or did not answer."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What came of a program's further training."""

    format: str
    fault: str = ""
    results: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """By the kinds that the reference has, and name; empty where it took no step."""
    seconds: float = 0.0


def answer(
    name: str,
    complete_model: Path,
    batches: Mapping[str, Path],
    limits: Limits,
    threads: int,
    timed: bool = True,
    steps: Path | None = None,
) -> Ran:
    """Answers each batch, a file of inputs and outputs as those in examples/, and trains on where
    it can: the `steps`, by default those of examples/, and the batch `seven` after them. Nothing is
    written into the complete model."""
    try:
        place = runtimes.program(name).find()
    except NotHere as lacking:
        return Ran(missing=str(lacking))
    with temporary_folder("runs-") as scratch:
        steps = (steps or complete_model / STEPS).resolve()
        return _answer(name, complete_model, batches, scratch, place, limits, threads, timed, steps)


def _answer(
    name: str,
    complete_model: Path,
    batches: Mapping[str, Path],
    scratch: Path,
    place: Place,
    limits: Limits,
    threads: int,
    timed: bool,
    steps: Path,
) -> Ran:
    program, source = runtimes.program(name), complete_model.resolve() / FOLDER / name
    target, answers = scratch / "built", scratch / "built/answers"
    answers.mkdir(parents=True)
    files = {batch: path.resolve() for batch, path in batches.items()}
    readable = [*with_link_targets(complete_model), *files.values(), steps, *place.readable]
    port = _free_port() if place.serves else 0
    environment = {"PATH": SEARCHED, "THREADS": str(threads), "PORT": str(port)}
    more = (source, target, readable, limits, {**environment, **place.environment}, port)
    timing: dict[str, float] = {}
    if command := program.build(source, target):
        built = programs.run(command, *more)
        if built.fault:
            return Ran(fault=f"building it {built.build_fault}")
        timing["build_seconds"] = built.seconds
        _make_executable(target)
    words = ["--answers", str(answers), *(["--time", str(target / "time.json")] if timed else [])]
    command = [*program.run(source, target), *words, *map(str, files.values())]
    done = programs.run(command, *more)
    if done.stopped or done.code not in (0, FAR):
        return Ran(fault=done.fault)
    if timed:
        timing |= json.loads((target / "time.json").read_text())
    trained = None
    if taken := runtimes.trains(name, complete_model):
        command = [*program.run(source, target), "--train", "--answers", str(answers)]
        trained = _trained(taken, command, [steps, files["seven"]], answers, more)
    return Ran(
        fault=_fault(done),
        outputs={batch: _outputs(answers, path.stem) for batch, path in files.items()},
        timing=timing | {"peak_mib": done.peak_mib},
        trained=trained,
    )


def _trained(
    taken: str, command: list[str], files: list[Path], answers: Path, more: tuple[Any, ...]
) -> Trained:
    done = programs.run([*command, *map(str, files)], *more)
    if done.stopped or done.code not in (0, FAR):
        return Trained(format=taken, fault=done.fault)
    results = {kind: _outputs(answers, kind) for kind in KINDS}
    return Trained(format=taken, fault=_fault(done), results=results, seconds=done.seconds)


def _fault(done: programs.Ended) -> str:
    """Returns what a program says itself of what is too far; "" where nothing is."""
    said = [line for line in done.lines if line.endswith("too far")]
    return said[0] if said and done.code else done.fault


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _make_executable(target: Path) -> None:
    """Makes the programs in a folder executable. The confinement keeps a linker from setting a
    mode, since nothing would say of which file."""
    for path in target.iterdir():
        if path.is_file() and not path.suffix:
            path.chmod(0o700)


def _outputs(answers: Path, stem: str) -> dict[str, Any]:
    paths = sorted(answers.glob(f"{stem}.*.npy"))
    return {unquote(path.name[len(stem) + 1 : -4]): np.load(path) for path in paths}
