"""From whatever somebody has in hand to the artifact it is, and to all that it was made from.

`forms` has a function for each form that a name can have. DVC's and MLflow's own files and tables
are read in `dvc` and `mlflow_tables`, and nowhere else. No framework, no MLflow and no DVC is
loaded, and nothing is written.

It imports config, provenance and untrusted.
"""

import re
from pathlib import Path

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.provenance import git
from pipeline.resolve import mlflow as resolve_mlflow
from pipeline.resolve.forms import FORMS, RUN, SHA256
from pipeline.resolve.forms import locked as locked
from pipeline.resolve.resolved import Resolved as Resolved

ACCEPTED = (
    "a complete model's directory or any file in it, another artifact's directory, an MLflow run "
    "id, models:/<name>/<version>, models:/<id>, runs:/<id>/..., a sha256 (eight digits are "
    "enough), a git revision, or a DVC experiment's name"
)


def resolve(what: str, root: Path) -> Resolved:
    """Returns what `what` names; `root` is the repository. Raises PipelineError, which says what
    was tried and what to do."""
    for form in FORMS:
        if resolved := form(what, root):
            return resolved
    raise PipelineError(f"{what or repr(what)}: {_tried(what, root)}; give {ACCEPTED}")


def _tried(what: str, root: Path) -> str:
    tried = ["no such file or directory"]
    if what and Path(what).is_dir():
        tried = [f"a directory without {provenance.NAME}, so no artifact"]
    elif what and Path(what).exists():
        tried = ["a file in no artifact, and no statement at hand has its sha256"]
    if SHA256.fullmatch(what):
        tried.append("no sha256 that a statement at hand has")
    elif re.fullmatch(r"[0-9a-f]+", what):
        tried.append("fewer digits of a sha256 than eight")
    if RUN.fullmatch(what):
        tried.append(f"no run in {resolve_mlflow.store(root).shown}")
    if git.is_repository(root):
        tried.append("no git revision, no DVC experiment")
    else:
        tried.append(f"no git repository in {root}")
    return ", ".join(tried)
