"""MLflow's store without MLflow: a local one is sqlite, a server is asked over HTTP.

Either answers the same few questions; what it holds of a complete model is `Logged`.
"""

import base64
import contextlib
import json
import os
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.reading import load_yaml
from pipeline.errors import PipelineError
from pipeline.project import PARAMS
from pipeline.tracking.store import KEY, REFUSED, without_login

TAGS = (KEY, "provenance.checkpoint", "provenance.train", "provenance.data")
ENOUGH = 5
"""Logged models that one is looked for in: thousands may be made from the same data."""
SECONDS = 5
"""Until a server that does not answer is given up."""


@dataclass(frozen=True, kw_only=True)
class Logged:
    """A run or a logged model, and what the store holds of its complete model."""

    run: str | None = None
    name: str | None = None
    """Of the logged model."""
    digest: str | None = None
    """Of the complete model, as the tag says."""
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


class Local:
    """mlflow.db, opened to read only."""

    def __init__(self, database: Path) -> None:
        self.database = database
        self.shown = str(database)

    def rows(self, query: str, *values: Any) -> list[Any]:
        if not self.database.is_file():
            return []
        address = f"{self.database.resolve().as_uri()}?mode=ro"
        try:
            with contextlib.closing(sqlite3.connect(address, uri=True, timeout=SECONDS)) as opened:
                return opened.execute(query, values).fetchall()
        except sqlite3.Error as fault:
            raise PipelineError(
                f"{self.database}: cannot be read as MLflow's store: {fault}; "
                "look at tracking.uri in params.yaml"
            ) from None

    def path(self, uri: str | None) -> Path | None:
        """Absolute in the database; a repository moved or copied has it beside the database."""
        if not uri:
            return None
        path = Path(urllib.parse.unquote(urllib.parse.urlparse(uri).path))
        if "mlartifacts" in path.parts:
            below = path.parts[path.parts.index("mlartifacts") :]
            beside = self.database.parent.joinpath(*below)
            path = beside if beside.is_dir() else path
        return path if path.is_dir() else None

    def run(self, run: str) -> Logged | None:
        if not self.rows("SELECT 1 FROM runs WHERE run_uuid = ?", run):
            return None
        tag = self.rows("SELECT value FROM tags WHERE run_uuid = ? AND key = ?", run, KEY)
        models = self.rows("SELECT model_id FROM logged_models WHERE source_run_id = ?", run)
        every = [found for (model,) in models if (found := self.model(model))]
        digest = tag[0][0] if tag else None
        fitting = [m for m in every if m.place and m.digest == digest] or every
        return replace(fitting[0] if fitting else Logged(), run=run, digest=digest)

    def model(self, model: str) -> Logged | None:
        query = (
            "SELECT source_run_id, name, artifact_location FROM logged_models WHERE model_id = ?"
        )
        found = self.rows(query, model)
        if not found:
            return None
        query = "SELECT tag_value FROM logged_model_tags WHERE model_id = ? AND tag_key = ?"
        tag = self.rows(query, model, KEY)
        run, name, place = found[0]
        digest = tag[0][0] if tag else None
        return Logged(run=run, name=name, digest=digest, place=self.path(place))

    def version(self, name: str, version: str) -> tuple[str, str | None] | None:
        """Source and run of a registered model's version; `version` may be @alias."""
        if version.startswith("@"):
            query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
            found = self.rows(query, name, version[1:])
            version = str(found[0][0]) if found else ""
        query = "SELECT source, run_id FROM model_versions WHERE name = ? AND version = ?"
        found = self.rows(query, name, version)
        return (found[0][0], found[0][1]) if found else None

    def runs(self, digest: str) -> list[Run]:
        """That name this complete model, finished ones first."""
        query = (
            "SELECT r.run_uuid, r.name, r.status, r.lifecycle_stage, r.artifact_uri FROM runs r "
            "JOIN tags t ON t.run_uuid = r.run_uuid WHERE t.key = ? AND t.value = ? "
            "ORDER BY r.lifecycle_stage, r.status != 'FINISHED', r.start_time"
        )
        return [
            Run(
                id=run,
                name=name or "",
                status=status,
                deleted=stage != "active",
                place=self.path(place),
                models=self._models(run),
                versions=self.rows(
                    "SELECT name, version FROM model_versions WHERE run_id = ?", run
                ),
            )
            for run, name, status, stage, place in self.rows(query, KEY, digest)
        ]

    def directories(self, digest: str) -> list[Path]:
        """Of logged models whose run names an artifact with this digest, or one that begins so."""
        query = (
            "SELECT m.artifact_location FROM tags t "
            "JOIN logged_models m ON m.source_run_id = t.run_uuid "
            "WHERE t.key IN (?, ?, ?, ?) AND t.value BETWEEN ? AND ? LIMIT ?"
        )
        found = self.rows(query, *TAGS, digest, f"{digest}g", ENOUGH)
        return [path for (place,) in found if (path := self.path(place))]

    def _models(self, run: str) -> dict[str, Path | None]:
        query = "SELECT model_id, artifact_location FROM logged_models WHERE source_run_id = ?"
        return {model: self.path(place) for model, place in self.rows(query, run)}


class Server:
    """MLflow's REST API; every question is a request, so only who names a run asks one."""

    def __init__(self, uri: str) -> None:
        self.uri = uri.rstrip("/")
        self.shown = without_login(self.uri)

    def get(self, path: str, **query: str) -> bytes | None:
        """The body; None when there is no such thing. Raises PipelineError."""
        parts = urllib.parse.urlsplit(self.uri)
        place = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        address = f"{place}/{path}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, headers=_login(parts))
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as fault:
            if fault.code in (400, 404):
                return None
            told = REFUSED.get(str(fault.code), f"answered {fault.code}")
            raise PipelineError(f"MLflow at {self.shown}: {told}") from None
        except OSError as fault:
            reason = getattr(fault, "reason", fault)
            raise PipelineError(
                f"MLflow at {self.shown}: not reachable ({reason}); start the server, correct "
                "tracking.uri in params.yaml, or give a directory or a sha256 instead"
            ) from None

    def ask(self, path: str, **query: str) -> dict[str, Any] | None:
        body = self.get(f"api/2.0/mlflow/{path}", **query)
        try:
            found: dict[str, Any] | None = json.loads(body) if body else None
        except ValueError:
            raise PipelineError(f"MLflow at {self.shown}: is no MLflow server") from None
        return found

    def run(self, run: str) -> Logged | None:
        answer = self.ask("runs/get", run_id=run)
        if answer is None:
            return None
        tags = {t["key"]: t["value"] for t in answer["run"]["data"].get("tags", [])}
        models = answer["run"].get("outputs", {}).get("model_outputs", [])
        found = next((m for each in models if (m := self.model(each["model_id"]))), Logged())
        return replace(found, run=run, digest=tags.get(KEY))

    def model(self, model: str) -> Logged | None:
        answer = self.ask(f"logged-models/{model}")
        if answer is None:
            return None
        info = answer["model"]["info"]
        tags = {t["key"]: t["value"] for t in info.get("tags", [])}
        return Logged(
            run=info.get("source_run_id"),
            name=info.get("name"),
            digest=tags.get(KEY),
            statements=tuple(self._statements(model)),
        )

    def _statements(self, model: str) -> Iterator[bytes]:
        """Its own, and those that it lists below lineage/."""
        where = f"ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files"
        first = self.get(where, artifact_file_path=provenance.NAME)
        if first is None:
            return
        yield first
        with contextlib.suppress(ValueError, KeyError, TypeError):
            for entry in json.loads(first)["subject"]:
                if str(entry["name"]).startswith("lineage/"):
                    yield self.get(where, artifact_file_path=entry["name"]) or b""

    def version(self, name: str, version: str) -> tuple[str, str | None] | None:
        if version.startswith("@"):
            answer = self.ask("registered-models/alias", name=name, alias=version[1:])
        else:
            answer = self.ask("model-versions/get", name=name, version=version)
        found = (answer or {}).get("model_version")
        return (found["source"], found.get("run_id")) if found else None


def _login(parts: urllib.parse.SplitResult) -> dict[str, str]:
    """From the address, or from the variables that MLflow itself reads."""
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        return {"Authorization": f"Bearer {token}"}
    user = parts.username or os.environ.get("MLFLOW_TRACKING_USERNAME")
    if user is None:
        return {}
    word = parts.password or os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    pair = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(word)}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def store(root: Path) -> Local | Server:
    """As tracking.uri in params.yaml says. Raises PipelineError for a kind that needs MLflow."""
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


def folder(root: Path) -> Path:
    """Where a store in this repository keeps files: beside its database."""
    with contextlib.suppress(PipelineError):
        if isinstance(found := store(root), Local):
            return found.database.parent / "mlartifacts"
    return root / "mlartifacts"
