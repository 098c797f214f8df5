"""SIGKILL at random times in `train` (PyTorch), then `dvc repro`."""

from pathlib import Path

from faults import _training as training
from faults.tally import Tally, generator

REPEATS = 50
SHORT = 2
MUST = "the final weights are bitwise those of an undisturbed run; at most one epoch is repeated"
# Dropout, batch norm, AdamW and a schedule: everything that has a state.
PARAMS = ("model=torch_cnn", "train.epochs=12", "train.batch_size=64", "checkpoint.many=16")


def run(repeats: int, scratch: Path) -> Tally:
    tally = Tally()
    ours = training.setting(scratch, *PARAMS, checkpoint=True, fresh=repeats > SHORT)
    training.ends_the_same(tally, ours, scratch, generator(__name__), repeats)
    return tally
