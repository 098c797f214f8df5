"""Tensors of two complete models: which differ, and by how much. No framework is needed."""

import importlib
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.config.reading import Plugin
from pipeline.diff.side import Side
from pipeline.sandbox.supervisor import UNREADABLE

FIRST = ("torch_export", "saved_model")
"""These own the weights; the other formats repeat or point to them."""

Place = tuple[str, int, int, str]


def compare(a: Side, b: Side) -> dict[str, Any]:
    """`differ` is None where it cannot be told."""
    held, other_held = formats(a), formats(b)
    both = [name for name in held if name in other_held]
    if not both:
        kept = f"A holds {', '.join(held) or 'none'}, B {', '.join(other_held) or 'none'}"
        return {"differ": None, "unsaid": [f"no format that both hold: {kept}"]}
    form = both[0]
    with at_hand(a) as one, at_hand(b) as other:
        missing = _missing(a, one, held[form]) + _missing(b, other, other_held[form])
        if not missing:
            return {"format": form, **_tensors(held[form], one, other), "unsaid": []}
    same = form in FIRST and _own(a, held[form]) == _own(b, held[form])
    return {"format": form, "differ": False if same else None, "unsaid": [] if same else missing}


def formats(side: Side) -> dict[str, ModuleType]:
    """By name, those that own the weights first, by the files that the statement names."""
    names = sorted(Plugin("formats").names(), key=lambda name: (name not in FIRST, name))
    found = {name: importlib.import_module(f"pipeline.formats.{name}") for name in names}
    return {name: form for name, form in found.items() if form.FILE in side.node.subject}


def _own(side: Side, form: ModuleType) -> dict[str, str]:
    """The format's files by digest: one file, or all of its folder."""
    top = form.FILE.split("/")[0]
    return {name: sha for name, sha in side.node.subject.items() if name.split("/")[0] == top}


@contextmanager
def at_hand(side: Side) -> Iterator[Path]:
    """The complete model's directory, or its files in DVC's cache under their names."""
    if place := side.found.places.get(side.node.digest):
        yield place
        return
    with tempfile.TemporaryDirectory() as scratch:
        for name, path in side.found.cached.get(side.node.digest, {}).items():
            if path.is_file():
                (Path(scratch) / name).parent.mkdir(parents=True, exist_ok=True)
                (Path(scratch) / name).symlink_to(path.resolve())
        yield Path(scratch)


def _missing(side: Side, directory: Path, form: ModuleType) -> list[str]:
    """What of the format's weights is not here as the statement names it."""
    if side.file(side.node, form.FILE) is None:
        return [side.lies(side.node, form.FILE)]
    try:
        files = {place[0] for place in form.weights(directory).values()} - {form.FILE}
    except UNREADABLE as fault:
        return [f"{form.FILE} of {side.name} cannot be read: {' '.join(str(fault).split())[:200]}"]
    return [
        side.lies(side.node, name) for name in sorted(files) if side.file(side.node, name) is None
    ]


def _tensors(form: ModuleType, one: Path, other: Path) -> dict[str, Any]:
    a, b = form.weights(one), form.weights(other)
    differing = []
    for name in (name for name in a if name in b):
        found = difference(_load(one, a[name]), _load(other, b[name]))
        if found is not None:
            differing.append({"name": name, **found})
    return {
        "differ": bool(differing or set(a) != set(b)),
        "equal": sum(name in b for name in a) - len(differing),
        "differing": differing,
        "only_a": [{"name": n, **_kind(a[n])} for n in a if n not in b],
        "only_b": [{"name": n, **_kind(b[n])} for n in b if n not in a],
    }


def difference(a: np.ndarray, b: np.ndarray) -> dict[str, Any] | None:
    """None for the same bits; `relative` is the norm of the difference by that of A."""
    said: dict[str, Any] = {"dtype": str(a.dtype), "values": a.size}
    if (a.dtype, a.size) != (b.dtype, b.size):
        return said | {"other_dtype": str(b.dtype), "other_values": b.size}
    if a.tobytes() == b.tobytes():
        return None
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore"):
        moved = b.astype(wide) - a.astype(wide)
    norm, size = np.linalg.norm(moved), np.linalg.norm(a.astype(wide))
    changed = int(np.count_nonzero(a != b))
    return said | {
        "changed": changed,
        "max_abs": _finite(np.abs(moved).max()),
        "relative": _finite(norm / size) if size else None,
    }


def _finite(value: Any) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return float(value) if np.isfinite(value) else None


def _load(directory: Path, place: Place) -> np.ndarray:
    file, offset, nbytes, dtype = place
    with (directory / file).open("rb") as opened:
        opened.seek(offset)
        found: np.ndarray = np.frombuffer(opened.read(nbytes), np.dtype(dtype))
    return found


def _kind(place: Place) -> Mapping[str, Any]:
    return {"dtype": place[3], "values": place[2] // np.dtype(place[3]).itemsize}
