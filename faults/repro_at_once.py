"""Four `dvc repro` at once."""

import re
import shutil
from pathlib import Path

from faults import _ground as ground
from faults.tally import Tally
from testing.project import TINY

REPEATS = 10
SHORT = 1
MUST = "serialised or refused; result right"
AT_ONCE = 4
ARTIFACTS = ("data", "train", "checkpoint", "complete-model")
REFUSED = r"process \d+ is writing it|Pid \d+|PID \d+|is busy|Unable to acquire lock"


def run(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    start = ground.project(scratch / "start" / "project", *TINY)
    undisturbed = start.copied(scratch / "undisturbed" / "project")
    undisturbed.run("dvc", "repro", "export-complete")
    right = [ground.statement(undisturbed, name) for name in ARTIFACTS]
    for number in range(repeats):
        project = start.copied(scratch / f"{number}" / "project")
        command = ("dvc", "repro", "export-complete")
        """With imports done they come to the locks closer together."""
        running = [
            ground.started(project, *command, log=f"log{i}", fresh=repeats > SHORT)
            for i in range(AT_ONCE)
        ]
        for each in running:
            tally.tried += 1
            if each.ended() == 0:
                tally.count("came to their end")
            elif re.search(REFUSED, each.said):
                tally.refused += 1
            else:
                tally.broken.append(f"neither done nor refused: {each.said[-300:]}")
        again = project.run(*command, check=False)
        found = [ground.statement(project, name) for name in ARTIFACTS]
        same = found == right and again.returncode == 0
        same &= all(ground.whole(project.root / "artifacts" / name) for name in ARTIFACTS)
        same &= not list((project.root / "artifacts").rglob("*.partial"))
        if tally.demand(same, f"other bytes after {AT_ONCE} at once: {again.stdout[-200:]}"):
            tally.survived += AT_ONCE
        shutil.rmtree(project.root.parent)
    return tally
