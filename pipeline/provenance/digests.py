"""The sha256 that names a file, an artifact or any other directory."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

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
    return {name: digest(directory / name) for name in files(directory) if counts(name)}


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
