"""Refuses the format altogether: loading a pickle is running it."""

from pathlib import Path

from ._names import FILE


def screen(directory: Path) -> None:
    """Raises ValueError, whatever the file holds."""
    raise ValueError(
        f"{directory / FILE}: a pickle, which runs whatever code it names; load it only where you "
        "trust whoever wrote it"
    )
