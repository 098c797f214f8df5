"""MLflow's server down, dying in the middle, answering 500, silent, late, or losing its answers.

A real server behind a proxy. `late` and `lost` are no faults to give up at: they must succeed.
"""

import time
from pathlib import Path

from faults import _ground as ground
from faults._logged import Held, held
from faults._server import Proxy, Server, before, serving
from faults.tally import Tally, generator
from testing.project import Project

REPEATS = 5
SHORT = 1
MUST = (
    "training is not touched; the command fails within a minute, in one line saying that nothing "
    "is lost and what to run; run again it completes: one finished run, each metric once"
)
GIVES_UP = ("down", "dead", "500", "silent")
ONCE = ("late", "slow")
COMMAND = ("dvc", "repro", "log-to-mlflow")
SAID = ("nothing is lost", "run `dvc repro`")


def run(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    start = ground.verified(scratch / "start" / "project")
    with serving(scratch / "server") as server, before(server) as proxy:
        ours = Ours(tally, start, server, proxy)
        ours.undisturbed(scratch / "undisturbed" / "project")
        for number in range(repeats):
            faults = [*GIVES_UP, "lost", *(ONCE if number == 1 else ())]
            if repeats <= SHORT:
                faults.remove("silent")  # 45 seconds; tests/test_log_to_mlflow.py has one
            for fault in faults:
                ours.disturbed(fault, number, scratch / f"{fault}-{number}" / "project")
    return tally


class Ours:
    """One server for all of them; each repeat has an experiment of its own in it."""

    def __init__(self, tally: Tally, start: Project, server: Server, proxy: Proxy):
        self.tally, self.start, self.server, self.proxy = tally, start, server, proxy
        self.random = generator("mlflow_server")
        self.requests = 0
        self.held: list[Held] = []

    def undisturbed(self, root: Path) -> None:
        project = self._project(root, "undisturbed")
        self.proxy.set("")
        project.run(*COMMAND)
        self.requests = self.proxy.requests
        states, self.held = held(self.server.store, "undisturbed", self.server.files)
        self.tally.measured["requests of one logging"] = self.requests
        assert states == [("FINISHED", "active")], states

    def disturbed(self, fault: str, number: int, root: Path) -> None:
        name = f"{fault}-{number}"
        project = self._project(root, name)
        earlier = ground.files(project)
        sound = self.random.randrange(1, self.requests) if fault in GIVES_UP else 0
        self.proxy.set(fault, 0 if fault == "slow" else sound)
        if fault == "down":
            self.server.kill()
        seconds, code, said = logged(project)
        self.tally.tried += 1
        self.tally.longest(f"longest seconds, {fault}", seconds)
        what = f"{name} after {sound} requests"
        if self.tally.demand(
            fault == "down" or self.proxy.struck > 0, f"{what}: the fault did not happen"
        ):
            if fault in GIVES_UP:
                self._gave_up(what, seconds, code, said)
            else:
                self.tally.demand(code == 0, f"{what}: failed: {said[-800:]}")
        self.proxy.set("")
        if fault in ("down", "dead"):
            self.server.kill()
            self.server.start()
        if code:
            project.run(*COMMAND)
        self._came_through(what, name, project, earlier)

    def _gave_up(self, what: str, seconds: float, code: int, said: str) -> None:
        lines = [line for line in said.splitlines() if line.startswith("error: log-to-mlflow: ")]
        told = len(lines) == 1 and all(part in lines[0] for part in SAID)
        self.tally.demand(code != 0, f"{what}: did not fail")
        self.tally.demand(told and "Traceback" not in said, f"{what}: said {said[-500:]!r}")
        self.tally.demand(seconds <= 60, f"{what}: took {seconds:.0f} seconds")
        self.tally.refused += code != 0 and told

    def _came_through(
        self, what: str, name: str, project: Project, earlier: dict[str, str]
    ) -> None:
        runs, found = held(self.server.store, name, self.server.files)
        alone = [status for status, stage in runs if stage == "active"] == ["FINISHED"]
        self.tally.demand(alone, f"{what}: runs {runs}")
        none_running = all(status != "RUNNING" for status, _ in runs)
        self.tally.demand(none_running, f"{what}: a run is left RUNNING: {runs}")
        whole = found == self.held
        self.tally.demand(whole, f"{what}: params, metrics, models or files differ")
        now = ground.files(project)
        apart = ("reports/mlflow.json", "dvc.lock", "conf.lock.yaml")
        touched = [n for n in {**now, **earlier} if now.get(n) != earlier.get(n) and n not in apart]
        self.tally.demand(not touched, f"{what}: changed {touched}")
        self.tally.survived += alone and none_running and whole and not touched

    def _project(self, root: Path, experiment: str) -> Project:
        project = self.start.copied(root)
        uri = self.proxy.uri
        project.params(*ground.VERIFIED, f"tracking.uri={uri}", f"tracking.experiment={experiment}")
        return project


def logged(project: Project) -> tuple[float, int, str]:
    """Seconds of the command, DVC's exit code, and what was said. The fault is the server's: DVC
    and the stage come with their imports done."""
    began = time.monotonic()
    running = ground.started(project, *COMMAND, fresh=False)
    code = running.ended()
    return time.monotonic() - began, code, running.said
