"""`python -m pipeline.resume <complete-model> data=parcels train.epochs=5`: train it on.

It needs none of the model's source: the complete model is kept in parents/ under its digest, and
the pipeline trains on from there. Model and training are the parent's, but for what is overridden.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.__main__ import reproduce
from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.merge import composed
from pipeline.errors import IncompleteArtifact, ParamsError, PipelineError, VerificationFailed
from pipeline.examine import demand_admitted
from pipeline.examine.loading import loadable
from pipeline.project import CONF, PARENTS, ROOT
from pipeline.run.parent import track, training_format
from pipeline.run.signals import Interrupted
from pipeline.text import escaped

USAGE = """usage: python -m pipeline.resume <complete-model> [override ...]

Trains a complete model on with none of its source, and verifies and logs what comes out.
Overrides as in `python -m pipeline`, for instance: data=digits train.epochs=5 train.lr=0.0001"""


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    complete_model = Path(arguments[0]).resolve()
    os.chdir(ROOT)
    try:
        demand_same_model(arguments[1:])
        parent = store_parent(complete_model)
        print(
            f"{escaped(str(complete_model))}: screened as `examine` does, by its digest {parent}; "
            "the stages that load it screen it again, and are not confined",
            flush=True,
        )
        lock = composed(CONF, arguments[1:])[1]
        return reproduce(values(parent, arguments[1:]), arguments[1:], lock)
    except PipelineError as error:
        print(f"error: resume: {escaped(str(error))}", file=sys.stderr)
        return 1
    except Interrupted as end:
        return 128 + end.number


def names(overrides: list[str]) -> list[str]:
    """Returns the keys that the overrides set."""
    return [override.lstrip("+~").partition("=")[0] for override in overrides]


def demand_same_model(overrides: list[str]) -> None:
    """Raises ParamsError where an override is of the model."""
    for name in names(overrides):
        if name.split(".")[0] == "model":
            raise ParamsError(
                f"{name}: the model is the complete model's; only data, train, "
                "checkpoint, export, lineage, verify and tracking can be set"
            )


def store_parent(complete_model: Path) -> str:
    """Copies the complete model to parents/ and has DVC track it; returns its digest.

    Raises VerificationFailed unless it may be loaded: it can come from anywhere.
    """
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "model"
        demand_admitted(complete_model, copy)
        try:
            form = training_format(copy)
        except IncompleteArtifact as fault:
            message = str(fault).replace(str(copy), str(complete_model))
            raise IncompleteArtifact(message) from None
        if form not in loadable(copy):
            raise VerificationFailed(f"{complete_model}: trains in no format that is safe to load")
        digest = provenance.digest(copy)
        parent = PARENTS / digest
        if not parent.is_dir():
            partial = PARENTS / f".{digest}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(copy, partial, copy_function=shutil.copyfile)
            partial.rename(parent)
    track(parent)
    return digest


def values(parent: str, overrides: list[str]) -> dict[str, Any]:
    """Returns the params of the run: the parent's model and training, everything else as
    `python -m pipeline` composes it, and what is overridden."""
    named = names(overrides)
    params, default = (interpolated(compose_conf(CONF, each)) for each in (overrides, []))
    recorded = provenance.params(PARENTS / parent)
    own = {name.split(".")[1] for name in named if name.startswith("train.")}
    # An experiment sets values without naming them on the command line.
    own |= {k for k, v in params["train"].items() if v != default["train"].get(k)}
    if "train" not in named:
        params["train"] |= {k: v for k, v in recorded["train"].items() if k not in own}
    params["train"] |= {"parent": parent, "start": None, "new_weights": []}
    params["train"]["epochs"] = params["train"]["epochs"] or default["train"]["epochs"]
    params["model"] = recorded["model"]
    if not {"export", "export.formats"} & set(named):
        params["export"]["formats"] = [training_format(PARENTS / parent)]
    return params


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
