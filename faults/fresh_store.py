"""Eight pipelines that log to one fresh store at once, and to one fresh server."""

import json
from pathlib import Path

from faults import _ground as ground
from faults._logged import Held, held
from faults._server import serving
from faults._stages import command
from faults.tally import Tally
from pipeline import provenance
from testing.project import Project

REPEATS = 3
SHORT = 1
MUST = "all eight come through: eight finished runs, no metric, parameter or file lost"
PIPELINES = 8
EXPERIMENT = "together"


def run(repeats: int, scratch: Path) -> Tally:
    """The server in the full suite only: its start takes as long as the eight."""
    tally = Tally()
    start = ground.verified(scratch / "start" / "project")
    projects = [_another(start, scratch / str(n) / "project", n) for n in range(PIPELINES)]
    alone = _alone(projects, scratch / "alone")
    for number in range(repeats):
        store = f"sqlite:///{scratch}/fresh-{number}/mlflow.db"
        _together(tally, projects, alone, f"store {number}", store, store, None)
    if repeats > SHORT:
        with serving(scratch / "server") as server:
            uri = f"http://127.0.0.1:{server.port}"
            _together(tally, projects, alone, "server", uri, server.store, server.files)
    return tally


def _another(start: Project, root: Path, number: int) -> Project:
    """A complete model of another digest, whole and verified like the first."""
    project = start.copied(root)
    model = project.root / "artifacts/complete-model"
    definition = provenance.read(model)["predicate"]["buildDefinition"]
    with (model / "README.md").open("a") as card:
        card.write(f"\nNumber {number}\n")
    (model / provenance.NAME).unlink()
    provenance.write(model, definition)
    report = project.root / "reports/verify.json"
    said = json.loads(report.read_text()) | {"complete_model": provenance.digest(model)}
    report.write_text(json.dumps(said))
    return project


def _log_to(project: Project, uri: str) -> None:
    project.params(*ground.VERIFIED, f"tracking.uri={uri}", f"tracking.experiment={EXPERIMENT}")


def _alone(projects: list[Project], folder: Path) -> Held:
    """What the first one logs when nobody else does."""
    store = f"sqlite:///{folder}/mlflow.db"
    _log_to(projects[0], store)
    projects[0].stage("log-to-mlflow")
    return held(store, EXPERIMENT)[1][0]


def _together(
    tally: Tally,
    projects: list[Project],
    alone: Held,
    what: str,
    uri: str,
    store: str,
    files: Path | None,
) -> None:
    for project in projects:
        _log_to(project, uri)
    """With imports done they come to the store closer together than processes that import."""
    running = [
        ground.started(project, *command(project, "log-to-mlflow"), fresh=False)
        for project in projects
    ]
    codes = [each.ended() for each in running]
    tally.tried += PIPELINES
    for each, code in zip(running, codes, strict=True):
        tally.demand(code == 0, f"{what}: ended with {code}: {each.said[-500:]}")
    states, runs = held(store, EXPERIMENT, files)
    tally.demand(states == [("FINISHED", "active")] * PIPELINES, f"{what}: runs {states}")
    whole = [found for found in runs if _same(found, alone)]
    tally.demand(len(whole) == PIPELINES, f"{what}: {len(whole)} of {len(runs)} runs are whole")
    tally.survived += len(whole)
    tally.count("metrics logged", sum(len(found.metrics) for found in runs))


def _same(found: Held, alone: Held) -> bool:
    """But for the sha256 of the card and of what names the digest."""
    models = [(state, metrics, set(files)) for state, metrics, files in found.models]
    expected = [(state, metrics, set(files)) for state, metrics, files in alone.models]
    return (
        (found.params, found.metrics, found.inputs) == (alone.params, alone.metrics, alone.inputs)
        and models == expected
        and set(found.files) == set(alone.files)
    )
