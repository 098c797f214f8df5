"""Tensors of two complete models: which differ, and by how much. No framework is needed."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.diff.side import Side
from pipeline.errors import CannotRun
from pipeline.formats import declared, loader, names
from pipeline.formats.contract import Loader, Place
from pipeline.formats.places import within
from pipeline.reproduce import reading
from pipeline.sandbox.reports import UNREADABLE


def compare(a: Side, b: Side) -> dict[str, Any]:
    """Returns the section of the report; `differ` is None where it cannot be said."""
    formats_of_a, formats_of_b = formats(a), formats(b)
    both = [name for name in formats_of_a if name in formats_of_b]
    if not both:
        formats_held = (
            f"A holds {', '.join(formats_of_a) or 'none'}, B {', '.join(formats_of_b) or 'none'}"
        )
        return {"differ": None, "unsaid": [f"no format that both hold: {formats_held}"]}
    form = both[0]
    with at_hand(a) as one, at_hand(b) as other:
        missing, tensors = _compared(a, one, b, other, form)
        if tensors is not None:
            return {"format": form, **tensors, "unsaid": []}
    same = declared(form).owns_weights and _own(a, form) == _own(b, form)
    return {"format": form, "differ": False if same else None, "unsaid": [] if same else missing}


def formats(side: Side) -> list[str]:
    """Returns the formats by the files that the statement names; those that own the weights come
    first."""
    first = sorted(names(), key=lambda name: not declared(name).owns_weights)
    return [name for name in first if declared(name).file in side.node.subject]


def _own(side: Side, form: str) -> dict[str, str]:
    """Returns the format's files by digest: one file, or all of its folder."""
    top = declared(form).file.split("/")[0]
    return {name: sha for name, sha in side.node.subject.items() if name.split("/")[0] == top}


@contextmanager
def at_hand(side: Side) -> Iterator[Path]:
    """Yields the complete model's directory, or one with its files in DVC's cache under their
    names."""
    if place := side.resolved.places.get(side.node.digest):
        yield place
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name, path in side.resolved.cached.get(side.node.digest, {}).items():
            if path.is_file():
                (Path(scratch) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(scratch) / name).symlink_to(path.resolve())
        yield Path(scratch)


def _compared(
    a: Side, one: Path, b: Side, other: Path, form: str
) -> tuple[list[str], dict[str, Any] | None]:
    """Returns what is missing of either, or else the tensors' differences. Either may be a
    stranger's, so both are read by a process that can do nothing else."""
    main = declared(form).file
    missing = [s.why_missing(s.node, main) for s in (a, b) if s.file(s.node, main) is None]
    if missing:
        return missing, None
    places = [one.resolve(), other.resolve()]
    try:
        answer = reading.call(read_alone, [form, *map(str, places)], places)
        for side, files in zip((a, b), answer["files"], strict=True):
            missing += _missing(side, files, main)
        return missing, None if missing else dict(answer["tensors"])
    except (CannotRun, LookupError, TypeError, ValueError) as fault:
        return [f"{main}: cannot be compared: {' '.join(str(fault).split())[:300]}"], None


def read_alone(form: str, one: str, other: str) -> dict[str, Any]:
    """Returns the files that hold each one's weights, or why they cannot be read, and how the
    tensors differ where they can."""
    files = [_files(form, Path(one)), _files(form, Path(other))]
    if any(isinstance(each, str) for each in files):
        return {"files": files, "tensors": None}
    try:
        return {"files": files, "tensors": _tensors(loader(form), Path(one), Path(other))}
    except OSError as fault:  # of a file that is not here, which is told by its name
        return {"files": files, "tensors": None, "fault": str(fault)}


def _files(form: str, directory: Path) -> list[str] | str:
    try:
        places = within(loader(form).weights(directory), directory)
        return sorted({place[0] for place in places.values()})
    except UNREADABLE as fault:
        return " ".join(str(fault).split())[:200]


def _missing(side: Side, files: list[str] | str, main: str) -> list[str]:
    """Returns what of the format's weights is not here as the statement names it."""
    if isinstance(files, str):
        return [f"{main} of {side.name} cannot be read: {files}"]
    return [
        side.why_missing(side.node, name)
        for name in files
        if name != main and side.file(side.node, name) is None
    ]


def _tensors(form: Loader, one: Path, other: Path) -> dict[str, Any]:
    a, b = within(form.weights(one), one), within(form.weights(other), other)
    differing = []
    for name in (name for name in a if name in b):
        moved = difference(_load(one, a[name]), _load(other, b[name]))
        if moved is not None:
            differing.append({"name": name, **moved})
    return {
        "differ": bool(differing or set(a) != set(b)),
        "equal": sum(name in b for name in a) - len(differing),
        "differing": differing,
        "only_a": [{"name": n, **_kind(a[n])} for n in a if n not in b],
        "only_b": [{"name": n, **_kind(b[n])} for n in b if n not in a],
    }


def difference(a: np.ndarray, b: np.ndarray) -> dict[str, Any] | None:
    """Returns how two tensors differ, or None for the same bits; `relative` is the norm of the
    difference by that of A."""
    report: dict[str, Any] = {"dtype": str(a.dtype), "values": a.size}
    if (a.dtype, a.size) != (b.dtype, b.size):
        return report | {"other_dtype": str(b.dtype), "other_values": b.size}
    if a.tobytes() == b.tobytes():
        return None
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        moved = b.astype(wide) - a.astype(wide)
    norm, size = np.linalg.norm(moved), np.linalg.norm(a.astype(wide))
    changed = int(np.count_nonzero(a != b))
    return report | {
        "changed": changed,
        "max_abs": _finite(np.abs(moved).max()),
        "relative": _finite(norm / size) if size else None,
    }


def _finite(value: Any) -> float | None:
    """Returns the number, or None for one that is not finite: JSON knows neither NaN nor
    infinity."""
    return float(value) if np.isfinite(value) else None


def _load(directory: Path, place: Place) -> np.ndarray:
    file, offset, nbytes, dtype = place
    with (directory / file).open("rb") as opened:
        opened.seek(offset)
        array: np.ndarray = np.frombuffer(opened.read(nbytes), np.dtype(dtype))
    return array


def _kind(place: Place) -> Mapping[str, Any]:
    return {"dtype": place[3], "values": place[2] // np.dtype(place[3]).itemsize}
