"""A folder of files is a table with a row a file: its path, and the folders that it lies in."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice, takewhile
from pathlib import Path

import numpy as np

from pipeline.config.data_params import Data
from pipeline.data.declared import listing
from pipeline.data.media import archives, audio, image
from pipeline.data.tables import NUMBERS, Batch, Kind, Table
from pipeline.errors import DataError, ParamsError

PATH, NAME, FOLDERS = "path", "name", ("folder", "subfolder")
"""The columns: the path below data/, the path below the folder itself, and the first and the second
folder below it."""
COLUMNS = (PATH, NAME, *FOLDERS)
SUFFIXES = (*image.SUFFIXES, *audio.SUFFIXES)
PATTERN = set("*?[")
NO_DATA = ("__pycache__", "__MACOSX")
ROWS = 4096
"""Of a batch."""


def files(folder: Path) -> Iterator[Path]:
    """Yields the files below, in the order of their names, and holds the names of one folder.

    Hidden files and notes of git, DVC and people are none. Raises DataError for an empty folder and
    for what is no file.
    """
    nothing = True
    for name in sorted(path.name for path in folder.iterdir()):  # names take a fifth of paths
        path = folder / name
        if is_note(Path(name)):
            continue
        if path.is_dir():
            yield from files(path)
        elif not path.is_file():
            raise DataError(f"{path}: is no file (a link to nowhere?), expected one; remove it")
        else:
            yield path
        nothing = False
    if nothing:
        raise DataError(f"{folder}: an empty folder, expected files; add some or remove it")


def matching(data: Path, pattern: str) -> list[Path]:
    """Returns the files below `data` that a pattern names, in the order of their names."""
    matches = (path for path in data.glob(pattern) if path.is_file())
    return sorted(path for path in matches if not is_note(path.relative_to(data)))


def is_note(path: Path) -> bool:
    """Returns whether a path below data/ is hidden, or is of git, DVC, Python or for people to
    read."""
    if any(part.startswith(".") or part in NO_DATA for part in path.parts):
        return True
    return path.suffix in (".dvc", ".md", ".py")


class FileTable(Table):
    """The columns that nobody names are not there, for nobody made them: they need not be ignored,
    unless another name is looked for in vain."""

    def __init__(self, data: Path, folder: Path, claimed: set[str]) -> None:
        """`folder` may be a pattern or an archive; `claimed` are the columns that the configuration
        names."""
        self.data, self.claimed = data, claimed
        self.labels: dict[str, dict[str, int]] = {}
        """The number of each folder's name, in the columns that are labels."""
        self.pattern, self.packed = None, archives.is_archive(folder)
        if not (folder.is_dir() or self.packed):
            self.pattern = folder.relative_to(data).as_posix()
            fixed = takewhile(lambda part: not PATTERN & set(part), folder.parts)
            folder = Path(*fixed)
        super().__init__(folder)

    def _files(self) -> Iterator[Path]:
        if self.packed:
            named = archives.names(self.path)
            return (self.path / name for name in named if not is_note(Path(name)))
        return iter(matching(self.data, self.pattern)) if self.pattern else files(self.path)

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        for path in self._files():
            if path.suffix.lower() not in SUFFIXES:
                known = ", ".join(SUFFIXES)
                raise DataError(f"{path}: expected files of {known}; remove it or name a pattern")
        unknown = self.claimed - set(COLUMNS)
        return {name: () for name in COLUMNS if name in self.claimed or unknown}

    def named(self, config: Data) -> Data:
        """Returns the configuration in which labels that are folders have the folders' names, in
        the order of the alphabet where the classes are a number.

        Raises ParamsError where that is another number.
        """
        targets = dict(config.targets)
        for name, entry in targets.items():
            if entry.classes is None or entry.source not in FOLDERS:
                continue
            names = entry.classes
            if isinstance(names, int):
                names = tuple(sorted({self._cell(path, entry.source) for path in self._files()}))
                if len(names) != entry.classes:
                    problem = f"found {entry.classes}, but {self.path} has {len(names)} folders"
                    key = f"data.targets.{name}.classes"
                    raise ParamsError(
                        f"{key}: {problem} ({listing(names)}); set it to their number"
                    )
            self.labels[entry.source] = {label: number for number, label in enumerate(names)}
            targets[name] = replace(entry, classes=names)
        return replace(config, targets=targets)

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        for name, kind in kinds.items():
            if kind in NUMBERS and name not in self.labels:
                raise self.broken(f"column {name!r}: holds names, expected numbers")

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        rows = self._files()
        while paths := list(islice(rows, ROWS)):
            columns = {name: np.empty(len(paths), object) for name in kinds}
            for row, path in enumerate(paths):
                for name, values in columns.items():
                    values[row] = self._value(path, name, kinds[name])
            yield columns

    def _value(self, path: Path, column: str, kind: Kind) -> str | int:
        """Returns a name, or a label's number. Raises DataError for a folder that is no class."""
        cell = self._cell(path, column)
        labels = self.labels.get(column, {})
        if kind not in ("label", "name") or not labels:
            return cell
        if cell not in labels:
            raise DataError(f"{path}: its folder {cell!r} is none of {listing(list(labels))}")
        return labels[cell] if kind == "label" else cell

    def _cell(self, path: Path, column: str) -> str:
        if column == PATH:
            return path.relative_to(self.data).as_posix()
        below = path.relative_to(self.path)
        if column == NAME:
            return below.as_posix()
        depth = FOLDERS.index(column)
        if depth >= len(below.parts) - 1:
            expected = "/".join(["<folder>", "<subfolder>"][: depth + 1])
            raise DataError(f"{path}: expected it in {self.path}/{expected}/; move or remove it")
        return below.parts[depth]

    def fault(self, row: int, column: str, problem: str) -> DataError:
        """Names the file; a problem that begins with the path of one does so itself."""
        if problem.startswith(f"{self.data}{os.sep}"):
            return DataError(problem)
        return DataError(f"{next(islice(self._files(), row, None))}: {column!r}: {problem}")
