"""A checkpoint of an unfinished training flipped, truncated, deleted, renamed or swapped."""

import shutil
from pathlib import Path

from faults import _training as training
from faults import bits
from faults.tally import Tally, generator

REPEATS = 4  # of each kind
SHORT = 1
MUST = "100 % noticed, the file named; gone on from the newest whole one, to the same bytes"
PARAMS = ("experiment=smoke", "train.epochs=12", "checkpoint.many=16")
KINDS = (bits.flip, bits.truncate, bits.delete, bits.rename, bits.swap)


def run(repeats: int, scratch: Path) -> Tally:
    tally, rng = Tally(), generator(__name__)
    ours = training.setting(scratch, *PARAMS, timed=False)
    unfinished = ours.project.copied(scratch / "unfinished" / "project")
    training.cut_short(unfinished, 4, fresh=repeats > SHORT)
    for kind in KINDS * repeats:
        project = unfinished.copied(scratch / "damaged" / "project")
        first, *rest = training.saved_epochs(project)
        places = kind(rng.choice(rest), [first], rng)
        tally.tried += 1
        said = project.stage("train", check=False).stdout
        named = any(f"{training.OUTPUT}/{place.name}: " in said for place in places)
        what = f"{kind.__name__} {places[0].name}"
        tally.noticed += tally.demand(named, f"{what}: {said[-300:]}")
        tally.survived += training.same_end(tally, ours, project, what)
        shutil.rmtree(project.root.parent)
    return tally
