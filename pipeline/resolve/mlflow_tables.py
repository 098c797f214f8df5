"""The one place that knows MLflow's tables; a test fails when another version has others."""

import contextlib
import sqlite3
import urllib.parse
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.resolve.logged import KEY, MD5, Logged, Run

TAGS = (KEY, "provenance.checkpoint", "provenance.train", "provenance.data")
ENOUGH = 5
"""Logged models that one is looked for in: thousands may be made from the same data."""
SECONDS = 5
"""Until a database that is locked is given up."""


class Local:
    """A store whose database is a file of sqlite, opened to read only."""

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
        """Returns the path of an address in the database, where it is absolute; a repository moved
        or copied has the files beside the database."""
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
        logged = [each for (model,) in models if (each := self.model(model))]
        digest = tag[0][0] if tag else None
        fitting = [each for each in logged if each.place and each.digest == digest] or logged
        md5 = self.rows("SELECT value FROM tags WHERE run_uuid = ? AND key = ?", run, MD5)
        first = fitting[0] if fitting else Logged()
        return replace(first, run=run, digest=digest, md5=md5[0][0] if md5 else None)

    def model(self, model: str) -> Logged | None:
        query = (
            "SELECT source_run_id, name, artifact_location FROM logged_models WHERE model_id = ?"
        )
        rows = self.rows(query, model)
        if not rows:
            return None
        query = "SELECT tag_value FROM logged_model_tags WHERE model_id = ? AND tag_key = ?"
        tag = self.rows(query, model, KEY)
        run, name, place = rows[0]
        digest = tag[0][0] if tag else None
        return Logged(run=run, name=name, digest=digest, place=self.path(place))

    def version(self, name: str, version: str) -> tuple[str, str | None] | None:
        """Returns source and run of a registered model's version; `version` may be @alias."""
        if version.startswith("@"):
            query = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
            rows = self.rows(query, name, version[1:])
            version = str(rows[0][0]) if rows else ""
        query = "SELECT source, run_id FROM model_versions WHERE name = ? AND version = ?"
        rows = self.rows(query, name, version)
        return (rows[0][0], rows[0][1]) if rows else None

    def runs(self, digest: str) -> list[Run]:
        """Runs that name this complete model, finished ones first."""
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
        """Returns the directories of logged models whose run names an artifact with this digest, or
        one that begins so."""
        query = (
            "SELECT m.artifact_location FROM tags t "
            "JOIN logged_models m ON m.source_run_id = t.run_uuid "
            "WHERE t.key IN (?, ?, ?, ?) AND t.value BETWEEN ? AND ? LIMIT ?"
        )
        rows = self.rows(query, *TAGS, digest, f"{digest}g", ENOUGH)
        return [path for (place,) in rows if (path := self.path(place))]

    def _models(self, run: str) -> dict[str, Path | None]:
        query = "SELECT model_id, artifact_location FROM logged_models WHERE source_run_id = ?"
        return {model: self.path(place) for model, place in self.rows(query, run)}
