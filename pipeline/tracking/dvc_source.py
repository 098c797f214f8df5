"""Where raw data come from, as MLflow's own kind of source: a path in a DVC repository.

MLflow finds it through the entry point in pyproject.toml, so that
`mlflow.data.get_source(...)` of a run's data set gives it, and `.load()` the bytes.
"""

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlflow.data.dataset_source import DatasetSource

from pipeline import provenance
from pipeline.errors import DataError


@dataclass(frozen=True, kw_only=True)
class DvcSource(DatasetSource):
    """The file or folder at a commit, in git itself or tracked by DVC there."""

    path: str
    rev: str | None
    """The commit that the data were prepared at; null outside git."""
    sha256: str
    url: str
    """Of the repository."""

    @staticmethod
    def _get_source_type() -> str:
        return "dvc"

    @staticmethod
    def _can_resolve(raw_source: Any) -> bool:
        """Returns whether it is such a source already: a path alone names neither revision nor
        digest."""
        return isinstance(raw_source, DvcSource)

    @classmethod
    def _resolve(cls, raw_source: Any) -> "DvcSource":
        source: DvcSource = raw_source
        return source

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, source_dict: dict[Any, Any]) -> "DvcSource":
        return cls(**source_dict)

    def load(self) -> str:
        """Returns the path of a copy. Raises DataError when the bytes are not those that were
        used."""
        from dvc.api import DVCFileSystem

        target = Path(tempfile.mkdtemp(prefix="dvc-")) / Path(self.path).name
        DVCFileSystem(self.url, rev=self.rev).get(self.path, str(target), recursive=True)
        if (sha256 := provenance.digest(target)) != self.sha256:
            raise DataError(
                f"{self.path} of {self.url} at {self.rev}: sha256 is {sha256}, the run used "
                f"{self.sha256}; the data were changed and not committed"
            )
        return str(target)
