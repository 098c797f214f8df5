"""What must hold before a complete model is trained on: its files are safe to load, and the data
and the training step are those that it was made with."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_type_hints

from pipeline import provenance
from pipeline.config.params import Train
from pipeline.config.reading import convert
from pipeline.errors import ParamsError, VerificationFailed

COPY = "model"
OF_STEP: dict[str, Any] = {
    "clip_norm": None,
    "accumulate": 1,
    "schedule_by": "epoch",
    "freeze": [],
    "averaging": None,
    "adapter": None,
    "precision": "float32",
    "class_weights": None,
}
"""Keys of `train` that are in a complete model's step, with what one has that is older than the
key."""


def admitted(parent: Path, form: str) -> "tempfile.TemporaryDirectory[str]":
    """Returns a directory with a copy of the parent that has had the screen of `examine`.

    `resume` has screened it before; but it can have come with a clone as well, or have changed.
    What is screened is what is loaded. Raises VerificationFailed.
    """
    from pipeline.examine import demand_admitted
    from pipeline.examine.loading import loadable

    scratch = tempfile.TemporaryDirectory(prefix="parent-")
    copy = Path(scratch.name) / COPY
    demand_admitted(parent, copy, known=True)
    if form not in loadable(copy) or provenance.digest(copy) != parent.name:
        raise VerificationFailed(f"{parent}: trains in no format that is safe to load")
    print(f"{parent.name[:12]}: trained on from here once screened as `examine` does", flush=True)
    return scratch


def demand_same_data(described: Mapping[str, Any], before: Mapping[str, Any]) -> None:
    if "decisions" not in before and len(described["targets"]) == 1:
        # From before targets had names: its only one goes by any.
        (name,) = described["targets"]
        before = {**before, "targets": {name: next(iter(before["targets"].values()))}}
    for key in ("inputs", "targets", "dimensions"):
        if described.get(key) != before.get(key):
            raise ParamsError(
                f"data.{key}: found {json.dumps(described.get(key))}, expected what the complete "
                f"model was trained with: {json.dumps(before.get(key))}"
            )


def demand_same_step(train: Train, recorded: Mapping[str, Any], parent: Path) -> None:
    hints = get_type_hints(Train, include_extras=True)
    for key, before in OF_STEP.items():
        value = getattr(train, key)
        expected = convert(recorded.get(key, before), hints[key], f"train.{key}")
        if value != expected:
            raise ParamsError(
                f"train.{key}: found {value}, but {parent} was trained with {expected}, which is "
                "part of its step; expected the same"
            )
