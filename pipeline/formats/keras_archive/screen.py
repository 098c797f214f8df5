"""Refuses archives that could do more than compute, before Keras loads them."""

import zipfile
from pathlib import Path

from ._archive import FILE, needs
from ._check import check_archive


def screen(directory: Path) -> None:
    """Raises ValueError for what would run, be read from elsewhere, unpack to more than the file,
    or take the source of somebody's own classes: a file that is not trusted must not say what is
    imported.

    Keras is not loaded. How much memory layers take, and how long they compute, cannot be known.
    """
    path = directory / FILE
    try:
        check_archive(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: damaged ({error}); do not load it") from error
    named = needs(directory)
    if named:
        raise ValueError(
            f"{path}: names {', '.join(named)[:200]} to be imported, expected Keras' own classes "
            "alone; load it only where you trust whoever wrote it"
        )
