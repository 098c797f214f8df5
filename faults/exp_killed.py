"""`dvc exp run` killed, DVC and the stage, in training and at random moments of the whole."""

import re
import time
from pathlib import Path

from faults import _ground as ground
from faults import _training as training
from faults.tally import Tally, generator
from testing.project import TINY, Project

REPEATS = 5
SHORT = 1
MUST = (
    "the next command says how to get back to the branch, and that does it; the user's edits are "
    "there; at most one epoch is repeated; the experiment then ends in the same bytes"
)
EPOCHS = 20
EXPERIMENT = ("dvc", "exp", "run", "-S", "experiment=smoke", "-S", "export.attempt=[]")
EXPERIMENT += ("-S", f"train.epochs={EPOCHS}", "checkpoint")
NEXT = (EXPERIMENT, ("dvc", "repro", "checkpoint"))
BACK = re.compile(r"`(git symbolic-ref HEAD \S+)`")
MISSING = re.compile(r"`(git stash apply [0-9a-f]+)`")


def run(repeats: int, scratch: Path) -> Tally:
    """The first ones in training, where there is most to lose."""
    tally, random = Tally(), generator("exp_killed")
    start = ground.project(scratch / "start" / "project", *TINY)
    start.run("dvc", "repro", "checkpoint")
    start.commit("trained")
    edit(start)
    undisturbed = start.copied(scratch / "undisturbed" / "project")
    began = time.monotonic()
    undisturbed.run(*EXPERIMENT, fresh=repeats > SHORT)  # its time counts for random moments
    whole = time.monotonic() - began
    expected = [ground.statement(undisturbed, name) for name in ("train", "checkpoint")]
    for number in range(repeats):
        project = start.copied(scratch / str(number) / "project")
        moment = None if number < 2 else random.uniform(0, whole)
        Killed(tally, project, number, repeats > SHORT).through(moment, expected)
    return tally


def edit(project: Project) -> None:
    """What a user has not committed: a change of a file, and a new one."""
    with (project.root / "models/standardize.py").open("a") as file:
        file.write("\n# a change that is not committed\n")
    (project.root / "models/note.py").write_text("# a new file\n")


def edited(project: Project) -> bool:
    changed = "not committed" in project.read("models/standardize.py")
    return changed and (project.root / "models/note.py").is_file()


def went_on(said: str) -> int:
    found = re.search(r"going on after epoch (\d+)", said)
    return int(found[1]) if found else 0


class Killed:
    def __init__(self, tally: Tally, project: Project, number: int, fresh: bool):
        self.tally, self.project, self.number, self.fresh = tally, project, number, fresh
        self.what = f"{number}"

    def through(self, moment: float | None, expected: list[bytes]) -> None:
        done = self._killed(moment)
        if done is None:
            self.tally.count("came to an end before the kill")
            return
        self.tally.tried += 1
        self.what = f"{self.number}, killed after {done} epochs"
        detached = not self._branch()
        said = self.project.run(*NEXT[self.number % 2], check=False).stdout
        self._went_on(done, said)
        if detached:
            self.tally.count("left on no branch")
            self._goes_back(said)
        held = self.tally.demand(
            self._branch() == "main", f"{self.what}: not on main: {said[-500:]}"
        )
        held &= self.tally.demand(
            edited(self.project), f"{self.what}: edits are lost: {said[:800]}"
        )
        last = self.project.run(*EXPERIMENT, check=False).stdout
        found = [ground.statement(self.project, name) for name in ("train", "checkpoint")]
        same = found == expected and ground.whole(self.project.root / training.OUTPUT)
        held &= self.tally.demand(same, f"{self.what}: other bytes: {last[-800:]}")
        warned = self.tally.demand(
            "was killed" not in last,
            f"{self.what}: still warned on the branch: {last[:800]}",
        )
        self.tally.survived += held and warned

    def _killed(self, moment: float | None) -> int | None:
        """The epochs that were done; None when it was over before."""
        running = ground.started(self.project, *EXPERIMENT, fresh=self.fresh)
        until = time.monotonic() + (ground.LONGEST if moment is None else moment)
        while time.monotonic() < until and running.process.poll() is None:
            if moment is None and len(training.epochs(running.said)) >= 3:
                break
            time.sleep(0.01)
        if running.process.poll() is not None:
            return None
        ground.kill_group(running)
        return len(training.epochs(running.said))

    def _went_on(self, done: int, said: str) -> None:
        """Only where the training ran again, and not from the start for lack of edits."""
        again = training.epochs(said)
        if not again or not done:
            return
        repeated = max(0, done - went_on(said))
        self.tally.longest("epochs repeated at most", repeated)
        self.tally.demand(repeated <= 1, f"{self.what}: {repeated} epochs lost: {said[:1500]}")

    def _goes_back(self, said: str) -> None:
        """As it was told to."""
        back = BACK.search(said)
        if not self.tally.demand(bool(back), f"{self.what}: nothing said: {said[:1500]}"):
            return
        assert back
        self.tally.noticed += 1
        self.project.run(*back[1].split())
        missing = MISSING.search(said)
        if missing and not edited(self.project):
            self.tally.count("edits taken from the stash")
            self.project.run(*missing[1].split())

    def _branch(self) -> str:
        return self.project.run("git", "branch", "--show-current").stdout.strip()
