"""MLflow's store: where it lies, made once, one writer of this repository at a time."""

import contextlib
import fcntl
import logging
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import PipelineError
from pipeline.files import replacing, translate_os_errors
from pipeline.project import repository
from pipeline.provenance.addresses import without_login
from pipeline.resolve.mlflow_server import REFUSED
from pipeline.tracking import requests, view

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

NOTE = "mlflow.note.content"
"""The tag whose text a page begins with."""

UI = "http://127.0.0.1:5000"
"""Where `make ui` serves a store that is no server itself."""

ARTIFACTS = "_MLFLOW_SERVER_ARTIFACT_ROOT"


@dataclass(frozen=True, kw_only=True)
class Store:
    """A store of MLflow's: its address, and what a process that writes to it takes."""

    uri: str
    artifacts: str | None
    """Where new experiments keep their files, as a URI; None leaves it to the server."""
    lock: Path

    @property
    def local(self) -> bool:
        """Returns whether the store is a file here; every process that writes to it holds the
        lock."""
        return self.uri.startswith("sqlite:")

    @property
    def is_server(self) -> bool:
        return _is_server(self.uri)

    @property
    def shown(self) -> str:
        return without_login(self.uri)

    @property
    def page(self) -> str:
        return self.shown.rstrip("/") if self.is_server else UI


def locate(uri: str | None) -> Store:
    """Returns the store that a URI names. Null is mlflow.db in the repository; a relative sqlite
    path counts from there too, never from the throw-away copy in which `dvc exp run --temp`
    works."""
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


def _is_server(uri: str) -> bool:
    return uri.startswith(("http://", "https://", "databricks"))


@contextlib.contextmanager
def opened(store: Store, again: str = "`dvc repro`") -> Iterator["MlflowClient"]:
    """Yields a client, to one process at a time: of several that make a fresh store at once, most
    fail.

    Raises PipelineError, one line, for whatever MLflow refuses while it is open; `again` is what to
    run then.
    """
    for name, value in requests.ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _without_pandas():
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        if store.local:
            import mlflow.store.tracking.sqlalchemy_store  # noqa: F401, before the lock is held
    # It logs what it raises, which is told in one line below.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    try:
        with locked(store.lock), _environment(store), translate_os_errors(store.lock):
            _create(store)
            yield MlflowClient(store.uri)
    except (MlflowException, RequestException) as error:
        raise PipelineError(
            f"MLflow at {store.shown}: {_reason(error)}; nothing is lost, the artifacts are whole: "
            f"look at the server or at tracking.uri in params.yaml, then run {again}"
        ) from None


def _create(store: Store) -> None:
    """Makes a new sqlite store, which appears whole: MLflow cannot go on from a schema that was cut
    short."""
    database = Path(store.uri.removeprefix("sqlite:///"))
    if not store.local or database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    with replacing(database) as partial:
        for left in database.parent.glob(f"{partial.name}*"):  # by one that was killed
            left.unlink()
        made = SqlAlchemyStore(f"sqlite:///{partial}", store.artifacts)  # type: ignore[no-untyped-call]
        made.engine.dispose()


def _reason(error: BaseException) -> str:
    """Returns one line: what the connection met, where MLflow only says that a request failed."""
    from urllib3.exceptions import HTTPError, MaxRetryError

    cause = error.__cause__ or error.__context__ or error
    reason = cause.args[0] if cause.args and isinstance(cause.args[0], HTTPError) else error
    if isinstance(reason, MaxRetryError) and reason.reason:
        reason = reason.reason
    text = re.sub(r"^HTTPS?Connection\w*\([^)]*\): ", "", " ".join(str(reason).split()))
    if status := re.search(r"error code (40[13])\b|^(40[13]) Client Error", text):
        return REFUSED[status[1] or status[2]]
    if message := re.search(r'"message": "((?:[^"\\]|\\.)+)"', text):
        text = message[1]
    return without_login(text)[:500]


@contextlib.contextmanager
def _without_pandas() -> Iterator[None]:
    """Has MLflow be imported as if there were no pandas, which takes half the time."""
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
def _environment(store: Store) -> Iterator[None]:
    """Sets the variables that MLflow itself reads: the store, whose registry the logged models are
    in, and for a new one where its experiment `Default` keeps files for good, which else is
    ./mlruns."""
    wanted = {"MLFLOW_TRACKING_URI": store.uri}
    if store.artifacts is not None and ARTIFACTS not in os.environ:
        wanted[ARTIFACTS] = store.artifacts
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ |= {} if value is None else {name: value}


def experiment(
    client: "MlflowClient", store: Store, name: str, shown: view.View | None = None
) -> str:
    """Returns the experiment's id; it is made if there is none, and its page set up, with the view
    that is to be `shown`. Raises PipelineError when it lies in MLflow's bin."""
    experiment_of_name = client.get_experiment_by_name(name) or _made(client, store, name)
    if experiment_of_name.lifecycle_stage != "active":
        raise PipelineError(
            f"tracking.experiment: {name} was deleted; restore it with `mlflow experiments restore "
            f"--experiment-id {experiment_of_name.experiment_id}` or choose another name"
        )
    if NOTE not in experiment_of_name.tags:
        _set_tag(client, experiment_of_name, NOTE, view.NOTE)
    if shown:
        value = shown.value(experiment_of_name.tags.get(shown.tag))
        if value != experiment_of_name.tags.get(shown.tag):
            _set_tag(client, experiment_of_name, shown.tag, value)
    return experiment_of_name.experiment_id


def _set_tag(client: "MlflowClient", experiment: "Experiment", tag: str, value: str) -> None:
    requests.retry_on_clash(
        partial(client.set_experiment_tag, experiment.experiment_id, tag, value)
    )


def _made(client: "MlflowClient", store: Store, name: str) -> "Experiment":
    """Returns the experiment that was made, or the one that another host, or a request whose answer
    was lost, made in the meantime."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_experiment(client.create_experiment(name, store.artifacts))
    except MlflowException as error:
        existing = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or existing is None:
            raise
        return existing


def model_of(run: "Run") -> str:
    """Returns the id of the run's logged model. Raises PipelineError when somebody has taken it
    away."""
    for output in run.outputs.model_outputs if run.outputs else ():
        return output.model_id
    raise PipelineError(
        f"MLflow's run {run.info.run_id}: found no logged model, expected the one that it was "
        "finished with; delete the run, then run `dvc repro`"
    )
