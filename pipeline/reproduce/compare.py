"""A rebuilt artifact against the recorded statement, and against the original where it is at hand.

A digest says whether; only the original says by how much.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import provenance
from pipeline.config.params import Tolerance
from pipeline.errors import CannotRun
from pipeline.provenance.lineage import FOLDER, Node, node
from pipeline.reproduce import reading
from pipeline.reproduce.cause import Cause, causes
from pipeline.reproduce.tensors import Arrays, tensors
from pipeline.untrusted import arrays
from pipeline.verification.comparison import compare

TOLERANCE = Tolerance(atol=1e-4, rtol=1e-4)
"""What conf/verify/default.yaml allows a runtime that computes in another order, as another CPU or
another number of threads does."""


PROSE = (
    *("README.md", "MLmodel", "requirements.txt", "python_env.yaml", "conda.yaml"),
    provenance.PATCH,
)
"""Files that describe an artifact; there is nothing in them to compute with."""


DISTANCES = {"compared", "values", "bitwise_equal", "within_tolerance", "max_abs", "max_rel", "at"}
NEW = "is made now, but was not"


class Verdict(enum.IntEnum):
    """How near a rebuilt file comes, from good to bad; a stage has that of its worst file.

    It is a degree, where a check of verify has faults or none."""

    SAME_BYTES = 0
    SAME_CONTENT = 1
    WITHIN_TOLERANCE = 2
    DIFFERENT = 3

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How one file differs; what is None is not known, for the original is not at hand or is no
    tensor."""

    file: str
    verdict: Verdict
    why: str
    tensor: str | None = None
    at: list[int] | None = None
    """Of the first element that differs in any bit."""
    recorded: str | None = None
    rebuilt: str | None = None
    max_abs: float | None = None
    """Over all the file's tensors, as max_rel."""
    max_rel: float | None = None


@dataclass(frozen=True, kw_only=True)
class Stage:
    name: str
    verdict: Verdict
    recorded: str
    """Digest of the statement, as rebuilt."""
    rebuilt: str
    files: int
    original: bool
    """Whether it was at hand."""
    differences: list[Difference]
    """The worst first; the statements and what only describes come last."""
    statement: list[Cause]
    """How the rebuilt statement differs from the recorded one."""


def compare_stage(recorded: Node, rebuilt: Path, original: Path | None) -> Stage:
    """Compares the files with those of `original` that have the recorded digest."""
    own = node(rebuilt / provenance.NAME)
    present = {name: provenance.digest(rebuilt / name) for name in provenance.files(rebuilt)}
    expected = recorded.subject
    names = [n for n in sorted({*expected, *present}) if expected.get(n) != present.get(n)]
    judged = {n: _difference(n, expected, present, original) for n in names}
    differences = [each for each in judged.values() if each]
    unread = [name for name, each in judged.items() if each is None]
    differences += _measured(unread, original, rebuilt) if original and unread else []
    differences.sort(key=lambda each: (_describes(each.file), each.file))
    worst = max((each.verdict for each in differences), default=Verdict.SAME_BYTES)
    if own.digest != recorded.digest:
        worst = max(worst, Verdict.SAME_CONTENT)
    return Stage(
        name=recorded.stage,
        verdict=worst,
        recorded=recorded.digest,
        rebuilt=own.digest,
        files=len(expected),
        original=original is not None,
        differences=differences,
        statement=causes(recorded, own),
    )


def _describes(file: str) -> bool:
    """Returns whether there is nothing in it that the model computes with."""
    return file.startswith(f"{FOLDER}/") or file in PROSE


def _difference(
    file: str,
    expected: Mapping[str, str],
    present: Mapping[str, str],
    original: Path | None,
) -> Difference | None:
    """Returns None for a file that both are at hand of, so that it can be looked into."""
    if _describes(file):
        return Difference(file=file, verdict=Verdict.SAME_CONTENT, why="describes, holds no tensor")
    for side, why in ((present, "is not made any more"), (expected, NEW)):
        if file not in side:
            return Difference(file=file, verdict=Verdict.DIFFERENT, why=why)
    if original is None:
        why = "other bytes; the original is not at hand to say by how much"
        return Difference(file=file, verdict=Verdict.DIFFERENT, why=why)
    if not _is(original / file, expected[file]):
        why = "other bytes; the original at hand is not what its statement says, so no saying how"
        return Difference(file=file, verdict=Verdict.DIFFERENT, why=why)
    return None


def _measured(files: list[str], original: Path, rebuilt: Path) -> list[Difference]:
    """Returns the differences with how far tensors lie apart. Either file may be a stranger's, so
    both are read by a process that can do nothing else."""
    try:
        given = [files, str(original.resolve()), str(rebuilt.resolve())]
        answered = reading.call(measure_all, given, [original.resolve(), rebuilt.resolve()])
        measured = [Difference(**each | {"verdict": Verdict(each["verdict"])}) for each in answered]
        if [each.file for each in measured] == files:
            return measured
        why = "other bytes, and no answer that fits to how they differ"
    except (CannotRun, TypeError, ValueError, LookupError) as fault:
        why = f"other bytes, which cannot be looked into: {' '.join(str(fault).split())[:200]}"
    return [Difference(file=each, verdict=Verdict.DIFFERENT, why=why) for each in files]


def measure_all(files: list[str], original: str, rebuilt: str) -> list[dict[str, Any]]:
    """Returns what `measure` says of each, as JSON can hold it."""
    return [asdict(measure(file, Path(original), Path(rebuilt))) for file in files]


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and provenance.digest(path) == digest


def measure(file: str, original: Path, rebuilt: Path) -> Difference:
    """Returns how far a file whose bytes differ is from the original."""
    before, after = tensors(original, file), tensors(rebuilt, file)
    if before is None or after is None:
        why = "other bytes, in a form that cannot be looked into"
        return Difference(file=file, verdict=Verdict.DIFFERENT, why=why)
    first = next(_moved(before, after), None)
    if first is None:
        why = f"{len(before)} tensors bitwise equal, packed otherwise"
        return Difference(file=file, verdict=Verdict.SAME_CONTENT, why=why)
    comparison = compare({file: after}, {file: before}, TOLERANCE)
    verdict = Verdict.DIFFERENT if comparison.faults else Verdict.WITHIN_TOLERANCE
    return Difference(
        file=file,
        verdict=verdict,
        why=f"differs by up to {comparison.max_abs:.3g}" if comparison.max_abs else "other values",
        max_abs=comparison.max_abs,
        max_rel=comparison.max_rel,
        **first,
    )


def _moved(before: Arrays, after: Arrays) -> Iterator[dict[str, Any]]:
    """Yields each tensor that differs in any bit, in the original's order, and its first element
    that does."""
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name), after.get(name)
        if old is None or new is None or (old.shape, old.dtype) != (new.shape, new.dtype):
            yield {"tensor": name, "recorded": _kind(old), "rebuilt": _kind(new)}
        elif old.tobytes() != new.tobytes():
            index = _first(old, new)
            at = [int(i) for i in np.unravel_index(index, old.shape)]
            values = {"recorded": _show(old.flat[index]), "rebuilt": _show(new.flat[index])}
            yield {"tensor": name, "at": at, **values}


def _first(old: np.ndarray, new: np.ndarray) -> int:
    pair = [np.frombuffer(each.tobytes(), np.uint8) for each in (old, new)]
    unequal = (pair[0] != pair[1]).reshape(-1, old.dtype.itemsize).any(axis=1)
    return int(unequal.argmax())


def _kind(array: np.ndarray | None) -> str:
    return "none" if array is None else f"{array.dtype}{list(array.shape)}"


def _show(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, np.floating) else str(value)


def predictions(original: Path, rebuilt: Path, folder: str) -> dict[str, Any] | None:
    """Returns how far the answers in folder/*.npz lie apart; None where the original has none, or
    they cannot be read."""
    places = [original.resolve(), rebuilt.resolve()]
    try:
        answer = reading.call(distances, [*map(str, places), folder], places)
    except CannotRun:
        return None
    return dict(answer) if isinstance(answer, dict) and set(answer) >= DISTANCES else None


def distances(before_in: str, after_in: str, folder: str) -> dict[str, Any] | None:
    """Returns what `predictions` says, as JSON can hold it."""
    original, rebuilt = Path(before_in), Path(after_in)
    pairs = {}
    for path in sorted((original / folder).glob("*.npz")):
        answers = {
            k: v for k, v in arrays.read(path, packed=True).items() if k.startswith("output.")
        }
        if answers and (rebuilt / folder / path.name).is_file():
            after = arrays.read(rebuilt / folder / path.name, packed=True)
            pairs[path.stem] = answers, {k: after[k] for k in answers if k in after}
    if not pairs:
        return None
    old = {name: pair[0] for name, pair in pairs.items()}
    new = {name: pair[1] for name, pair in pairs.items()}
    comparison = compare(new, old, TOLERANCE)
    equal = all(next(_moved(dict(old[n]), dict(new[n])), None) is None for n in old)
    return {
        "compared": folder,
        "values": comparison.values,
        "bitwise_equal": equal,
        "within_tolerance": not comparison.faults,
        "max_abs": comparison.max_abs,
        "max_rel": comparison.max_rel,
        "at": comparison.at,
    }
