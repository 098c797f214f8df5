"""One bit flipped, truncated, deleted, added, renamed, swapped: every file of the artifacts."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from faults import _ground as ground
from faults.tally import Tally, generator
from pipeline import provenance
from testing.project import Project

REPEATS = 20  # of each file
SHORT = 2
MUST = "100 % noticed, the file named"

JUDGES = {
    "artifacts/checkpoint": "export-complete",
    "artifacts/complete-model": "verify",
    "artifacts/train": "checkpoint",
    "artifacts/data": "train",
}
"""Who must refuse a damaged file of it."""

Damage = Callable[[Path, list[Path], Random], list[Path]]
"""Gives the files of which at least one must be named."""


def flip(file: Path, others: list[Path], rng: Random) -> list[Path]:
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    return [file]


def truncate(file: Path, others: list[Path], rng: Random) -> list[Path]:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])
    return [file]


def delete(file: Path, others: list[Path], rng: Random) -> list[Path]:
    file.unlink()
    return [file]


def add(file: Path, others: list[Path], rng: Random) -> list[Path]:
    """A copy under a name of its own, a hidden one included."""
    name = rng.choice(("{}.bak", ".{}", "{}~", "copy of {}")).format(file.name)
    return [Path(shutil.copy(file, file.with_name(name)))]


def rename(file: Path, others: list[Path], rng: Random) -> list[Path]:
    return [file, file.rename(file.with_name(f"{file.stem}_2{file.suffix}"))]


def swap(file: Path, others: list[Path], rng: Random) -> list[Path]:
    other = rng.choice(others)
    ours, theirs = file.read_bytes(), other.read_bytes()
    file.write_bytes(theirs)
    other.write_bytes(ours)
    return [file, other]


KINDS: tuple[Damage, ...] = (flip, truncate, delete, add, rename, swap)


def run(repeats: int, scratch: Path) -> Tally:
    """By the function that every stage asks of its inputs; a few times by the stages themselves."""
    tally, rng = Tally(), generator(__name__)
    project = ground.verified(scratch / "project")
    for name in JUDGES:
        directory = project.root / name
        for file in sorted(path for path in directory.rglob("*") if path.is_file()):
            tally.count("files")
            for number in range(repeats):
                kind = KINDS[(number + tally.measured["files"]) % len(KINDS)]
                _noticed(tally, directory, file, kind, rng)
    for number, name in enumerate(name for name in JUDGES for _ in KINDS[: max(1, repeats // 3)]):
        _refused(tally, project, name, KINDS[number % len(KINDS)], rng)
    return tally


def _noticed(tally: Tally, directory: Path, file: Path, kind: Damage, rng: Random) -> None:
    with _damaged(directory, file, kind, rng) as places:
        tally.tried += 1
        found = provenance.faults(directory)
        named = any(fault.startswith(f"{place}:") for place in places for fault in found)
        what = f"{kind.__name__} {file.name}"
        tally.noticed += tally.demand(named, f"{what}: {found or 'not noticed'}")


@contextmanager
def _damaged(directory: Path, file: Path, kind: Damage, rng: Random) -> Iterator[list[Path]]:
    """Whole again afterwards."""
    kept = {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}
    others = [path for path in kept if kept[path] != kept[file]]
    yield kind(file, others, rng)
    for path in [path for path in directory.rglob("*") if path.is_file()]:
        if path not in kept:
            path.unlink()
    for path, content in kept.items():
        if not path.is_file() or path.read_bytes() != content:
            path.write_bytes(content)


def _refused(tally: Tally, project: Project, name: str, kind: Damage, rng: Random) -> None:
    """By the stage that reads it, run as `dvc.yaml` has it."""
    directory = project.root / name
    file = rng.choice(sorted(path for path in directory.rglob("*") if path.is_file()))
    with _damaged(directory, file, kind, rng) as places:
        tally.tried += 1
        tally.count("of these by a stage")
        done = project.stage(JUDGES[name], check=False)
        named = any(str(place.relative_to(project.root)) in done.stdout for place in places)
        held = done.returncode == 1 and named and "Traceback" not in done.stdout
        what = f"{JUDGES[name]}: {kind.__name__} {file.relative_to(project.root)}"
        tally.refused += tally.demand(held, f"{what}: {done.returncode}: {done.stdout[-300:]}")
