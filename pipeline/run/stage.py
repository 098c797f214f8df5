"""The only wrapper of a stage: paths from the command line, params from params.yaml, a lock on
the output, and the statement of provenance last."""

import argparse
import contextlib
import gc
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.params import FILE, PARENTS
from pipeline.config.reading import load_yaml, read
from pipeline.errors import ChangedMeanwhile, IncompleteArtifact, ParamsError, PipelineError
from pipeline.files import translate_os_errors
from pipeline.provenance import lineage
from pipeline.run import experiment, resume_state, safe_copy, signals
from pipeline.run.lock import exclusive_writer
from pipeline.run.scratch import scratch_beside
from pipeline.text import escaped

GARBAGE = 50_000
"""Objects between two collections: at Python's 700 a fifth of a framework's import is spent looking
for garbage in what it makes to stay."""


def main(
    stage: Callable[..., None], *, resumes: bool = False, judges: tuple[str, ...] = ()
) -> None:
    """Runs a stage and ends the process; a PipelineError becomes one line and exit code 1, a signal
    128 + its number.

    `resumes`: an unfinished output made from the same inputs is handed to the stage as it lies.
    `judges`: arguments whose bytes the stage itself compares with their statement.
    """
    gc.set_threshold(GARBAGE)
    code = 0
    try:
        signals.install()
        experiment.warn()
        _run(stage, _arguments(stage), resumes, judges)
    except PipelineError as error:
        print(f"error: {name(stage)}: {escaped(str(error))}", file=sys.stderr)
        code = 1
    except signals.Interrupted as end:
        print(f"{name(stage)}: ended by {end}", file=sys.stderr)
        code = 128 + end.number
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
        with translate_os_errors(Path()), _steady(stage):
            stage(**arguments)
        return
    made_by = _makers()
    with translate_os_errors(written), exclusive_writer(written), scratch_beside(written):
        for option, path in arguments.items():
            if isinstance(path, Path) and path != written and option not in judges:
                _demand_complete(path, made_by)
                if path.as_posix() in made_by:
                    safe_copy.drop(path)  # DVC has it by now
        if "output" in arguments:
            _fill(stage, arguments, resumes)
        else:
            with _steady(stage):
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
    """Ends with the statement of what the output was made from, or without one."""
    output: Path = arguments["output"]
    code, patch = provenance.code(Path())
    try:
        with translate_os_errors(output):  # before it is removed and its space is free again
            with _steady(stage, code) as definition:
                plan = _without_code(definition)
                if not (resumes and resume_state.goes_on(output, plan)):
                    resume_state.begin(output, plan)
                stage(**arguments)
            (output / provenance.PATCH).unlink(missing_ok=True)
            if patch:
                (output / provenance.PATCH).write_bytes(patch)
            lineage.carry(_deps(stage), output)
            provenance.write(output, definition, without=resume_state.NAME)
    except BaseException:
        if not resumes and (output / resume_state.NAME).is_file():
            shutil.rmtree(output, ignore_errors=True)
        raise
    resume_state.end(output)


@contextlib.contextmanager
def _steady(
    stage: Callable[..., None], code: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """What it is made from. Raises ChangedMeanwhile when params or deps are others at the end, for
    DVC would record those; other code may change."""
    before = _definition(stage, code or {})
    yield before
    now = _definition(stage, code or {})
    if now != before:
        changed = resume_state.differences(_without_code(before), _without_code(now))
        raise ChangedMeanwhile(
            f"{changed.removeprefix('other ')}: changed while it ran; nothing is recorded. "
            "Run `dvc repro` again"
        )


def _definition(stage: Callable[..., None], code: Mapping[str, Any]) -> dict[str, Any]:
    sections = _sections(stage)
    values = params_file() if sections else {}
    used = {section: values[section] for section in sections}
    return provenance.build_definition(name(stage), used, _deps(stage), code)


def _without_code(definition: dict[str, Any]) -> dict[str, Any]:
    """A commit alone changes no result: the files that do are deps."""
    return definition | {"resolvedDependencies": definition["resolvedDependencies"][1:]}


def _sections(stage: Callable[..., None]) -> list[str]:
    parameters = inspect.signature(stage, eval_str=True).parameters.values()
    kinds = [p.annotation for p in parameters if is_dataclass(p.annotation)]
    return [field.name for kind in kinds for field in fields(kind)]


def _pipeline() -> dict[str, Any]:
    stages: dict[str, Any] = load_yaml(Path("dvc.yaml").read_text(), "dvc.yaml")["stages"]
    return stages


def _deps(stage: Callable[..., None]) -> list[str]:
    """The stage's deps as dvc.yaml names them, and the complete model that it trains on from."""
    listed = list(_pipeline()[name(stage)]["deps"])
    parent = params_file()["train"]["parent"] if "train" in _sections(stage) else None
    return listed + ([str(PARENTS / parent)] if parent else [])


def _makers() -> dict[str, str]:
    """Output path -> the stage that writes it."""
    return {
        out if isinstance(out, str) else next(iter(out)): stage
        for stage, entry in _pipeline().items()
        for out in entry.get("outs", [])
    }
