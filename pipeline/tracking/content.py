"""The content of a run is what the artifacts say, in plain values: nothing of MLflow is loaded."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.config import earlier
from pipeline.config.params import Params
from pipeline.config.reading import flatten
from pipeline.errors import IncompleteArtifact
from pipeline.project import EXPORT_COMPLETE, repository
from pipeline.provenance.addresses import without_login
from pipeline.provenance.lineage import Artifact, Node
from pipeline.resolve import dvc as resolve_dvc
from pipeline.text import escaped
from pipeline.tracking import pictures as plots
from pipeline.tracking.view import View, view_of

RAW = "data"
"""The folder of raw data, as dvc.yaml names it."""

LONGEST_NAME, LONGEST_DATA, DIGITS = 25, 7, 8
"""Characters of a run's name, of the data's in it, and digits of the digest."""

LONGEST_PARAM = 6000
"""MLflow's limit; what is cut stands whole in the artifact params.yaml."""


@dataclass(frozen=True, kw_only=True)
class RunContent:
    """What the earlier stages made, and params.yaml."""

    complete_model: Path
    checkpoint: Path
    train: Path
    data: Path
    verify_report: Path
    sections: Mapping[str, Any]
    """The sections of params.yaml; those count that no statement has."""

    @cached_property
    def artifacts(self) -> dict[str, Artifact]:
        """Returns the artifacts by their stage's output, upstream first; the statement of each is
        read once."""
        directories = {
            "data": self.data,
            "train": self.train,
            "checkpoint": self.checkpoint,
            "complete-model": self.complete_model,
        }
        return {name: Artifact(directory) for name, directory in directories.items()}

    @property
    def digest(self) -> str:
        return self.node.digest

    @cached_property
    def schema(self) -> dict[str, Any]:
        return earlier.schema(_json(self.complete_model / "schema.json"))

    @cached_property
    def params(self) -> dict[str, Any]:
        """Returns the sections as the artifacts' statements have them, and those in none of them,
        in the order of params.yaml."""
        recorded = [each.params for each in self.artifacts.values()]
        every = {k: v for sections in (self.sections, *recorded) for k, v in sections.items()}
        order = [section.name for section in fields(Params)]
        return {name: every[name] for name in order if name in every} | every

    @property
    def by_reference(self) -> bool:
        """Returns whether MLflow is told where the files are, in place of getting them."""
        tracking: dict[str, Any] = self.params.get("tracking", {})
        return tracking.get("upload") == "reference"

    @cached_property
    def reference(self) -> dict[str, str]:
        """Returns tags that say where DVC has the files: path, and remote if there is any."""
        root = repository()
        lock = root / resolve_dvc.LOCK
        entry = resolve_dvc.stages(lock.read_bytes() if lock.is_file() else None, str(lock))
        path, _ = resolve_dvc.output(entry.get(EXPORT_COMPLETE, {})) or ("", "")
        remote = without_login(resolve_dvc.remote(root) or "")
        md5 = resolve_dvc.md5_of(self.complete_model)
        tags = {"dvc.md5": md5, "dvc.path": path, "dvc.remote": remote}
        return {name: value for name, value in tags.items() if value}

    @property
    def unrecorded(self) -> dict[str, Any]:
        """Returns the sections that no statement has."""
        recorded = {name for each in self.artifacts.values() for name in each.params}
        return {name: self.params[name] for name in self.params if name not in recorded}

    @cached_property
    def flat_params(self) -> dict[str, str]:
        return {name: _cut(value) for name, value in as_mlflow_params(self.params).items()}

    @property
    def model(self) -> str:
        return self.flat_params.get("model.name", "model")

    @property
    def data_name(self) -> str:
        return self.flat_params.get("data.name", "data")

    @property
    def run_name(self) -> str:
        return short_name(self.model, self.data_name, self.digest)

    @property
    def view(self) -> View:
        """Returns the view of its experiment that shows it beside others of the same data."""
        return view_of(self.flat_params, self.final)

    @cached_property
    def history(self) -> list[tuple[int, dict[str, float]]]:
        made_up = self.schema.get("made_up", False)
        return [] if made_up else plots.read_history(self.train / "history.csv")

    @cached_property
    def final(self) -> dict[str, float]:
        """Returns the metrics by name: at the chosen epoch, and from verify."""
        return _json(self.checkpoint / "metrics.json") | verdict(self.verified)

    @cached_property
    def verified(self) -> dict[str, Any]:
        """Returns the report of verify. Raises IncompleteArtifact when it is about another complete
        model."""
        report = _json(self.verify_report)
        if report["complete_model"] != self.digest:
            raise IncompleteArtifact(
                f"{self.verify_report}: is about the complete model {report['complete_model']}, "
                f"found {self.digest} in {self.complete_model}; run `dvc repro verify`"
            )
        return report

    @property
    def node(self) -> Node:
        return self.artifacts["complete-model"].node

    @cached_property
    def raw(self) -> dict[str, Any]:
        """Returns the raw data as `prepare` names them: path, revision and sha256; the folder's,
        where it holds too many files to be listed."""
        node = self.artifacts["data"].node
        file = node.params["data"]["file"]
        listed = node.files(RAW)
        one = isinstance(file, str) and file in listed
        path = f"{RAW}/{file}" if one else RAW
        digest = listed[file] if one else node.deps[RAW]
        return {"path": path, "rev": node.commit, "sha256": digest}


def short_name(model: str, data: str, digest: str) -> str:
    """Returns a run's name: model, data and the digest's beginning, as long as MLflow's tables
    show."""
    end = f"-{data[:LONGEST_DATA]}-{digest[:DIGITS]}"
    return escaped(model[: LONGEST_NAME - len(end)] + end)


def _json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def as_mlflow_params(values: Mapping[str, Any]) -> dict[str, str]:
    """Leaves by their dotted names in MLflow's characters; text as it is, everything else as JSON
    spells it."""
    return {
        re.sub(r"[^\w.:/ -]", "_", path): value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False)
        for path, value in flatten(values).items()
    }


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST_PARAM else value[: LONGEST_PARAM - 1] + "…"


def verdict(report: Mapping[str, Any]) -> dict[str, float]:
    """Returns what verify measured, under names that are the same in every run; of each format and
    each program in another language, too. MLflow sorts charts into sections by what stands before
    the last slash."""
    formats = report.get("formats", {})
    differences = [entry.get("max_abs_diff") for entry in formats.values()]
    measured = {
        "max_abs_diff": max((each for each in differences if each is not None), default=None),
        "size_mb": _megabytes(report.get("sizes", {}).get("directory")),
    }
    for name, entry in formats.items():
        measured[f"{name}/max_abs_diff"] = entry.get("max_abs_diff")
        measured[f"{name}/size_mb"] = _megabytes(entry.get("bytes"))
        measured[f"{name}/load_seconds"] = entry.get("timing", {}).get("load_seconds")
    for name, entry in report.get("runtimes", {}).items():
        measured[f"{name}/max_abs_diff"] = entry.get("max_abs_diff")
        measured |= {f"{name}/{key}": value for key, value in entry["timing"].items()}
        for kind, value in entry.get("training", {}).get("max_abs_diff", {}).items():
            measured[f"{name}/training_{kind}_max_abs_diff"] = value
    for name, timing in report.get("speeds", {}).items():
        measured |= {f"{name}/{key}": value for key, value in timing.items()}
    return {f"verify/{k}": float(v) for k, v in measured.items() if v is not None}


def _megabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e6
