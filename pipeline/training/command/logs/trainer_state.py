"""trainer_state.json, which Hugging Face's Trainer leaves in every checkpoint: what it logged up to
there."""

import json
from collections.abc import Iterator
from pathlib import Path

from ._files import below
from .contract import Value

TITLE = "trainer_state.json"
ORDER = 0


def files(folder: Path) -> list[Path]:
    """Returns the latest file alone, for each holds those before it."""
    return below(folder, TITLE)[-1:]


def read(path: Path) -> Iterator[Value]:
    """Yields the values. Epochs are fractions, 1.0 at the end of the first; 0 is what was validated
    before. What is logged once, when training has ended, is of no epoch: how long it took, the mean
    loss."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not isinstance(content.get("log_history"), list):
        raise ValueError("it has no log_history")
    for entry in content["log_history"]:
        if not isinstance(entry, dict) or "train_runtime" in entry:
            continue
        epoch, step = entry.get("epoch"), entry.get("step")
        for name, number in entry.items():
            if epoch and name not in ("epoch", "step") and _is_number(number):
                yield Value(name, float(number), epoch, step)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
