"""`python -m pipeline.adopt model.pt model=resnet`: a checkpoint from anywhere, a complete model.

The checkpoint is kept in checkpoints/ under its sha256, DVC tracks it, and the pipeline starts from
it without an epoch of its own.
"""

import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline import foreign, provenance, written
from pipeline.__main__ import demand_repository, reproduce
from pipeline.config.merge import composed
from pipeline.config.reading import flatten
from pipeline.errors import DataError, ParamsError, PipelineError
from pipeline.files import translate_os_errors, write_atomically
from pipeline.foreign import peft_adapter, pickled, sets
from pipeline.foreign.contract import Foreign
from pipeline.project import CHECKPOINTS, CONF, ROOT
from pipeline.provenance import git
from pipeline.run import start
from pipeline.run.parent import track
from pipeline.run.signals import Interrupted
from pipeline.text import escaped

TRUST, BASE = "--trust-pickle", "--base"
USAGE = f"""usage: python -m pipeline.adopt [{TRUST}] [{BASE} <base>] <checkpoint> [override ...]

Makes a complete model of a checkpoint, a file or a folder, that was made elsewhere: verified,
logged, and with all that is known of it in its statement. The net is that of the configuration.
A pickle of whole objects is opened with {TRUST} alone, in a process that can do nothing else.
An adapter of peft is merged into its base, the checkpoint that {BASE} names.
Overrides as in `python -m pipeline`, for instance: model=torch_mlp data=digits"""
SETS = (
    *("train.start", "train.start_with", "train.epochs", "train.early_stopping"),
    "model.scheduler",
)
"""Keys that are set by the command and not by whoever types it."""


def main(arguments: list[str]) -> int:
    trusted, arguments = TRUST in arguments, [each for each in arguments if each != TRUST]
    base, arguments = _base(arguments)
    if not arguments or arguments[0].startswith("-"):
        wanted = arguments[:1] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if wanted else sys.stderr)
        return 0 if wanted else 2
    path, overrides = Path(arguments[0]).absolute(), arguments[1:]
    os.chdir(ROOT)
    try:
        demand_repository()
        demand_no_other_start(overrides)
        overrides = with_options(overrides, foreign.kind(foreign.recognized(path)).GIVES)
        values, lock = composed(CONF, overrides)
        if base is not None:
            digest, checkpoint = take_in_adapter(path, base)
        else:
            digest, checkpoint = take_in_pickle(path) if trusted else take_in(path)
        adopt(values, overrides, digest, checkpoint)
        drop_schedule_of_epochs(values, lock.conf)
        return reproduce(values, [*overrides, *SETS], lock)
    except PipelineError as error:
        print(f"error: adopt: {escaped(str(error))}", file=sys.stderr)
        return 1
    except Interrupted as end:
        return 128 + end.number


def _base(arguments: list[str]) -> tuple[Path | None, list[str]]:
    """Returns what --base names, and the other arguments; none where it names nothing."""
    if BASE not in arguments:
        return None, arguments
    at = arguments.index(BASE)
    named, rest = arguments[at + 1 : at + 2], [*arguments[:at], *arguments[at + 2 :]]
    return (Path(named[0]).absolute(), rest) if named else (None, [])


def demand_no_other_start(overrides: Sequence[str]) -> None:
    """Raises ParamsError where an override says what the command says."""
    for each in overrides:
        key = each.lstrip("+~").partition("=")[0]
        if key in ("train.start", "train.parent", "train.epochs"):
            raise ParamsError(
                f"{key}: found it on the line, but an adopted model stays what the checkpoint is; "
                "to train on from one: `python -m pipeline train.start=<path> train.epochs=5`"
            )


def with_options(overrides: list[str], gives: str | None = None) -> list[str]:
    """Adds, unless others are named, the options of a program, and those that claim no metric where
    the rows are made up."""
    named = {each.partition("=")[0] for each in overrides}
    if gives == "program" and "model" not in named:
        overrides = ["model=program", *overrides]
    values, _ = composed(CONF, overrides)
    made_up = values["data"]["made_up"]
    options = {"train": "plain", "checkpoint": "regression"} if made_up else {}
    return [*(f"{k}={v}" for k, v in options.items() if k not in named), *overrides]


def adopt(
    values: dict[str, Any], overrides: Sequence[str], digest: str, checkpoint: Foreign
) -> None:
    """Sets in the composed values what makes them those of the checkpoint itself."""
    named = {each.lstrip("+~").partition("=")[0] for each in overrides}
    values["train"] |= {"start": digest, "epochs": 0, "early_stopping": None}
    if "train.start_with" not in named:
        word = values["model"]["weights_of"]
        values["train"]["start_with"] = sets.start_with(checkpoint, word)
    if "formats" in checkpoint.model and not {"export", "export.formats"} & named:
        values["export"]["formats"] = checkpoint.model["formats"]
    for key, value in checkpoint.model.items():
        *path, name = key.split(".")
        if not any(f"model.{key}.".startswith(f"{each}.") for each in named if "." in each):
            section = values["model"]
            for part in path:
                section = section[part]
            section[name] = value


def drop_schedule_of_epochs(values: dict[str, Any], written: Mapping[str, Any]) -> None:
    """Leaves out a schedule that conf/ stretches over the epochs: there is none."""
    schedule = written["model"].get("scheduler")
    if values["model"]["scheduler"] and "${train.epochs}" in flatten({"": schedule}).values():
        values["model"]["scheduler"] = None
        print(
            "model.scheduler: left out, for it goes by train.epochs, and an adopted model has none"
        )


def take_in(
    path: Path, given: Path | None = None, known: Mapping[str, Any] | None = None
) -> tuple[str, Foreign]:
    """Copies the checkpoint to checkpoints/ and has DVC track it; returns its digest, and it.
    `given` is what it was made of, where that is another, and `known` what is known of that.

    Raises DataError, one line, for what is none; nothing is written then.
    """
    if (path / provenance.NAME).is_file():
        raise DataError(
            f"{path}: a complete model, expected a checkpoint that was made elsewhere; "
            "`python -m pipeline.resume` trains it on"
        )
    kind, checkpoint = foreign.recognized(path), foreign.read(path)
    CHECKPOINTS.mkdir(exist_ok=True)
    with (
        translate_os_errors(CHECKPOINTS),
        tempfile.TemporaryDirectory(dir=CHECKPOINTS, prefix=".") as scratch,
    ):
        copy = Path(scratch) / "copy"
        digest = _copy(path, copy)
        if not start.place(digest).exists():
            copy.rename(start.place(digest))
        described = _described(path.name, kind, digest, checkpoint)
        described["hyperparameters"] |= known or {}
        write_atomically(start.described(digest), json.dumps(described, indent=1) + "\n")
    track(start.place(digest))
    git.run(ROOT, "add", str(start.described(digest)))  # as DVC does with its own
    print(
        f"{escaped(str(given or path))}: {foreign.kind(kind).TITLE}, kept as {start.place(digest)}"
    )
    return digest, foreign.read(start.place(digest))


def take_in_pickle(path: Path) -> tuple[str, Foreign]:
    """Takes in what a pickle holds, which is opened where it can do nothing else. Raises DataError,
    one line, also for what needs no such trust; nothing is written then."""
    if (kind := foreign.recognized(path)) != "pickled":
        raise DataError(
            f"{path}: a {foreign.kind(kind).TITLE}, which runs no code, but found {TRUST}; leave "
            "it out"
        )
    with tempfile.TemporaryDirectory(prefix="pickle-") as scratch:
        pickled.extract(path, Path(scratch) / path.name, ROOT)
        return take_in(Path(scratch) / path.name, path)


def take_in_adapter(path: Path, base: Path) -> tuple[str, Foreign]:
    """Takes in the base with the adapter in its weights. Raises DataError, one line, also for what
    is no adapter; nothing is written then."""
    if (kind := foreign.recognized(path)) != "peft_adapter":
        raise DataError(
            f"{path}: a {foreign.kind(kind).TITLE}, which has no base, but found {BASE}; leave it "
            "out"
        )
    digests = {"adapter.sha256": provenance.digest(path), "base.sha256": provenance.digest(base)}
    with tempfile.TemporaryDirectory(prefix="adapter-") as scratch:
        output = Path(scratch) / path.name
        said = peft_adapter.merge(path, base, foreign.read(base), output)
        known = digests | {f"adapter.{name}": value for name, value in said.items()}
        return take_in(output, path, known)


def _copy(source: Path, target: Path) -> str:
    """Returns the digest of what was written, for which the source is read once."""
    if source.is_file():
        return written.copy(source, target)
    digests = {}
    for name in provenance.files(source):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        digests[name] = written.copy(source / name, target / name)
    return provenance.folded({name: digests[name] for name in provenance.counted(digests)})


def _described(name: str, kind: str, origin: str, checkpoint: Foreign) -> dict[str, Any]:
    return {
        "name": name,
        "kind": kind,
        "sha256": origin,
        "framework": checkpoint.framework,
        "versions": dict(checkpoint.versions),
        "epoch": checkpoint.epoch,
        "optimizer": checkpoint.optimizer is not None,
        "hyperparameters": dict(checkpoint.hyperparameters),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
