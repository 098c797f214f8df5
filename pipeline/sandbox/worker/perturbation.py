"""A copy of the model in which a weight is another, which every comparison must notice.

A weight is known by its values, in whatever order they lie, and each value is moved by what it is
alone. So the same change can be made to the source's weight and to a format's, which may have
renamed or transposed it. `checkpoint` makes it to the source with the functions here.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

CHUNK = 1 << 20
MOST_AT_ONCE = 1 << 30
STRENGTHS = (0.01, 0.1, 1.0)
"""Of a change, the weakest first: the share of a value that is added to it or taken off."""
OF_ZERO = 0.1
"""What a zero becomes, times the strength."""
BITS = {0.01: 0, 0.1: 4, 1.0: 6}
"""Strength -> the bit that is flipped in integers (quantised), and in what numpy knows only as
integers (of a bfloat16 the bits 0 to 6 are its fraction)."""

ROUNDS = 1e-4
"""What the formats that round may be off, beside the same share of an answer."""
MOST_ROUNDING = 100 * ROUNDS
"""What they may be off at most, however much a model's answers hang on rounding."""
ENOUGH = 10 * ROUNDS
"""How far an answer must move, beside the same share of itself."""

Place = tuple[str, int, int, str]


def fingerprint(values: np.ndarray) -> int:
    """Returns a number that hangs on all the values and not on their order."""
    flat = np.ascontiguousarray(values).reshape(-1)
    parts = (_mixed(flat[start : start + CHUNK]) for start in range(0, len(flat), CHUNK))
    return sum(int(part.sum(dtype=np.uint64)) for part in parts) % (1 << 64)


def changed(values: np.ndarray, strength: float) -> np.ndarray:
    """Returns the values, about half of them larger and half smaller by the share `strength`: a
    normalisation would undo a common factor."""
    flat = np.ascontiguousarray(values).reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, len(flat), CHUNK):
        part = slice(start, start + CHUNK)
        result[part] = _changed(flat[part], strength)
    return result.reshape(values.shape)


def _changed(flat: np.ndarray, strength: float) -> np.ndarray:
    if flat.dtype.kind not in "fc":
        return ~flat if flat.dtype.kind == "b" else flat ^ (1 << BITS[strength])
    up = _mixed(flat) >> np.uint64(63) == 1
    moved = flat * np.where(up, 1 + strength, 1 - strength)
    moved[flat == 0] = OF_ZERO * strength
    return np.asarray(moved.astype(flat.dtype))


def _mixed(flat: np.ndarray) -> np.ndarray:
    """Returns 64 well mixed bits of each value: the finaliser of splitmix64."""
    if flat.dtype.kind == "c":
        real = flat.view(flat.real.dtype).reshape(-1, 2)
        return np.asarray(_mixed(real[:, 0].copy()) * np.uint64(3) + _mixed(real[:, 1].copy()))
    bits = flat.view(f"u{flat.dtype.itemsize}").astype(np.uint64)
    bits += np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))


def changes(
    places: Mapping[str, Place], directory: Path, influence: Mapping[str, np.ndarray]
) -> Iterator[tuple[list[str], float, int | None]]:
    """Yields names of weights to change, how strongly, and their number in `influence`.

    It is a weight that moves the source's answers, as strongly as it was changed there, wherever
    its values lie. A format that holds none of these as it was, or a source of which nothing is
    known, has its own largest changed instead, ever more strongly; never one that was shown to move
    nothing in the source.
    """
    for number in range(len(influence.get("moving", ()))):
        print_, size = influence["moving.print"][number], influence["moving.bytes"][number]
        names = held(places, directory, {int(print_): int(size)})
        if names:
            yield names, float(influence["strength"][number]), number
            return
    known = zip(influence.get("still.print", ()), influence.get("still.bytes", ()), strict=True)
    still = {int(print_): int(size) for print_, size in known}
    name = largest(places, but=held(places, directory, still))
    for strength in STRENGTHS:
        yield [name], strength, None


def held(places: Mapping[str, Place], directory: Path, prints: Mapping[int, int]) -> list[str]:
    """Returns the weights that have one of these fingerprints, which have a size in bytes each."""
    sizes = set(prints.values())
    same_size = {name: place for name, place in places.items() if place[2] in sizes}
    return [
        name
        for name, place in same_size.items()
        if prints.get(fingerprint(_values(directory, place, "r"))) == place[2]
    ]


def largest(places: Mapping[str, Place], but: Iterable[str] = ()) -> str:
    """Returns the largest weight, floating before others. Raises ValueError where there is none."""
    by_size = {
        name: (np.dtype(place[3]).kind in "fc", place[2], name)
        for name, place in places.items()
        if place[2] > 0
    }
    if not by_size:
        raise ValueError("weights() names none, so nothing can be perturbed")
    left_out = set(but) & by_size.keys()
    left = by_size.keys() - left_out or by_size.keys()
    return max(left, key=lambda each: by_size[each])


def is_enough(
    after: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray], rounding: float = 0.0
) -> bool:
    """Returns whether an answer moved so far that every format's tolerance notices, of a model
    whose answers hang on `rounding` that much."""
    enough = max(ENOUGH, 10 * rounding)
    return any(_is_enough(after[name], old, enough) for name, old in before.items())


def _is_enough(new: np.ndarray, old: np.ndarray, enough: float) -> bool:
    if old.dtype.kind not in "fc":
        return bool((new != old).any())
    wide = np.complex128 if old.dtype.kind == "c" else np.float64
    known = np.isfinite(new) & np.isfinite(old)
    distance = np.abs(np.where(known, new.astype(wide) - old.astype(wide), 0))
    size = np.where(known, np.abs(old), 0)
    return bool((distance > enough * (1 + size + size.max(initial=0.0) / 10)).any())


def moved(
    answers: Mapping[str, np.ndarray], before: Mapping[str, np.ndarray], allowed: Any
) -> bool:
    """Returns whether any answer is further than (atol, rtol) allow from what it was before."""
    atol, rtol = allowed
    for name, old in before.items():
        new = answers[name]
        if new.dtype.kind in "fc" and new.shape == old.shape:
            size = (
                np.abs(old[np.isfinite(old)]).max(initial=10.0) / 10
            )  # as formats.tolerance has it
            alike = np.isclose(new, old, rtol=rtol, atol=atol * size, equal_nan=True)
        else:
            alike = np.array(np.array_equal(new, old))
        if not alike.all():
            return True
    return False


def perturb(
    places: Mapping[str, Place],
    directory: Path,
    copy: Path,
    names: Iterable[str],
    strength: float = STRENGTHS[0],
    unread: Callable[[str], bool] = lambda file: False,
) -> None:
    """Makes `copy` anew, in which these weights are changed, each of its places once; it has all
    files but the `unread` ones."""
    shutil.rmtree(copy, ignore_errors=True)
    _copy(directory, copy, unread)
    for place in dict.fromkeys(places[name] for name in names):
        values = _values(copy, place, "r+")
        for start in range(0, len(values), CHUNK):
            part = slice(start, start + CHUNK)
            values[part] = _changed(np.array(values[part]), strength)
        values.flush()


def altered(
    places: Mapping[str, Place], directory: Path, names: Iterable[str], strength: float
) -> list[tuple[Place, np.ndarray]]:
    """Returns what `perturb` would write, and where."""
    distinct = dict.fromkeys(places[name] for name in names)
    return [(place, changed(_values(directory, place, "r"), strength)) for place in distinct]


def _values(directory: Path, place: Place, mode: Any) -> Any:
    file, offset, size, dtype = place
    kind = np.dtype(dtype)
    return np.memmap(directory / file, kind, mode, offset, (size // kind.itemsize,))


def _copy(directory: Path, copy: Path, unread: Callable[[str], bool]) -> None:
    """Copies content alone: a confined process may set no modes and no times."""
    copy.mkdir(parents=True)
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            (copy / path.relative_to(directory)).mkdir()
        elif not unread(path.relative_to(directory).as_posix()):
            _copy_file(path, copy / path.relative_to(directory))


def _copy_file(source: Path, target: Path) -> None:
    """Copies a file; the two share their blocks where the file system has that."""
    with source.open("rb") as reads, target.open("wb") as writes:
        try:
            while os.copy_file_range(reads.fileno(), writes.fileno(), MOST_AT_ONCE):
                pass
        except (OSError, AttributeError):  # not on every system
            shutil.copyfileobj(reads, writes)
