"""Files below a folder, in the order in which they were written."""

from collections.abc import Callable
from pathlib import Path


def below(
    place: Path, pattern: str, is_one: Callable[[Path], bool] = lambda path: True
) -> list[Path]:
    """Returns the files that match, or the file itself if it does."""
    paths = [place] if place.is_file() and place.match(pattern) else place.rglob(pattern)
    files = [path for path in paths if path.is_file() and is_one(path)]
    return sorted(files, key=lambda path: (path.stat().st_mtime_ns, path.as_posix()))
