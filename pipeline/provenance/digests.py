"""The sha256 that names a file, an artifact or any other directory."""

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path, PurePath

from pipeline import written

NAME = "provenance.json"
"""The statement's file, whose presence makes a directory an artifact."""


def digest(path: Path) -> str:
    """Returns the digest that something is named by. A file's is its sha256; a complete artifact is
    named by its statement's, any other directory by the names and digests of the files in it."""
    if path.is_file():
        return written.digest(path)
    if (path / NAME).is_file():
        return digest(path / NAME)
    return folded(contents(path))


def contents(directory: Path) -> dict[str, str]:
    """Returns the sha256 of each file, without what git and DVC note there, so that data are the
    same whichever of the two keeps them."""
    return {name: digest(directory / name) for name in counted(files(directory))}


def counted(names: Collection[str]) -> list[str]:
    """Returns which of the files below a directory are part of its digest: those that count, and a
    .dvc file of what is not here, which then says alone what it is."""
    present = {*names, *(above.as_posix() for name in names for above in PurePath(name).parents)}
    absent = {n for n in names if n.endswith(".dvc") and n.removesuffix(".dvc") not in present}
    return [name for name in names if counts(name) or name in absent]


def counts(name: str) -> bool:
    """Returns whether a file below a directory that is no artifact is part of its digest; notes are
    not, which no patch of `code` would bring back."""
    return not name.endswith((".dvc", ".gitignore", ".md")) and "__pycache__" not in name.split("/")


def folded(contents: Mapping[str, str]) -> str:
    """Returns one sha256 of all files, from the names and digests of each."""
    lines = (f"{sha256}  {name}\n" for name, sha256 in contents.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files(directory: Path) -> list[str]:
    """Returns the relative names of the files below, sorted, but for the statement and Python's
    caches."""
    paths = (path for path in directory.rglob("*") if not path.is_dir())
    names = (path.relative_to(directory) for path in paths)
    return sorted(n.as_posix() for n in names if "__pycache__" not in n.parts and str(n) != NAME)
