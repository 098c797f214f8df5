"""Every stage has the same wrapper: paths from the command line, params from params.yaml, a lock on
the output, and the statement of provenance last."""

import contextlib
import gc
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pipeline import provenance
from pipeline.errors import ChangedMeanwhile, IncompleteArtifact, PipelineError
from pipeline.files import translate_os_errors
from pipeline.project import PARENTS, TRAIN
from pipeline.provenance import lineage
from pipeline.run import (
    backup,
    command,
    dvc_file,
    dvc_state,
    killed_experiment,
    resume_state,
    signals,
    start,
    versions,
)
from pipeline.run.arguments import Stage, arguments, params_file, sections
from pipeline.run.lock import exclusive_writer
from pipeline.run.scratch import scratch_beside
from pipeline.text import escaped_error

CodeByParams = Callable[[Mapping[str, Any]], list[str]]
"""From the sections of params that a stage reads to paths of code."""
Define = Callable[[Mapping[str, Any]], dict[str, Any]]
"""From the commit to what a stage's result is made from, as things are at the call."""

GARBAGE_THRESHOLD = 50_000
"""Objects between two collections: at Python's 700 a fifth of a framework's import is spent looking
for garbage in what it makes to stay."""


def main(
    stage: Stage,
    *,
    resumes: bool = False,
    judges: tuple[str, ...] = (),
    unread: Mapping[str, str] = MappingProxyType({}),
    code_by_params: CodeByParams = lambda params: [],
) -> None:
    """Runs a stage and ends the process; a PipelineError becomes one line and exit code 1, a signal
    128 + its number.

    `resumes`: an unfinished output made from the same inputs is handed to the stage as it lies.
    `judges`: arguments whose bytes the stage itself compares with their statement.
    `unread`: argument -> pattern of the files in it that this stage does not read: they must be
    there, and whoever reads them compares their bytes with the statement.
    `code_by_params`: paths of the code that is a dep only with these params; for DVC it is a param
    that `compose` writes.
    """
    gc.set_threshold(GARBAGE_THRESHOLD)
    code = 0
    try:
        signals.install()
        killed_experiment.warn()
        definition = partial(_definition, stage, code_by_params)
        _run(stage, arguments(stage), resumes, judges, unread, definition)
    except PipelineError as error:
        print(f"error: {_name(stage)}: {escaped_error(error)}", file=sys.stderr)
        code = 1
    except (signals.Interrupted, ImportError) as fault:
        end = signals.raised() or fault
        if not isinstance(end, signals.Interrupted):
            raise
        print(f"{_name(stage)}: ended by {end}", file=sys.stderr)
        code = 128 + end.number
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written; a framework takes another second to come down


def _name(stage: Stage) -> str:
    return stage.__name__.replace("_", "-")


def _run(
    stage: Stage,
    values: Mapping[str, Any],
    resumes: bool,
    judges: tuple[str, ...],
    unread: Mapping[str, str],
    define: Define,
) -> None:
    target = values.get("output") or values.get("report")
    if target is None:
        with translate_os_errors(Path()), _unchanged_inputs(define):
            stage(**values)
        return
    makers = dvc_file.makers()
    inputs = {
        option: path for option, path in values.items() if isinstance(path, Path) and path != target
    }
    with translate_os_errors(target), exclusive_writer(target), scratch_beside(target):
        for option, path in inputs.items():
            if option not in judges:
                _demand_complete(path, makers.get(path.as_posix()), unread.get(option, ""))
            if path.as_posix() in makers:
                backup.remove(path)  # DVC has it by now
        versions.warn(_name(stage), [path.as_posix() for path in inputs.values()], _parent(stage))
        if "output" in values:
            _make_output(stage, values, resumes, define)
        else:
            with _unchanged_inputs(define):
                stage(**values)


def _demand_complete(path: Path, maker: str | None, unread: str) -> None:
    """Raises IncompleteArtifact for an input that is missing, or unlike its statement."""
    if not path.exists():
        raise IncompleteArtifact(f"{path}: missing; run `dvc repro{f' {maker}' if maker else ''}`")
    if maker and path.is_dir():
        faults = provenance.faults(path, lambda name: fnmatchcase(name, unread))
        if faults:
            more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
            raise IncompleteArtifact(f"{faults[0]}{more}; run `dvc repro --force {maker}`")


def _make_output(stage: Stage, values: Mapping[str, Any], resumes: bool, define: Define) -> None:
    """Leaves an output with a statement of what it was made from, or one without any."""
    output: Path = values["output"]
    code, patch = provenance.code(Path())
    try:
        with translate_os_errors(output):  # before it is removed and its space is free again
            with _unchanged_inputs(define, code) as definition:
                plan = _without_code(definition)
                if not (resumes and resume_state.resume(output, plan)):
                    resume_state.begin(output, plan)
                stage(**values)
            (output / provenance.PATCH).unlink(missing_ok=True)
            if patch:
                (output / provenance.PATCH).write_bytes(patch)
            lineage.carry([dep["name"] for dep in plan["resolvedDependencies"]], output)
            provenance.write(output, definition, without=resume_state.NAME)
            dvc_state.tell(output)
    except BaseException:
        if not resumes and (output / resume_state.NAME).is_file():
            shutil.rmtree(output, ignore_errors=True)
        raise
    resume_state.finish(output)


@contextlib.contextmanager
def _unchanged_inputs(
    define: Define, code: Mapping[str, Any] | None = None
) -> Iterator[dict[str, Any]]:
    """Gives what the stage's result is made from.

    Raises ChangedMeanwhile when params or deps are others at the end, for DVC would record those;
    other code may change.
    """
    before = define(code or {})
    yield before
    now = define(code or {})
    if now != before:
        changed = resume_state.differences(_without_code(before), _without_code(now))
        raise ChangedMeanwhile(
            f"{changed.removeprefix('other ')}: changed while it ran; nothing is recorded. "
            "Run `dvc repro` again"
        )


def _definition(
    stage: Stage, code_by_params: CodeByParams, code: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what the stage's result is made from: the deps that dvc.yaml names, the complete
    model that is trained on from, and the code that hangs on the params."""
    names = sections(stage)
    values = params_file() if names else {}
    used = {section: values[section] for section in names}
    parent = _parent(stage)
    deps = dvc_file.deps(_name(stage)) + ([str(PARENTS / parent)] if parent else [])
    origin = start.deps(_name(stage), used.get("train", {}))
    deps += [*origin, *code_by_params(used)]
    definition = provenance.build_definition(_name(stage), used, deps, code, origin)
    if _name(stage) == TRAIN and used["train"].get("command"):
        definition["internalParameters"]["variables"] = command.variables(used["train"])
    return definition


def _parent(stage: Stage) -> str | None:
    """Returns the digest of the complete model that is trained on from."""
    parent: str | None = params_file()["train"]["parent"] if "train" in sections(stage) else None
    return parent


def _without_code(definition: dict[str, Any]) -> dict[str, Any]:
    """Leaves out the commit, which alone changes no result: the files that do are deps."""
    return definition | {"resolvedDependencies": definition["resolvedDependencies"][1:]}
