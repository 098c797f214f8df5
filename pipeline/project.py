"""Where the project lies, the paths in it that more than one part knows, and its stages' names."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The repository whose package this is."""

CONF = Path("conf")
PARAMS = Path("params.yaml")
CONF_LOCK = Path("conf.lock.yaml")
"""What `compose` remembers of its last merge."""
PARENTS = Path("parents")
"""Complete models that others are trained on from, each under its digest."""
CHECKPOINTS = Path("checkpoints")
"""Checkpoints that were made elsewhere, each under its sha256, and a description beside it."""

EPOCHS, CHECKPOINT_FILE = "epoch_*", "checkpoint.*"
"""Patterns of the weights in what train and checkpoint write, by far the largest files there."""

STAGES = ("compose", "prepare", "train", "checkpoint", "export-complete", "verify", "log-to-mlflow")
PREPARE, TRAIN, CHECKPOINT, EXPORT_COMPLETE, VERIFY, LOG_TO_MLFLOW = STAGES[1:]

ARTIFACTS = {
    PREPARE: "data",
    TRAIN: "training",
    CHECKPOINT: "checkpoint",
    EXPORT_COMPLETE: "complete model",
}
"""Stage -> what people call the artifact that it makes."""


def repository() -> Path:
    """Returns the root of the repository that one works in.

    DVC names the real one, also to a stage that runs in a copy of it.
    """
    if named := os.environ.get("DVC_ROOT"):
        return Path(named).resolve()
    here = Path.cwd()
    above = (here, *here.parents)
    return next((p for p in above if (p / ".dvc").exists() or (p / ".git").exists()), here)


def untracked(path: Path) -> str:
    """Returns what is said of a file that is missing in the copy that an experiment runs in, and is
    in the repository: git does not track it. Elsewhere, and where it is missing there, nothing."""
    root = repository()
    if root == Path.cwd() or path.is_absolute() or path.exists() or not (root / path).is_file():
        return ""
    return (
        f"; {path} lies in {root}, but an experiment in the queue or in --temp gets no file that "
        f"git does not track: `git add {path}`"
    )
