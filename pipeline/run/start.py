"""The checkpoint that training starts from: it was made elsewhere, and lies in checkpoints/ under
its sha256, beside what is known of it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import IncompleteArtifact
from pipeline.project import CHECKPOINT, CHECKPOINTS, TRAIN

FORMATS = Path("pipeline/formats")
READERS = "pipeline/foreign"
"""The code that opens it."""
TAKEN = "start.json"
"""File beside the epochs: what was taken of the checkpoint, and what was not."""
UNKNOWN = ("code", "data", "parameters")
"""What no checkpoint says of its training for certain."""


def place(digest: str) -> Path:
    """Returns the path of the checkpoint."""
    return CHECKPOINTS / digest


def described(digest: str) -> Path:
    """Returns the path of what is known of the checkpoint."""
    return CHECKPOINTS / f"{digest}.json"


def known(digest: str) -> dict[str, Any]:
    """Returns what is known of the checkpoint: its name, kind, versions, hyperparameters."""
    content: dict[str, Any] = json.loads(described(digest).read_text())
    return content


def demand_whole(digest: str) -> None:
    """Raises IncompleteArtifact unless every byte is what its name in checkpoints/ says."""
    demand_present(digest)
    actual = provenance.digest(place(digest))
    if actual != digest:
        raise IncompleteArtifact(
            f"{place(digest)}: changed: its sha256 is {actual}; fetch it again with "
            f"`dvc checkout --force {place(digest)}.dvc`"
        )


def demand_present(digest: str) -> None:
    """Raises IncompleteArtifact where git has the checkpoint's name, and nobody fetched its
    bytes."""
    path = place(digest)
    for each in (path, described(digest)):
        if not each.exists():
            raise IncompleteArtifact(
                f"{each}: missing; fetch it with `dvc pull {path}.dvc`, or run "
                "`python -m pipeline.adopt` with the checkpoint itself"
            )


def deps(stage: str, train: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the paths that a stage reads because of the checkpoint, each with what the statement
    says of it. An epoch of an adapter has not the weights that it is of."""
    start, reading = train.get("start"), (TRAIN, CHECKPOINT) if train.get("adapter") else (TRAIN,)
    if start is None or stage not in reading:
        return {}
    demand_present(start)
    origin = {"trainedElsewhere": {"known": known(start), "unknown": list(UNKNOWN)}}
    return {str(place(start)): origin, str(described(start)): {}}


def code(params: Mapping[str, Any]) -> list[str]:
    """Returns the paths of the code that opens the checkpoint, and that of the format which holds a
    program; none without one."""
    if not params["train"]["start"]:
        return []
    program = params["model"].get("program")
    return [READERS, *(format_code(program) if program else ())]


def format_code(name: str) -> list[str]:
    """Returns the paths of a format's folder and of what formats share."""
    shared = (path for path in FORMATS.iterdir() if path.is_file() or path.name.startswith("_"))
    names = [path.name for path in shared if path.name != "__pycache__"]
    return [(FORMATS / each).as_posix() for each in sorted([*names, name])]
