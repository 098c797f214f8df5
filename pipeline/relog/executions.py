"""Every execution of log-to-mlflow that is known here, as the entry of dvc.lock that DVC wrote of
it.

An entry names by md5 all that was read and the report that was written. DVC keeps it in dvc.lock,
so in every commit, experiment and stash, and in its run cache, whatever became of dvc.lock.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pipeline import provenance
from pipeline.errors import ParamsError
from pipeline.project import LOG_TO_MLFLOW as STAGE
from pipeline.project import PARAMS
from pipeline.provenance import git
from pipeline.resolve import dvc

MODULE = "pipeline.log_to_mlflow"
ARTIFACTS = ("complete-model", "checkpoint", "train", "data")
OPTIONS = (*ARTIFACTS, "verify-report", "report")
"""Options of its command, each with a path: first of the artifacts, then of single files."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    paths: Mapping[str, str]
    """Option of the command -> path."""
    md5: Mapping[str, str]
    """Path -> md5 as DVC has it, of everything but code."""
    sections: Mapping[str, Any]
    """Those of params.yaml that this entry and that of verify beside it record."""
    time: int
    """Milliseconds since 1970, when DVC or git recorded it."""
    experiment: str | None
    where: str

    @property
    def model(self) -> str:
        """Returns the md5 of the complete model's directory."""
        return self.md5[self.paths["complete-model"]]


def executions(root: Path) -> tuple[list[Execution], list[str]]:
    """Returns each execution once, however often it is named, and a line for each text that cannot
    be read."""
    executions: dict[frozenset[tuple[str, str]], Execution] = {}
    faults = []
    for entry in (*_git(root), *_run_cache(root), *_work_tree(root)):
        try:
            execution = _execution(entry)
        except (ParamsError, LookupError, TypeError, ValueError, AttributeError) as fault:
            line = fault if isinstance(fault, ParamsError) else f"{entry.where}: {fault!r}"
            faults.append(f"{line}; expected an entry of {STAGE} as DVC writes it")
            continue
        if execution:
            key = frozenset(execution.md5.items())
            executions[key] = _merged(executions.get(key, execution), execution)
    return list(executions.values()), faults


class Entry(NamedTuple):
    """An entry of dvc.lock as text."""

    text: bytes
    time: int
    experiment: str | None
    where: str


def _work_tree(root: Path) -> Iterator[Entry]:
    lock = root / dvc.LOCK
    if lock.is_file():
        time = int(lock.stat().st_mtime * 1000)
        text = dvc.only_stages(lock.read_bytes(), "verify", STAGE)
        yield Entry(text, time, None, dvc.LOCK)


def _git(root: Path) -> Iterator[Entry]:
    """Gives each text once, at the earliest commit that has it: later ones only hand it on."""
    versions = git.versions(root, dvc.LOCK)
    content = dict(git.blobs(root, sorted({blob for _, _, blob in versions})))
    names = {commit: name for name, commit, _ in git.experiments(root)}
    seen = set()
    for seconds, commit, blob in versions:
        text = dvc.only_stages(content.get(blob, b""), "verify", STAGE)
        if text not in seen:
            seen.add(text)
            where = f"{dvc.LOCK} of commit {commit[:12]}"
            yield Entry(text, seconds * 1000, names.get(commit), where)


def _run_cache(root: Path) -> Iterator[Entry]:
    """Yields the entries of DVC's run cache; one does not name its stage."""
    for path in dvc.run_cache(root):
        content = path.read_bytes()
        if MODULE.encode() in content:
            within = b"".join(b"    " + line for line in content.splitlines(keepends=True))
            text = b"stages:\n  %s:\n%s" % (STAGE.encode(), within)
            yield Entry(text, int(path.stat().st_mtime * 1000), None, f"DVC's run cache, {path}")


def _execution(entry: Entry) -> Execution | None:
    """Returns the execution of an entry, or None where the stage had not run. Raises for what is no
    entry of it."""
    stages = dvc.stages(entry.text, entry.where)
    own = stages.get(STAGE)
    if own is None:
        return None
    named = (*own["deps"], *own["outs"])
    md5 = {each["path"]: each["md5"] for each in named if not _is_code(each["path"])}
    paths = _paths(own["cmd"])
    if lacking := set(paths.values()) - set(md5):
        raise ValueError(f"no md5 of {', '.join(sorted(lacking))}")
    if odd := [p for p, digest in md5.items() if not dvc.MD5.fullmatch(digest) or leads_out(p)]:
        raise ValueError(f"no path and md5 within the repository: {odd[0]}")
    sections = _sections(stages.get("verify", {})) | _sections(own)
    if "tracking" not in sections:
        raise ValueError("no section tracking")
    return Execution(
        paths=paths,
        md5=md5,
        sections=sections,
        time=entry.time,
        experiment=entry.experiment,
        where=entry.where,
    )


def _paths(command: str) -> dict[str, str]:
    """Returns the path of each option. Raises LookupError or ValueError for another command."""
    words = shlex.split(command)
    options = words[words.index(MODULE) + 1 :]
    values = dict(zip(options[::2], options[1::2], strict=True))
    return {option: values[f"--{option}"] for option in OPTIONS}


def leads_out(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def _is_code(path: str) -> bool:
    return PurePosixPath(path).parts[0] in provenance.CODE


def _sections(entry: Mapping[str, Any]) -> dict[str, Any]:
    return dict(entry.get("params", {}).get(str(PARAMS), {}))


def _merged(first: Execution, second: Execution) -> Execution:
    """Returns two records of one execution as one: the earlier time, all sections."""
    return replace(
        first,
        time=min(first.time, second.time),
        sections={**second.sections, **first.sections},
        experiment=first.experiment or second.experiment,
    )
