"""`python -m pipeline.adopt model.pt model=resnet`: a checkpoint from anywhere, a complete model.

The checkpoint is kept in checkpoints/ under its sha256, DVC tracks it, and the pipeline starts from
it without an epoch of its own.
"""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import foreign, provenance
from pipeline.__main__ import demand_repository, reproduce
from pipeline.config.merge import composed
from pipeline.errors import DataError, ParamsError, PipelineError
from pipeline.files import translate_os_errors, write_atomically
from pipeline.foreign.contract import Foreign
from pipeline.project import CHECKPOINTS, CONF, ROOT
from pipeline.run import start
from pipeline.run.parent import track
from pipeline.run.signals import Interrupted
from pipeline.text import escaped

USAGE = """usage: python -m pipeline.adopt <checkpoint> [override ...]

Makes a complete model of a checkpoint, a file or a folder, that was made elsewhere: verified,
logged, and with all that is known of it in its statement. The net is that of the configuration.
Overrides as in `python -m pipeline`, for instance: model=torch_mlp data=digits"""


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0].startswith("-"):
        wanted = arguments[:1] in (["-h"], ["--help"])
        print(USAGE, file=sys.stdout if wanted else sys.stderr)
        return 0 if wanted else 2
    path, overrides = Path(arguments[0]).absolute(), arguments[1:]
    os.chdir(ROOT)
    try:
        demand_repository()
        demand_no_other_start(overrides)
        values, lock = composed(CONF, overrides)
        digest, checkpoint = take_in(path)
        adopt(values, overrides, digest, checkpoint)
        return reproduce(values, overrides, lock)
    except PipelineError as error:
        print(f"error: adopt: {escaped(str(error))}", file=sys.stderr)
        return 1
    except Interrupted as end:
        return 128 + end.number


def demand_no_other_start(overrides: Sequence[str]) -> None:
    """Raises ParamsError where an override says what the command says."""
    for each in overrides:
        key = each.lstrip("+~").partition("=")[0]
        if key in ("train.start", "train.parent", "train.epochs"):
            raise ParamsError(
                f"{key}: found it on the line, but an adopted model stays what the checkpoint is; "
                "to train on from one: `python -m pipeline train.start=<path> train.epochs=5`"
            )


def adopt(
    values: dict[str, Any], overrides: Sequence[str], digest: str, checkpoint: Foreign
) -> None:
    """Sets in the composed values what makes them those of the checkpoint itself."""
    named = {each.lstrip("+~").partition("=")[0] for each in overrides}
    values["train"] |= {"start": digest, "epochs": 0, "early_stopping": None}
    if "train.start_with" not in named:
        whole = checkpoint.optimizer is not None
        values["train"]["start_with"] = "optimizer" if whole else "weights"
    if values["data"]["made_up"]:
        values["train"]["metrics"] = {}
        values["checkpoint"] |= {"metric": "val/loss", "mode": "min"}
    for key, value in checkpoint.model.items():
        *path, name = key.split(".")
        if not any(f"model.{key}".startswith(each) for each in named):
            section = values["model"]
            for part in path:
                section = section[part]
            section[name] = value


def take_in(path: Path) -> tuple[str, Foreign]:
    """Copies the checkpoint to checkpoints/ and has DVC track it; returns its digest, and it.

    Raises DataError, one line, for what is none; nothing is written then.
    """
    kind = foreign.recognized(path)
    CHECKPOINTS.mkdir(exist_ok=True)
    with (
        translate_os_errors(CHECKPOINTS),
        tempfile.TemporaryDirectory(dir=CHECKPOINTS, prefix=".") as scratch,
    ):
        source, origin = path, provenance.digest(path)
        checkpoint = foreign.read(source)
        digest = provenance.digest(source)
        if not start.place(digest).exists():
            copy = Path(scratch) / "copy"
            _copy(source, copy)
            if provenance.digest(copy) != digest:
                raise DataError(f"{path}: changed while it was read; leave it alone meanwhile")
            copy.rename(start.place(digest))
        described = _described(path.name, kind, origin, checkpoint)
        write_atomically(start.described(digest), json.dumps(described, indent=1) + "\n")
    track(start.place(digest))
    print(f"{escaped(str(path))}: {foreign.kind(kind).TITLE}, kept as {start.place(digest)}")
    return digest, foreign.read(start.place(digest))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, target)


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
