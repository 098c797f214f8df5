"""A cell can name a file that is decoded: an image, a mask, a sound. Each kind is a module here."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Protocol

from pipeline.data.media import archives
from pipeline.data.tables import Array
from pipeline.errors import DataError

Content = Path | BytesIO
Bounds = tuple[int, int]
"""The least and the greatest size along an axis; both are the same where it does not vary."""


class Undecodable(Exception):
    """An undecodable file is not as it is declared; the text says what was found and expected."""


class Decode(Protocol):
    """Returns the array of a file, which is named `file` in a fault. Raises Undecodable."""

    def __call__(self, file: Path, content: Content) -> Array: ...


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


def content_of(file: Path, place: Place) -> Content:
    """Returns the file, or what is in it where it lies in an archive. Raises Undecodable for what
    is no file, or an empty one."""
    try:
        content = archives.opened(file)
    except FileNotFoundError:
        if Path(f"{file}.dvc").is_file():
            raise Undecodable(f"{file}: not here, only its .dvc file; run `dvc pull`") from None
        below = place.data / place.folder
        what = "is a folder" if file.is_dir() else "no such file"
        raise Undecodable(
            f"{file}: {what}, expected a file; names are relative to {below}/"
        ) from None
    except (EOFError, DataError) as fault:
        raise Undecodable(f"{file}: broken ({fault}); bring it again or drop the row") from None
    size = file.stat().st_size if isinstance(content, Path) else len(content.getbuffer())
    if not size:
        raise Undecodable(f"{file}: has no bytes; bring it again or drop the row")
    return content
