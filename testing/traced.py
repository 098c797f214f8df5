"""A repository in which all stages ran once, with git, DVC and MLflow, for tests to copy."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pipeline import provenance, resolve, trace
from testing.project import TINY, Project, make_project
from testing.shared import shared

REGISTER = """
from mlflow import MlflowClient
import sys
client = MlflowClient("sqlite:///mlflow.db")
client.create_registered_model("digits")
client.create_model_version("digits", f"models:/{sys.argv[1]}", sys.argv[2], model_id=sys.argv[1])
client.set_registered_model_alias("digits", "champion", 1)
"""
QUICK = ("experiment=smoke", "export.attempt=[]", "train.epochs=1")


@dataclass(frozen=True)
class Traced(Project):
    @cached_property
    def report(self) -> dict[str, Any]:
        return json.loads(self.read("reports/mlflow.json"))

    @property
    def model(self) -> Path:
        return self.root / "artifacts/complete-model"

    @property
    def digest(self) -> str:
        return provenance.digest(self.model)

    def resolve(self, what: str | Path) -> resolve.Resolved:
        """A path counts from the project, whatever the working directory is."""
        path = self.root / what
        return resolve.resolve(str(path if path.exists() else what), self.root)

    def trace(self, what: str | Path = "artifacts/complete-model") -> dict[str, Any]:
        return trace.trace(str(what), self.resolve(what), self.root)

    def checks(
        self, verdict: str, what: str | Path = "artifacts/complete-model"
    ) -> list[tuple[str, str, str]]:
        """Kind of artifact, claim and text of those with this verdict."""
        nodes = self.trace(what)["nodes"]
        return [
            (node["kind"], check["claim"], check["text"])
            for node in nodes
            for check in node["checks"]
            if check["verdict"] == verdict
        ]

    def command(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess:
        """`python -m pipeline.trace` as a user types it."""
        return self.run("python", "-m", "pipeline.trace", *arguments, check=False, **environ)

    def resealed(self, directory: Path, **changes: Any) -> None:
        """The statement written anew with another definition, as somebody who lies would."""
        definition = provenance.read(directory)["predicate"]["buildDefinition"]
        for dep in definition["resolvedDependencies"]:
            if "gitCommit" in dep["digest"] and "commit" in changes:
                dep["digest"]["gitCommit"] = changes["commit"]
        definition["internalParameters"] |= changes.get("environment", {})
        definition["externalParameters"]["params"] |= changes.get("params", {})
        provenance.write(directory, definition)


def traced(factory: pytest.TempPathFactory) -> Traced:
    """Returns a committed run, and a DVC experiment `quick` that ran elsewhere."""
    return Traced(shared(factory, "traced", _make) / "project")


def _make(folder: Path) -> None:
    project = Traced(make_project(folder / "project").root)
    project.params(*TINY)
    project.commit("two epochs")
    project.run("dvc", "repro")
    project.commit("trained")
    report = project.report
    project.script(REGISTER, report["model_id"], report["run_id"], parent="mlflow")
    options = [part for value in QUICK for part in ("-S", value)]
    project.run("dvc", "exp", "run", "--temp", "--name", "quick", *options)


def modules(project: Project, *arguments: str) -> set[str]:
    """What a trace had loaded when it was done."""
    code = (
        "import sys\nfrom pipeline.trace import main\nmain(sys.argv[1:])\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=project.root,
        env=os.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())
