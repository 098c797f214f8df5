"""The files of a format as one, as a checkpoint is; the same files give the same bytes."""

import tarfile
from pathlib import Path

from pipeline import provenance

SUFFIX = ".tar"


def pack(directory: Path, path: Path) -> None:
    """Writes the files of a directory as one, without anything that tells of this machine."""
    with tarfile.open(path, "w") as archive:
        for name in provenance.files(directory):
            info = tarfile.TarInfo(name)
            info.size = (directory / name).stat().st_size
            with (directory / name).open("rb") as file:
                archive.addfile(info, file)


def unpack(path: Path, directory: Path) -> None:
    """Writes what `pack` packed."""
    with tarfile.open(path) as archive:
        archive.extractall(directory, filter="data")
