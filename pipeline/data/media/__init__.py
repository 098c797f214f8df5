"""A cell can name a file that is decoded: an image, a mask, a sound. Each kind is a module here."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from pipeline.data.tables import Array

Bounds = tuple[int, int]
"""The least and the greatest size along an axis; both are the same where it does not vary."""


class Undecodable(Exception):
    """An undecodable file is not as it is declared; the text says what was found and expected."""


class Decode(Protocol):
    """Returns the array of a file. Raises Undecodable."""

    def __call__(self, file: Path) -> Array: ...


@dataclass(frozen=True)
class Place:
    """A place is where the files are whose names stand in a column."""

    data: Path
    folder: str
    suffix: str | None

    def file(self, name: str) -> Path:
        """Returns the path of a name. Raises Undecodable for one outside of data/, which is no dep
        of the stage."""
        relative = PurePosixPath(self.folder) / name
        if relative.is_absolute() or ".." in relative.parts or "\0" in name:
            raise Undecodable(f"found {name!r}, expected a path below {self.data}/")
        path = self.data / relative
        return path if self.suffix is None else path.with_suffix(self.suffix)


def demand_file(file: Path, place: Place) -> None:
    """Raises Undecodable for what is no file, or an empty one."""
    if not file.is_file():
        if Path(f"{file}.dvc").is_file():
            raise Undecodable(f"{file}: not here, only its .dvc file; run `dvc pull`")
        below = place.data / place.folder
        what = "is a folder" if file.is_dir() else "no such file"
        raise Undecodable(f"{file}: {what}, expected a file; names are relative to {below}/")
    if not file.stat().st_size:
        raise Undecodable(f"{file}: has no bytes; bring it again or drop the row")
