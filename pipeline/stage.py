"""The only wrapper of a stage: paths from the command line, params from params.yaml, a lock on
the output, and the statement of provenance last."""

import argparse
import contextlib
import fcntl
import gc
import inspect
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pipeline import lineage, provenance
from pipeline.errors import IncompleteArtifact, ParamsError, PipelineError
from pipeline.params import FILE, PARENTS
from pipeline.typed import load_yaml, read

GARBAGE = 50_000
"""Objects between two collections: at Python's 700 a fifth of a framework's import is spent looking
for garbage in what it makes to stay."""

UNFINISHED = "unfinished.json"
"""What an output is being made from; stands in it until the statement does."""


def main(
    stage: Callable[..., None], *, resumes: bool = False, judges: tuple[str, ...] = ()
) -> None:
    """Runs a stage and ends the process; a PipelineError becomes one line and exit code 1.

    `resumes`: an unfinished output made from the same inputs is handed to the stage as it lies.
    `judges`: arguments whose bytes the stage itself compares with their statement.
    """
    gc.set_threshold(GARBAGE)
    code = 0
    try:
        _run(stage, _arguments(stage), resumes, judges)
    except PipelineError as error:
        print(f"error: {name(stage)}: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written; a framework takes another second to come down


def name(stage: Callable[..., None]) -> str:
    return stage.__name__.replace("_", "-")


def _arguments(stage: Callable[..., None]) -> dict[str, Any]:
    """One option for each Path in the signature; params are read as their annotation says."""
    signature = inspect.signature(stage, eval_str=True).parameters
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{stage.__name__}")
    for parameter in signature.values():
        if parameter.annotation is Path:
            option = f"--{parameter.name.replace('_', '-')}"
            parser.add_argument(option, type=Path, required=True, metavar="PATH")
    arguments = vars(parser.parse_args())
    for parameter in signature.values():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            arguments[parameter.name] = read(kind, params_file())
    return arguments


def params_file() -> dict[str, Any]:
    """params.yaml of the working directory as plain values. Raises ParamsError."""
    if not FILE.is_file():
        raise ParamsError(f"{FILE}: missing; run `dvc repro compose` in the repository's root")
    values = load_yaml(FILE.read_text(), str(FILE))
    if not isinstance(values, dict):
        raise ParamsError(f"{FILE}: found no mapping; run `git checkout {FILE}` to get it back")
    return values


def _run(
    stage: Callable[..., None], arguments: Mapping[str, Any], resumes: bool, judges: tuple[str, ...]
) -> None:
    written = arguments.get("output") or arguments.get("report")
    if written is None:
        stage(**arguments)
        return
    made_by = _makers()
    with lock(written):
        for option, path in arguments.items():
            if isinstance(path, Path) and path != written and option not in judges:
                _demand_complete(path, made_by)
        if "output" in arguments:
            _fill(stage, arguments, resumes)
        else:
            stage(**arguments)


def _demand_complete(path: Path, made_by: Mapping[str, str]) -> None:
    maker = made_by.get(path.as_posix())
    if not path.exists():
        raise IncompleteArtifact(f"{path}: missing; run `dvc repro{f' {maker}' if maker else ''}`")
    if maker and path.is_dir():
        found = provenance.faults(path)
        if found:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            raise IncompleteArtifact(f"{found[0]}{more}; run `dvc repro --force {maker}`")


def _fill(stage: Callable[..., None], arguments: Mapping[str, Any], resumes: bool) -> None:
    output: Path = arguments["output"]
    code, patch = provenance.code(Path())
    used = {section: params_file()[section] for section in _sections(stage)}
    parent = used.get("train", {}).get("parent")
    deps = [*_deps(name(stage)), *([str(PARENTS / parent)] if parent else [])]
    definition = provenance.build_definition(name(stage), used, deps, code)
    planned = json.dumps(definition, indent=1)
    unfinished = output / UNFINISHED
    if not (resumes and unfinished.is_file() and unfinished.read_text() == planned):
        if resumes and unfinished.is_file():
            print(f"{output}: begun from other params, data or code; starting again", flush=True)
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        provenance.write_atomically(unfinished, planned)
    stage(**arguments)
    if patch:
        (output / provenance.PATCH).write_bytes(patch)
    lineage.carry(deps, output)
    unfinished.unlink()
    provenance.write(output, definition)


def _sections(stage: Callable[..., None]) -> list[str]:
    parameters = inspect.signature(stage, eval_str=True).parameters.values()
    kinds = [p.annotation for p in parameters if is_dataclass(p.annotation)]
    return [field.name for kind in kinds for field in fields(kind)]


def _pipeline() -> dict[str, Any]:
    stages: dict[str, Any] = load_yaml(Path("dvc.yaml").read_text(), "dvc.yaml")["stages"]
    return stages


def _deps(stage: str) -> list[str]:
    """The stage's deps as dvc.yaml names them."""
    return list(_pipeline()[stage]["deps"])


def _makers() -> dict[str, str]:
    """Output path -> the stage that writes it."""
    return {
        out if isinstance(out, str) else next(iter(out)): stage
        for stage, entry in _pipeline().items()
        for out in entry.get("outs", [])
    }


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """One writer at a time; a second one is refused and told the first one's pid."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip()
            raise IncompleteArtifact(
                f"{path}: process {holder} is writing it; wait for it or end it"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
