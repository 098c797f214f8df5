"""The stages of a chain, run one after the other in a clone, each with its own recorded code and
parameters, and with no cache."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.reading import dump_yaml, load_yaml
from pipeline.errors import CannotRun
from pipeline.project import PARAMS
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node
from pipeline.reproduce.code import environ, last_line

TAIL = 12
"""Lines of a stage's output that are shown when it fails."""
ENVIRONMENT = (
    "import json; from pipeline.provenance import environment; print(json.dumps(environment()))"
)
UNUSED = ("tracking",)
"""Sections of stages that are not run."""


@dataclass(frozen=True, kw_only=True)
class StageRun:
    seconds: float
    passed: bool
    output: str
    """Its last lines."""


def chain(last: Node, known: Mapping[str, Node]) -> list[Node]:
    """What is to be made, upstream first; a parent that was trained on from is taken as it is."""
    return lineage.walk(last, known, parents=False)[::-1]


def stages(project: Path) -> dict[str, Any]:
    """Returns the entries of the checked out dvc.yaml. Raises CannotRun."""
    path = project / "dvc.yaml"
    if not path.is_file():
        raise CannotRun(
            f"{path.name}: the commit has none in this directory; is it the repository?"
        )
    entries: dict[str, Any] = load_yaml(path.read_text(), "dvc.yaml").get("stages", {})
    return entries


def output(stage: str, project: Path) -> str:
    """The directory that the stage writes. Raises CannotRun."""
    entry = stages(project).get(stage)
    if entry is None or not entry.get("outs"):
        raise CannotRun(f"dvc.yaml: the commit's has no stage {stage} with an output")
    return outs(entry)[0]


def outs(entry: Mapping[str, Any]) -> list[str]:
    return [out if isinstance(out, str) else next(iter(out)) for out in entry.get("outs", [])]


def write_params(recorded: Mapping[str, Any], project: Path) -> list[str]:
    """Recorded sections as they were; the others, whose names it returns, as the commit has them,
    in params.yaml or else in conf/."""
    path = project / PARAMS
    if path.is_file():
        values = load_yaml(path.read_text(), str(PARAMS))
    else:
        values = interpolated(compose_conf(project / "conf", []))
    path.write_text(dump_yaml({**values, **recorded}))
    return sorted({*values} - {*recorded, *UNUSED})


def run(stage: str, project: Path, python: Path, log: Path) -> StageRun:
    """The commands of dvc.yaml, with `python` the interpreter that comes first on PATH."""
    entry = stages(project).get(stage)
    if entry is None:
        raise CannotRun(f"dvc.yaml: the commit's has no stage {stage}")
    commands = [entry["cmd"]] if isinstance(entry["cmd"], str) else list(entry["cmd"])
    start, code = time.perf_counter(), 0
    with log.open("wb") as file:
        for command in commands:
            code = code or _shell(command, project / entry.get("wdir", "."), python, file)
    lines = log.read_text(errors="replace").strip().splitlines()[-TAIL:]
    seconds = time.perf_counter() - start
    return StageRun(seconds=seconds, passed=code == 0, output="\n".join(lines))


def _shell(command: str, at: Path, python: Path, log: Any) -> int:
    environment = environ()
    environment["PATH"] = f"{python.parent}:{environment.get('PATH', '')}"
    return subprocess.run(
        command,
        shell=True,
        cwd=at,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    ).returncode


def recorded_environment(node: Node, project: Path) -> Path:
    """The interpreter of a new .venv in the clone, made as its Makefile makes it. Raises CannotRun.

    `make` is asked, so that the lock is installed by the rule it was committed with.
    """
    version = str(node.environment["python"])
    python = f"python{version.rpartition('.')[0]}"
    for needed, why in ((python, f"{node.stage} ran with Python {version}"), ("make", "it builds")):
        if shutil.which(needed) is None:
            raise CannotRun(f"{needed}: not installed; {why} the recorded environment")
    for file in ("Makefile", "requirements.lock"):
        if not (project / file).is_file():
            raise CannotRun(f"{file}: the commit has none, so its environment cannot be rebuilt")
    command = ["make", "--silent", ".venv/requirements.lock", f"PYTHON={python}"]
    done = subprocess.run(
        command, cwd=project, env=environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise CannotRun(f"requirements.lock: cannot be installed: {last_line(done.stdout)}")
    return project / ".venv/bin/python"


def installed(python: Path, project: Path) -> dict[str, Any]:
    """What the interpreter's own statements would say, by the code that would write them."""
    done = subprocess.run(
        [str(python), "-c", ENVIRONMENT], cwd=project, env=environ(), capture_output=True
    )
    if done.returncode:
        raise CannotRun(f"{python}: {last_line(done.stderr)}")
    environment: dict[str, Any] = json.loads(done.stdout)
    return environment


def interpreter() -> Path:
    """The one at hand; not resolved, for a virtual environment is known by its link."""
    return Path(sys.executable)
