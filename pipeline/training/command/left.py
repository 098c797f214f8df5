"""What a command left in its folder: its checkpoints."""

import re
from collections.abc import Iterator
from pathlib import Path

from pipeline import foreign
from pipeline.errors import DataError, ModelError, ParamsError
from pipeline.text import escaped

BESIDE = re.compile("optimizer|scheduler|scaler|rng_state|training_args")
"""What lies beside a model in files of their own: no model."""


def chosen(output: Path, pattern: str | None) -> Path:
    """Returns the checkpoint that is taken in: the newest, of those that the pattern names.

    Raises ModelError where there is none; ParamsError for a pattern that leads elsewhere.
    """
    checkpoints = list(newest_first(output, pattern))
    if checkpoints:
        return checkpoints[0]
    names = sorted(path.relative_to(output).as_posix() for path in output.rglob("*"))
    files = [escaped(name) for name in names if (output / name).is_file()]
    there = f"{', '.join(files[:5])}{', …' if len(files) > 5 else ''}" if files else "nothing"
    expected = f"one that {pattern} names (train.checkpoint)" if pattern else "one"
    raise ModelError(
        f"train.command: left no checkpoint: found {there} in {{output}}, {output}; expected "
        f"{expected}, of a kind that `python -m pipeline.adopt` takes"
    )


def last_whole(output: Path, pattern: str | None) -> Path | None:
    """Returns the newest checkpoint that can be opened: one that was killed wrote the very last
    perhaps by half."""
    for path in newest_first(output, pattern):
        try:
            foreign.read(path)
        except DataError:
            continue
        return path
    return None


def newest_first(output: Path, pattern: str | None) -> Iterator[Path]:
    """Gives the checkpoints, files and folders; what lies in one that is a folder is part of it."""
    if pattern is None:
        files = list(_below(output))
    else:
        if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
            raise ParamsError(
                f"train.checkpoint: found {pattern}, expected a path below {{output}}"
            )
        files = [path for path in output.glob(pattern) if _is_one(path)]
    yield from sorted(files, key=lambda path: (_written(path), path.as_posix()), reverse=True)


def _below(folder: Path) -> Iterator[Path]:
    """Yields the checkpoints in a folder; one that is a checkpoint itself may hold others: those of
    the epochs before it."""
    is_one = _is_one(folder)
    if is_one:
        yield folder
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            yield from _below(path) if not is_one or _is_one(path) else ()
        elif not is_one and not BESIDE.match(path.name) and _is_one(path):
            yield path


def _is_one(path: Path) -> bool:
    """Returns whether it is a checkpoint, and no program that the loop exported after it."""
    try:
        return foreign.kind(foreign.recognized(path)).GIVES == "weights"
    except DataError:
        return False


def _written(path: Path) -> int:
    """Returns when it was written; a folder with the last file directly in it."""
    files = [path] if path.is_file() else [each for each in path.iterdir() if each.is_file()]
    return max((each.stat().st_mtime_ns for each in files), default=0)
