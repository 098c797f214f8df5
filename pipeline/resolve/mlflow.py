"""MLflow's store without MLflow: a local one is sqlite, a server is asked over HTTP.

Either answers the same few questions; what it holds of a complete model is `Logged`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline import provenance
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import PipelineError
from pipeline.project import PARAMS
from pipeline.provenance.addresses import without_login
from pipeline.resolve.logged import Logged as Logged
from pipeline.resolve.logged import Run as Run
from pipeline.resolve.mlflow_server import Server
from pipeline.resolve.mlflow_tables import Local


def store(root: Path) -> Local | Server:
    """Returns the store of tracking.uri in params.yaml. Raises PipelineError for a kind that needs
    MLflow."""
    path = root / PARAMS
    values = load_yaml(path.read_text(), str(PARAMS)) if path.is_file() else {}
    tracking = values.get("tracking") if isinstance(values, Mapping) else None
    uri = (tracking.get("uri") if isinstance(tracking, Mapping) else None) or "sqlite:///mlflow.db"
    if uri.startswith(("http://", "https://")):
        return Server(uri)
    if not uri.startswith("sqlite:///"):
        raise PipelineError(
            f"tracking.uri in params.yaml: found {without_login(uri)}, expected sqlite:/// or an "
            "http(s) address; give a directory or a sha256 instead"
        )
    return Local(root / uri.removeprefix("sqlite:///"))


def model_directories(root: Path) -> Iterator[Path]:
    """Yields the directories of logged models that have a statement."""
    folder = _files(root)
    for pattern in ("models/*/artifacts", "*/models/*/artifacts"):
        yield from (p.parent for p in sorted(folder.glob(f"{pattern}/{provenance.NAME}")))


def logged_statements(root: Path) -> Iterator[Path]:
    """Yields the statements that runs keep among their own artifacts."""
    folder = _files(root)
    for pattern in ("*/artifacts", "*/*/artifacts"):
        yield from folder.glob(f"{pattern}/provenance/*.json")


def _files(root: Path) -> Path:
    """Returns where a store in this repository has its files: beside its database."""
    with contextlib.suppress(PipelineError):
        if isinstance(local := store(root), Local):
            return local.database.parent / "mlartifacts"
    return root / "mlartifacts"
