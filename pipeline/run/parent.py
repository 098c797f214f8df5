"""The complete model that is trained on from: the parent, which lies in parents/ under its digest.

What is trained on from it is a result of its format's code too, and of no other format's.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import formats, provenance
from pipeline.errors import IncompleteArtifact, PipelineError
from pipeline.project import PARENTS
from pipeline.run import children, command, start


def training_format(complete_model: Path) -> str:
    """Returns the format that the complete model is trained on in. Raises IncompleteArtifact.

    A training step alone is not enough: the stages look at losses between the steps, too.
    """
    listed = json.loads((complete_model / "formats.json").read_text())
    trainable: list[str] = listed.get("trains", [])
    known = formats.names()
    for name in (name for name in trainable if name in known):
        if formats.declared(name).evaluates:
            return name
    raise IncompleteArtifact(
        f"{complete_model}: cannot be trained on; export it again with export.train=true"
    )


def demand_whole(parent: Path) -> None:
    """Raises IncompleteArtifact unless every byte is what its digest in parents/ names."""
    demand_present(parent)
    faults = provenance.faults(parent)
    if not faults and provenance.digest(parent) != parent.name:
        faults = [f"{parent}: is the complete model {provenance.digest(parent)}"]
    if faults:
        raise IncompleteArtifact(f"{faults[0]}; fetch it again with `dvc checkout --force`")


def demand_present(parent: Path) -> None:
    """Raises IncompleteArtifact where git has the parent's name, and nobody fetched its bytes."""
    if not parent.is_dir():
        raise IncompleteArtifact(
            f"{parent}: missing; fetch it with `dvc pull {parent}.dvc`, or run "
            "`python -m pipeline.resume` with the complete model itself"
        )


def track(path: Path) -> None:
    """Has DVC track what lies in parents/ or checkpoints/, unless it does. Raises PipelineError."""
    if path.with_name(f"{path.name}.dvc").is_file():
        return
    command = [sys.executable, "-m", "pipeline.run.dvc", "add", "--quiet", str(path)]
    done = subprocess.run(command, env=children.tied(), stderr=subprocess.PIPE, text=True)
    if done.returncode:
        message = " ".join(done.stderr.split())
        raise PipelineError(f"{path}: DVC does not track it: {message}; `dvc add {path}`")


def code(params: Mapping[str, Any]) -> list[str]:
    """Returns the paths of the code that trains the parent on: its format's folder and what formats
    share; or that opens the checkpoint in its place. There is none without either."""
    if params["train"]["parent"] is None:
        return start.code(params)
    parent = PARENTS / params["train"]["parent"]
    demand_present(parent)
    return start.format_code(training_format(parent))


def code_of_training(params: Mapping[str, Any]) -> list[str]:
    """Returns the code that trains with these params and with no others: that, or a command's."""
    return list(dict.fromkeys([*code(params), *command.code(params)]))


def code_digest(params: Mapping[str, Any]) -> str | None:
    """Returns a sha256 of that code, for DVC to compare; None where there is none."""
    digests = {path: provenance.digest(Path(path)) for path in code(params)}
    return provenance.folded(digests) if digests else None
