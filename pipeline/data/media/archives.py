"""A file may lie in an archive: `pictures.zip/cat/1.png` is one of pictures.zip, and is never
unpacked to the disk."""

import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pipeline.errors import DataError

SUFFIXES = (".zip", ".tar")
PACKED = (".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".zst", ".7z", ".rar")
"""Of archives that would be read from their beginning for each file."""
MOST_BYTES = 1 << 28
"""Of one file: a few KB can unpack to more than any memory holds."""
BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, OSError, RuntimeError, EOFError)
Sizes = dict[str, int]


class _Zip:
    """A .zip, open."""

    def __init__(self, path: Path) -> None:
        self.archive = zipfile.ZipFile(path)
        members = self.archive.infolist()
        self.files: Sizes = {each.filename: each.file_size for each in members if not each.is_dir()}
        self.folders = [each.filename for each in members if each.is_dir()]

    def read(self, name: str) -> bytes:
        return self.archive.read(name)


class _Tar:
    """A .tar that is not compressed, open."""

    def __init__(self, path: Path) -> None:
        self.archive = tarfile.open(path, "r:")  # noqa: SIM115 - it stays open
        members = self.archive.getmembers()
        self.files: Sizes = {each.name: each.size for each in members if each.isreg()}
        self.folders = [f"{each.name}/" for each in members if each.isdir()]
        if others := [each.name for each in members if not (each.isreg() or each.isdir())]:
            raise tarfile.TarError(f"{others[0]} is neither a file nor a folder")

    def read(self, name: str) -> bytes:
        file = self.archive.extractfile(name)
        return b"" if file is None else file.read()


@lru_cache(maxsize=8)
def _opened(path: Path, changed: int) -> _Zip | _Tar:
    """Returns the archive as it was when it changed last."""
    return _Zip(path) if path.suffix.lower() == ".zip" else _Tar(path)


def _archive(path: Path) -> _Zip | _Tar:
    try:
        return _opened(path, path.stat().st_mtime_ns)
    except BROKEN as fault:
        text = " ".join(str(fault).split()) or type(fault).__name__
        raise DataError(f"{path}: no {path.suffix[1:]} archive: {text}; bring it again") from None


def is_archive(path: Path) -> bool:
    """Returns whether files in it can be read one by one. Raises DataError for one of which they
    cannot."""
    if path.suffix.lower() in PACKED and path.is_file():
        raise DataError(
            f"{path}: found an archive that is compressed as a whole, expected .zip or .tar; "
            "unpack it, or pack it so"
        )
    return path.suffix.lower() in SUFFIXES and path.is_file()


def names(path: Path) -> Iterator[PurePosixPath]:
    """Yields the names of an archive's files, in the order in which those of a folder come.

    Raises DataError for a folder without files, and for a name that leads out of it.
    """
    archive = _archive(path)
    inside = [PurePosixPath(name) for name in archive.files]
    for name in inside:
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"{path}: names {name}, expected names below the archive alone")
    known = {str(folder) for name in inside for folder in name.parents}
    for folder in archive.folders:
        if str(PurePosixPath(folder)) not in known:
            raise DataError(f"{path}/{folder}: an empty folder, expected files; pack it without it")
    return iter(sorted(inside, key=lambda name: name.parts))


def opened(file: Path) -> Path | io.BytesIO:
    """Returns the file itself, or what is in it where it lies in an archive.

    Raises DataError, FileNotFoundError for one that is nowhere, and EOFError for one that is not
    whole, or too large.
    """
    if file.is_file():
        return file
    place = next((each for each in file.parents if is_archive(each)), None)
    if place is None:
        raise FileNotFoundError(file)
    archive, name = _archive(place), file.relative_to(place).as_posix()
    whole = name if name in archive.files else f"./{name}"
    if whole not in archive.files:
        raise FileNotFoundError(file)
    if archive.files[whole] > MOST_BYTES:
        raise EOFError(f"{archive.files[whole]} bytes, expected at most {MOST_BYTES}")
    try:
        return io.BytesIO(archive.read(whole))
    except BROKEN as fault:
        raise EOFError(" ".join(str(fault).split())) from None
