"""What a process answered, read with care: it may have run code that nobody here knows."""

import dataclasses
import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from zipfile import BadZipFile, ZipFile

import numpy as np

from pipeline.config.params import Limits
from pipeline.sandbox.worker.job import Job

GIB = 1 << 30

LONGEST_REPORT, LONGEST_LIST = 64 << 20, 8 << 20
"""Bytes."""

OUT_OF_REACH = "no file is in reach but its own (Landlock)"

UNREADABLE: tuple[type[Exception], ...] = (
    *(OSError, ValueError, TypeError, LookupError, EOFError, BadZipFile),
    *(AttributeError, MemoryError, RecursionError, zlib.error),
)
"""What reading JSON and arrays raises where a stranger wrote them."""

Batches = Mapping[str, Mapping[str, np.ndarray]]
"""Batch -> output -> array, rows first."""

Places = tuple[tuple[str, int, int], ...]
"""File, offset and bytes of each."""


@dataclass(frozen=True, kw_only=True)
class _Report:
    """Holds what a process says of itself, whatever its task."""

    error: str | None
    """One line, or None if nothing went wrong."""
    at: str
    """What was being done when it ended, "done" at the end; see worker/tasks.py."""
    proofs: Mapping[str, str | None] = field(default_factory=dict)
    """Refused package -> the error on importing it; None if it could be imported."""
    timing: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answers(_Report):
    """Holds what one process answered; whatever came before its error is there."""

    outputs: Batches = field(default_factory=dict)
    again: Batches = field(default_factory=dict)
    reloaded: Batches = field(default_factory=dict)
    perturbed: Batches = field(default_factory=dict)
    questions: Batches = field(default_factory=dict)
    """Number of a row that may be refused -> its answers."""
    refused_rows: Mapping[str, str] = field(default_factory=dict)
    """Number -> the error instead."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The metrics of its answers to the test split."""
    unfit: tuple[str, ...] = ()
    """Why these answers cannot be scored, if so."""
    weight: str | None = None
    """The one that was perturbed."""
    strength: float | None = None
    """The share of each value by which it was."""
    followed: int | None = None
    """The weight's number among those that move the source's answers; None for one of its own."""
    file: str | None = None
    places: Places = ()
    """Of each weight."""

    @property
    def complete(self) -> bool:
        """Returns whether the model itself answered everything; perturbing it is not its own
        doing."""
        return self.error is None or self.at.split(":")[0] in ("weights", "perturbed")

    @classmethod
    def read(cls, report: Path, answers: Path) -> "Answers":
        """Reads what the worker wrote."""
        reported = json.loads(report.read_text())
        names = ("outputs", "again", "reloaded", "perturbed", "questions")
        kinds: dict[str, Any] = {name: {} for name in names}
        with np.load(answers) as arrays:
            for key in arrays:
                kind, batch, name = key.split("/", 2)
                kinds[kind].setdefault(batch, {})[name] = arrays[key]
        reported["places"] = tuple(tuple(place) for place in reported.get("places", ()))
        return cls(**reported, **kinds)


@dataclass(frozen=True, kw_only=True)
class Training(_Report):
    """Holds what one process came to that took the steps of the reference."""

    results: Batches = field(default_factory=dict)
    """By the kinds that the reference has: `losses` by step, `state` by name, and the `answers` to
    the batch `seven`."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of `state` by name, where that is told in the place of its values."""
    places: Places = ()
    """Of the optimizer's state."""

    @classmethod
    def read(cls, report: Path, answers: Path) -> "Training":
        """Reads what the worker wrote."""
        reported = json.loads(report.read_text())
        reported["places"] = tuple(tuple(place) for place in reported.get("places", ()))
        with np.load(answers) as arrays:
            results = by_kind({key: arrays[key] for key in arrays})
        return cls(**reported, results=results)


@dataclass(frozen=True, kw_only=True)
class Ids(_Report):
    """Holds what one process made of texts."""

    ids: Batches = field(default_factory=dict)
    """Input -> number of a text -> its ids."""

    @classmethod
    def read(cls, report: Path, answers: Path) -> "Ids":
        """Reads what the worker wrote."""
        ids: dict[str, dict[str, np.ndarray]] = {}
        with np.load(answers) as arrays:
            for key in arrays:
                _, name, number = key.split("/", 2)
                ids.setdefault(name, {})[number] = arrays[key]
        return cls(**json.loads(report.read_text()), ids=ids)


def by_kind(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """Returns arrays named <kind>/<name> by kind and name."""
    kinds: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        kind, _, name = key.partition("/")
        kinds.setdefault(kind, {})[name] = array
    return kinds


Reported = TypeVar("Reported", Answers, Training, Ids)


def _explained(error: str, limits: Limits) -> str:
    """Returns the error, and where confinement caused it the limit that it comes from."""
    for sign, limit in (
        ("[Errno 13]", OUT_OF_REACH),
        ("[Errno 2] No such file or directory: '/", OUT_OF_REACH),
        ("[Errno 18]", OUT_OF_REACH),
        ("[Errno 1]", "no network and no other process is (seccomp)"),
        ("[Errno 38]", "no network and no other process is (seccomp)"),
        ("[Errno 27]", f"verify.limits.file_gib is {limits.file_gib:g}"),
        ("MemoryError", f"verify.limits.memory_gib is {limits.memory_gib:g}"),
        ("bad_alloc", f"verify.limits.memory_gib is {limits.memory_gib:g}"),
    ):
        if sign in error:
            return f"{error}; it is confined: {limit}"
    return error


def read(kind: type[Reported], job: Job, death: str | None, limits: Limits) -> Reported:
    """Reads what a process reported, which may have run code that nobody here knows."""
    if death is not None:
        return kind(error=_explained(death, limits), at="start")
    try:
        _demand_bounded(Path(job.answers), limits)
        if Path(job.report).stat().st_size > LONGEST_REPORT:
            raise ValueError("it is too long")
        report = kind.read(Path(job.report), Path(job.answers))
    except UNREADABLE as fault:
        return kind(error=f"its report cannot be read: {fault}", at="start")
    error = report.error if report.error is None else _explained(str(report.error), limits)
    return dataclasses.replace(report, error=error)


def _demand_bounded(archive: Path, limits: Limits) -> None:
    """Raises ValueError where arrays, or the list of them, take more memory than they may."""
    with archive.open("rb") as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined]  # before it reads the list
    if end and end[zipfile._ECD_SIZE] > LONGEST_LIST:  # type: ignore[attr-defined]
        raise ValueError(f"{archive.name}: its list of arrays is too long")
    with ZipFile(archive) as opened:
        size = sum(each.file_size for each in opened.infolist())
    if size > limits.memory_gib * GIB:
        raise ValueError(f"{archive.name}: unpacks to {size} bytes")
