"""An object of DVC's cache flipped or truncated, then checked out."""

import json
import shutil
from pathlib import Path

from faults import _ground as ground
from faults.bits import flip, truncate
from faults.tally import Tally, generator
from pipeline.config.yaml_text import load_yaml
from testing.project import Project

REPEATS = 5  # of each artifact
SHORT = 1
MUST = "refused by us (DVC restores it silently)"
JUDGES = {
    "artifacts/data": "train",
    "artifacts/checkpoint": "export-complete",
    "artifacts/complete-model": "verify",
}


def run(repeats: int, scratch: Path) -> Tally:
    tally, rng = Tally(), generator(__name__)
    project = ground.verified(scratch / "project")
    for name, judge in JUDGES.items():
        objects = _objects(project, name)
        for number in range(repeats):
            kind = (flip, truncate)[number % 2]
            file = rng.choice(sorted(objects))
            content = objects[file].read_bytes()
            objects[file].chmod(0o644)
            kind(objects[file], [], rng)
            _checked_out(tally, project, name, judge, f"{kind.__name__} {name}/{file}", file)
            objects[file].write_bytes(content)
            objects[file].chmod(0o444)
            _restore(project, name)
    return tally


def _objects(project: Project, name: str) -> dict[str, Path]:
    """File of the artifact -> the object of the cache that holds it."""
    cache = project.root / ".dvc/cache/files/md5"
    outs = load_yaml(project.read("dvc.lock"), "dvc.lock")["stages"].values()
    md5 = next(out["md5"] for stage in outs for out in stage["outs"] if out["path"] == name)
    listed = json.loads((cache / md5[:2] / md5[2:]).read_text())
    return {entry["relpath"]: cache / entry["md5"][:2] / entry["md5"][2:] for entry in listed}


def _restore(project: Project, name: str) -> int:
    """As a user gets an artifact back."""
    shutil.rmtree(project.root / name, ignore_errors=True)
    return project.run("dvc", "checkout", name, check=False).returncode


def _checked_out(
    tally: Tally, project: Project, name: str, judge: str, what: str, file: str
) -> None:
    tally.tried += 1
    if _restore(project, name):
        tally.noticed += 1
        return
    tally.count("restored by DVC without a word")
    done = project.run("dvc", "repro", "--force", "--single-item", judge, check=False)
    told = f"{name}/{file}" in done.stdout and f"error: {judge}: " in done.stdout
    tally.refused += tally.demand(
        bool(done.returncode) and told, f"{what}: {done.returncode}: {done.stdout[-300:]}"
    )
