"""`python -m pipeline.resume <complete-model> train.epochs=5`: train it on.

It needs none of the model's source: the complete model is kept in parents/ under its digest, and
the pipeline trains on from there. Model, data, training and the choice of the epoch are the
parent's, but for what is overridden.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.__main__ import reproduce
from pipeline.config import of_parent
from pipeline.config.composition import compose_conf
from pipeline.config.merge import Lock, lock_of
from pipeline.config.of_parent import name_of
from pipeline.config.option_files import choosing, group_of
from pipeline.errors import IncompleteArtifact, ParamsError, PipelineError, VerificationFailed
from pipeline.examine import demand_admitted
from pipeline.examine.loading import loadable
from pipeline.project import CONF, PARENTS, PREPARE, ROOT
from pipeline.resume import own_data as own
from pipeline.run.parent import track, training_format
from pipeline.run.signals import Interrupted
from pipeline.text import escaped

USAGE = """usage: python -m pipeline.resume <complete-model> [override ...]

Trains a complete model on with none of its source, and verifies and logs what comes out; with the
data that it was made with, unless others are named. Overrides as in `python -m pipeline`, for
instance: train.epochs=5 train.lr=0.0001 data=digits"""


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
        params, own_data = values(parent, arguments[1:])
        data = f"data: {params['data']['name']}, {origin(parent, params, own_data)}"
        print(escaped(data), flush=True)
        return reproduce(params, arguments[1:], remembered(params, arguments[1:]))
    except PipelineError as error:
        print(f"error: resume: {escaped(str(error))}", file=sys.stderr)
        return 1
    except Interrupted as end:
        return 128 + end.number


def names(overrides: list[str]) -> list[str]:
    """Returns the keys that the overrides set."""
    return [name_of(override) for override in overrides]


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


def values(parent: str, overrides: list[str]) -> tuple[dict[str, Any], bool]:
    """Returns the params of the run, and whether its data are the parent's: the parent's data,
    model and training, everything else as `python -m pipeline` composes it, and what is
    overridden."""
    complete_model = PARENTS / parent
    params, own_data = of_parent.composed(CONF, overrides, own.recorded(complete_model))
    params["train"] |= {"parent": parent, "start": None, "new_weights": []}
    if not params["train"]["epochs"]:
        params["train"]["epochs"] = compose_conf(CONF, [])["train"]["epochs"]
    if not {"export", "export.formats"} & set(names(overrides)):
        params["export"]["formats"] = [training_format(complete_model)]
    return params, own_data


def origin(parent: str, params: dict[str, Any], own_data: bool) -> str:
    """Returns in words where the data of the run come from. Raises ParamsError or DataError where
    they are the parent's and not here."""
    made = own.upstream(PARENTS / parent, PREPARE)
    if own_data and made is not None:
        return own.described(own.demand_here(params["data"]), made)
    return "as it is named here" if made else "for the complete model does not say which it had"


def remembered(params: dict[str, Any], overrides: list[str]) -> Lock:
    """Returns what the next merge needs to know of the run: data that are an option of conf/ are
    chosen by their name."""
    parent = of_parent.sections(CONF, params)
    chosen = [each for each in choosing(CONF, overrides) if group_of(each) != "data"]
    named = [] if "data" in parent else [f"data={params['data']['name']}"]
    return lock_of(CONF, [*chosen, *named], parent)
