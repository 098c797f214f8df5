"""What a store of MLflow holds of a complete model, whichever kind of store it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KEY = "provenance.complete-model"
"""The tag that names a run's complete model; a finished run with it is never made twice."""
MD5 = "dvc.md5"
"""The tag of a run that was logged by reference."""


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A run or a logged model, and what the store holds of its complete model."""

    run: str | None = None
    name: str | None = None
    """Of the logged model."""
    digest: str | None = None
    """Of the complete model, as the tag says."""
    md5: str | None = None
    """Of the complete model in DVC, when the run was logged by reference."""
    place: Path | None = None
    """The logged model's directory, when it is at hand."""
    statements: tuple[bytes, ...] = ()
    """As a server gave them, the complete model's first."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that names a complete model."""

    id: str
    name: str
    status: str
    deleted: bool
    place: Path | None
    """Its artifacts' directory, when it is at hand."""
    models: Mapping[str, Path | None]
    """Its logged models by id, and their directories."""
    versions: Sequence[tuple[str, int]]
    """Name and version of the registered models that are this run's."""
