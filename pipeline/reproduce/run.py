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
from pipeline.config.yaml_text import dump_yaml, load_yaml
from pipeline.errors import CannotRun
from pipeline.project import PARAMS, ROOT
from pipeline.provenance import lineage
from pipeline.provenance.lineage import Node
from pipeline.reproduce import tree
from pipeline.reproduce.code import Ground, environ, last_line
from pipeline.reproduce.confined import Runner

TAIL = 12
"""Lines of a stage's output that are shown when it fails."""
LONGEST_TAIL = 1 << 16
"""Bytes of its output in which they are looked for."""
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
    """Returns what is to be made, upstream first; a parent that was trained on from is taken as it
    is."""
    return lineage.walk(last, known, parents=False)[::-1]


def stages(ground: Ground) -> dict[str, Any]:
    """Returns the entries of the checked out dvc.yaml. Raises CannotRun."""
    path = tree.demand_inside(ground.clone, ground.project / "dvc.yaml")
    if not path.is_file():
        raise CannotRun(
            f"{path.name}: the commit has none in this directory; is it the repository?"
        )
    content = load_yaml(path.read_text(errors="replace"), "dvc.yaml")
    entries = content.get("stages") if isinstance(content, Mapping) else None
    if not isinstance(entries, Mapping):
        raise CannotRun("dvc.yaml: found no stages; expected a mapping of them")
    return dict(entries)


def _entry(stage: str, ground: Ground) -> Mapping[str, Any]:
    entry = stages(ground).get(stage)
    if not isinstance(entry, Mapping):
        raise CannotRun(f"dvc.yaml: the commit's has no stage {stage}")
    return entry


def output(stage: str, ground: Ground) -> str:
    """Returns the directory that the stage writes. Raises CannotRun."""
    out = next(iter(outs(_entry(stage, ground))), None)
    if out is None:
        raise CannotRun(f"dvc.yaml: the commit's has no stage {stage} with an output")
    tree.demand_inside(ground.clone, ground.project / out)
    return out


def outs(entry: Mapping[str, Any]) -> list[str]:
    listed = entry.get("outs") or []
    return [str(out if isinstance(out, str) else next(iter(out))) for out in listed]


def write_params(recorded: Mapping[str, Any], ground: Ground) -> list[str]:
    """Writes params.yaml: recorded sections as they were; the others, whose names it returns, as
    the commit has them, in params.yaml or else in conf/. A link in its place is replaced, never
    followed."""
    path = ground.project / PARAMS
    if path.is_file() and not path.is_symlink():
        values = load_yaml(path.read_text(), str(PARAMS))
    else:
        values = interpolated(compose_conf(ground.project / "conf", []))
    tree.write(ground.clone, path, dump_yaml({**values, **recorded}).encode())
    return sorted({*values} - {*recorded, *UNUSED})


def run(stage: str, runner: Runner, python: Path, log: Path) -> StageRun:
    """Runs the commands of dvc.yaml, with `python` the interpreter that comes first on PATH."""
    ground = runner.ground
    entry = _entry(stage, ground)
    given = entry.get("cmd")
    commands = [given] if isinstance(given, str) else given
    if not isinstance(commands, list) or not all(isinstance(each, str) for each in commands):
        raise CannotRun(f"dvc.yaml: stage {stage}: found no cmd; expected a command or several")
    at = tree.demand_inside(ground.clone, ground.project / str(entry.get("wdir", ".")))
    start, code = time.perf_counter(), 0
    with log.open("wb") as file:
        for command in commands:
            code = code or runner.run(["/bin/sh", "-c", command], at, python, file).returncode
    lines = _last(log).strip().splitlines()[-TAIL:]
    seconds = time.perf_counter() - start
    return StageRun(seconds=seconds, passed=code == 0, output="\n".join(lines))


def examined(model: Path, log: Path) -> StageRun:
    """Runs `examine` of this code on a complete model that a stranger's code made."""
    start = time.perf_counter()
    environment = environ() | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pipeline.examine", str(model)]
    with log.open("wb") as file:
        code = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT
        ).returncode
    seconds = time.perf_counter() - start
    lines = _last(log).strip().splitlines()[-TAIL:]
    return StageRun(seconds=seconds, passed=code == 0, output="\n".join(lines))


def _last(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LONGEST_TAIL))
        return file.read().decode(errors="replace")


def recorded_environment(node: Node, runner: Runner) -> Path:
    """Returns the interpreter of a new .venv in the clone, made as its Makefile makes it. Raises
    CannotRun. `make` is asked, so that the lock is installed by the rule it was committed with."""
    project = runner.ground.project
    version = str(node.environment["python"])
    python = f"python{version.rpartition('.')[0]}"
    for needed, why in ((python, f"{node.stage} ran with Python {version}"), ("make", "it builds")):
        if shutil.which(needed) is None:
            raise CannotRun(f"{needed}: not installed; {why} the recorded environment")
    for file in ("Makefile", "requirements.lock"):
        if not (project / file).is_file():
            raise CannotRun(f"{file}: the commit has none, so its environment cannot be rebuilt")
    (project / ".venv").mkdir(exist_ok=True)  # alone there may links be made
    command = ["make", "--silent", ".venv/requirements.lock", f"PYTHON={python}"]
    done = runner.run(
        command, project, Path(str(shutil.which(python))) if runner.confined else None
    )
    if done.returncode:
        raise CannotRun(f"requirements.lock: cannot be installed: {last_line(done.stdout)}")
    return project / ".venv/bin/python"


def installed(python: Path, runner: Runner) -> dict[str, Any]:
    """Returns what the interpreter's own statements would say, by the code that would write them.
    Raises CannotRun."""
    command = [str(python), "-c", ENVIRONMENT]
    done = runner.run(command, runner.ground.project, python, stderr=subprocess.PIPE)
    try:
        environment: dict[str, Any] = json.loads(done.stdout)
        plain: dict[str, Any] = {name: str(environment[name]) for name in ("python", "platform")}
        plain["packages"] = {k: str(v) for k, v in environment["packages"].items()}
    except (ValueError, LookupError, TypeError, AttributeError):
        raise CannotRun(f"{python}: {last_line(done.stderr)}") from None
    return environment | plain


def interpreter() -> Path:
    """Returns the interpreter at hand; it is not resolved, for a virtual environment is known by
    its link."""
    return Path(sys.executable)
