"""MLflow's store: where it lies, made once, one writer of this repository at a time.

With log_to_mlflow and dvc_source the only module that loads MLflow.
"""

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY = "provenance.complete-model"
"""The tag that names a run's complete model; a finished run with it is never made twice."""

UI = "http://127.0.0.1:5000"
"""Where `make ui` serves a store that is no server itself."""

# Read by MLflow at import; what the user has set stays. Its default of 7 retries is minutes a call.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


@dataclass(frozen=True, kw_only=True)
class Store:
    uri: str
    artifacts: str | None
    """Where new experiments keep their files, as a URI; None leaves it to the server."""
    lock: Path

    @property
    def local(self) -> bool:
        """Every process that writes to it holds the lock."""
        return self.uri.startswith("sqlite:")

    @property
    def shown(self) -> str:
        return without_login(self.uri)

    @property
    def page(self) -> str:
        return self.shown.rstrip("/") if _is_server(self.uri) else UI


def without_login(text: str) -> str:
    """A URI in it loses the user and password that it may carry."""
    return re.sub(r"//[^/@\s]*@", "//", text)


def locate(uri: str | None) -> Store:
    """Null is mlflow.db in the repository; a relative sqlite path counts from there too, never
    from the throw-away copy in which `dvc exp run --temp` works."""
    root = repository()
    lock = root / "mlflow.db.lock"
    uri = uri or "sqlite:///mlflow.db"
    artifacts = None if _is_server(uri) else (root / "mlartifacts").as_uri()
    if uri.startswith("sqlite:///"):
        database = root / uri.removeprefix("sqlite:///")
        database.parent.mkdir(parents=True, exist_ok=True)
        uri, lock = f"sqlite:///{database}", database.with_name(f"{database.name}.lock")
        artifacts = (database.parent / "mlartifacts").as_uri()
    return Store(uri=uri, artifacts=artifacts, lock=lock)


def repository() -> Path:
    """DVC names the real one, also to a stage that runs in a copy of it."""
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).resolve()
    here = Path.cwd()
    above = (here, *here.parents)
    return next((p for p in above if (p / ".dvc").exists() or (p / ".git").exists()), here)


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://", "databricks"))


@contextlib.contextmanager
def opened(store: Store) -> Iterator["MlflowClient"]:
    """One process at a time: of several that make a fresh store at once, most fail.

    Raises PipelineError, one line, for whatever MLflow refuses while it is open.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _without_pandas():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        if store.local:
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401, before the lock is held
    try:
        with locked(store.lock), _default_artifacts(store):
            yield MlflowClient(store.uri)
    except MlflowException as error:
        found = without_login(" ".join(str(error).split()))[:500]
        raise PipelineError(
            f"MLflow at {store.shown}: {found}; look at tracking.uri in params.yaml"
        ) from None


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """MLflow does without pandas where there is none, and then loads in half the time."""
    if "pandas" in sys.modules or "mlflow" in sys.modules:
        yield
        return
    sys.modules["pandas"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["pandas"]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits for its turn; the kernel drops the lock of a process that dies."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _default_artifacts(store: Store) -> Iterator[None]:
    """A new store's experiment `Default` keeps this place for good; else it is ./mlruns."""
    name = "_MLFLOW_SERVER_ARTIFACT_ROOT"
    if store.artifacts is None or name in os.environ:
        yield
        return
    os.environ[name] = store.artifacts
    try:
        yield
    finally:
        del os.environ[name]


def experiment(client: "MlflowClient", store: Store, name: str) -> str:
    """Its id; made if there is none. Raises PipelineError when it lies in MLflow's bin."""
    found = client.get_experiment_by_name(name)
    if found is None:
        return client.create_experiment(name, artifact_location=store.artifacts)
    if found.lifecycle_stage != "active":
        raise PipelineError(
            f"tracking.experiment: {name} was deleted; restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}` or choose another name"
        )
    return found.experiment_id
