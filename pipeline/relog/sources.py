"""The files that an execution read and wrote, in DVC's cache or in the work tree, held to their
md5 and to the statements before anything is logged of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import IncompleteArtifact, PipelineError
from pipeline.provenance.lineage import Node
from pipeline.relog.executions import ARTIFACTS, Execution, leads_out
from pipeline.resolve import dvc
from pipeline.resolve.statements import statement

Files = Mapping[str, Path]
"""Name within a path, "" for a path that is one file -> where its bytes are."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    root: Path
    _md5: dict[str, str] = field(default_factory=dict)
    """The md5 of what lies in the work tree, which is hashed once and only where the cache lacks
    it."""

    def files(self, path: str, md5: str) -> Files | None:
        """Returns the files of a path with this md5; None when not all of them are at hand."""
        if md5.endswith(".dir"):
            files = dvc.listing(self.root, md5)
        else:
            files = {"": dvc.stored(self.root, md5)}
        if files and all(place.is_file() for place in files.values()):
            return files
        return self._in_work_tree(path) if self._work_tree_md5(path) == md5 else None

    def _work_tree_md5(self, path: str) -> str:
        place = self.root / path
        if path not in self._md5:
            self._md5[path] = dvc.md5_of(place) if place.exists() else ""
        return self._md5[path]

    def _in_work_tree(self, path: str) -> Files:
        place = self.root / path
        if place.is_file():
            return {"": place}
        return {name: place / name for name in (*provenance.files(place), provenance.NAME)}

    def of(self, execution: Execution) -> "Stored":
        paths = {path: self.files(path, md5) for path, md5 in execution.md5.items()}
        return Stored(
            root=self.root,
            execution=execution,
            files={path: files for path, files in paths.items() if files is not None},
        )


@dataclass(frozen=True, kw_only=True)
class Stored:
    """An execution and the files of it that are at hand."""

    root: Path
    execution: Execution
    files: Mapping[str, Files]
    """By path; one that is not wholly at hand is not there."""

    @property
    def missing(self) -> list[str]:
        return sorted(set(self.execution.md5) - set(self.files))

    def at(self, option: str) -> Files | None:
        return self.files.get(self.execution.paths[option])

    @cached_property
    def digest(self) -> str | None:
        """Returns the complete model's digest: by its statement, else as the report of verify names
        it."""
        if place := (self.at("complete-model") or {}).get(provenance.NAME):
            return provenance.digest(place)
        return self._json("verify-report").get("complete_model")

    @cached_property
    def report(self) -> dict[str, Any]:
        """Returns reports/mlflow.json as it was written; empty when it is not at hand."""
        return self._json("report")

    def _json(self, option: str) -> dict[str, Any]:
        """Returns a report's content; empty where it is not what was recorded, for which `check`
        raises."""
        files = self.at(option)
        if files is None or _md5(files[""]) != self.execution.md5[self.execution.paths[option]]:
            return {}
        content: dict[str, Any] = json.loads(files[""].read_bytes())
        return content

    def check(self) -> None:
        """Raises PipelineError, which names the first file that is not what was recorded."""
        artifacts = [self.execution.paths[each] for each in ARTIFACTS]
        nodes = [self._checked(path) for path in artifacts]
        named = {digest for node in nodes for digest in node.deps.values()}
        for node in nodes[1:]:
            if node.digest not in named:
                raise IncompleteArtifact(
                    f"{self.execution.where}: names a {node.stage} ({node.digest[:12]}) that the "
                    "complete model was not made from; no run was ever logged of these"
                )
        for path in set(self.execution.md5) - set(artifacts):
            for place in self.files[path].values():
                self._demand(place, _md5(place), self.execution.md5[path])

    def _checked(self, path: str) -> Node:
        """Checks the list of an artifact's files, its statement, and every file by that."""
        files, md5 = self.files[path], self.execution.md5[path]
        listed = dvc.stored(self.root, md5)
        if listed.is_file():
            self._demand(listed, f"{_md5(listed)}.dir", md5)
        place = files.get(provenance.NAME)
        node = statement(place) if place else None
        if node is None or not node.intact:
            raise self._rotten(place or listed, "no statement of provenance whose seal fits")
        if odd := set(files) ^ {*node.subject, provenance.NAME}:
            raise self._rotten(listed, f"not the files of the statement: {', '.join(sorted(odd))}")
        for name, recorded in node.subject.items():
            self._demand(files[name], provenance.digest(files[name]), recorded)
        return node

    def _demand(self, place: Path, actual: str, recorded: str) -> None:
        if actual != recorded:
            raise self._rotten(place, f"has the digest {actual}, recorded is {recorded}")

    def _rotten(self, place: Path, fault: str) -> PipelineError:
        cached = place.is_relative_to(dvc.cache(self.root))
        todo = "remove it, then `dvc fetch --all-commits --run-cache`" if cached else "`dvc repro`"
        return IncompleteArtifact(f"{place}: rotten: {fault}; {todo}")

    def lay_out(self, directory: Path) -> dict[str, Path]:
        """Returns the path of each option below `directory`, where links stand for the files; none
        is copied."""
        for path, files in self.files.items():
            for name, place in files.items():
                if leads_out(name):
                    raise IncompleteArtifact(f"{path}: {name}: leads out of its directory")
                link = directory / path / name if name else directory / path
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(place.absolute())
        return {option: directory / path for option, path in self.execution.paths.items()}


def _md5(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()
