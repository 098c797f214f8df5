"""A folder below data/ of which only the .dvc file is here: its rows lie with DVC's remote."""

from pathlib import Path, PurePath
from typing import Any

PATTERN = frozenset("*?[")


def folder_of(data: Path, file: str) -> Path | None:
    """Returns the folder above the files that `file` names, or itself, where git has its .dvc file
    and nothing of it is here; None where all is here."""
    parts = PurePath(file).parts
    plain = next((i for i, part in enumerate(parts) if PATTERN & set(part)), len(parts))
    for end in range(1, plain + 1):
        folder = data.joinpath(*parts[:end])
        if Path(f"{folder}.dvc").is_file() and not folder.exists() and not folder.suffix:
            return folder
    return None


def is_elsewhere(data: Path, file: Any) -> bool:
    """Returns whether any of what data.file names, a text or a text a split, is not here."""
    named = file.values() if isinstance(file, dict) else [file]
    return any(each is not None and folder_of(data, each) is not None for each in named)
