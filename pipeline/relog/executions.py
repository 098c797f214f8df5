"""Every execution of log-to-mlflow that is known here, as the entry of dvc.lock that DVC wrote of
it.

An entry names by md5 all that was read and the report that was written. DVC keeps it in dvc.lock,
so in every commit, experiment and stash, and in its run cache, whatever became of dvc.lock.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import provenance
from pipeline.errors import ParamsError
from pipeline.project import PARAMS
from pipeline.resolve import dvc, git

STAGE = "log-to-mlflow"
MODULE = "pipeline.log_to_mlflow"
ARTIFACTS = ("complete-model", "checkpoint", "train", "data")
OPTIONS = (*ARTIFACTS, "verify-report", "report")
"""Of its command, each with a path; of the artifacts, then of single files."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    paths: Mapping[str, str]
    """Option of the command -> path."""
    md5: Mapping[str, str]
    """Path -> md5 as DVC has it, of everything but code."""
    sections: Mapping[str, Any]
    """Of params.yaml, as far as this entry and that of verify beside it tell."""
    time: int
    """Milliseconds since 1970, when DVC or git was told of it."""
    experiment: str | None
    where: str

    @property
    def model(self) -> str:
        """The md5 of the complete model's directory."""
        return self.md5[self.paths["complete-model"]]


def executions(root: Path) -> tuple[list[Execution], list[str]]:
    """Each once, however often it is named; and a line for each text that cannot be read."""
    found: dict[frozenset[tuple[str, str]], Execution] = {}
    faults = []
    for text, time, experiment, where in (*_git(root), *_run_cache(root), *_work_tree(root)):
        try:
            each = _execution(text, time, experiment, where)
        except (ParamsError, LookupError, TypeError, ValueError, AttributeError) as fault:
            said = fault if isinstance(fault, ParamsError) else f"{where}: {fault!r}"
            faults.append(f"{said}; expected an entry of {STAGE} as DVC writes it")
            continue
        if each:
            known = found.setdefault(frozenset(each.md5.items()), each)
            found[frozenset(each.md5.items())] = _one(known, each)
    return list(found.values()), faults


Told = tuple[bytes, int, str | None, str]
"""Text, time, experiment and where it was."""


def _work_tree(root: Path) -> Iterator[Told]:
    lock = root / dvc.LOCK
    if lock.is_file():
        time = int(lock.stat().st_mtime * 1000)
        yield dvc.part(lock.read_bytes(), "verify", STAGE), time, None, dvc.LOCK


def _git(root: Path) -> Iterator[Told]:
    """Of each text the earliest commit that has it, for later ones only hand it on."""
    versions = git.versions(root, dvc.LOCK)
    content = dict(git.blobs(root, sorted({blob for _, _, blob in versions})))
    names = {commit: name for name, commit, _ in git.experiments(root)}
    seen = set()
    for seconds, commit, blob in versions:
        text = dvc.part(content.get(blob, b""), "verify", STAGE)
        if text not in seen:
            seen.add(text)
            where = f"{dvc.LOCK} of commit {commit[:12]}"
            yield text, seconds * 1000, names.get(commit), where


def _run_cache(root: Path) -> Iterator[Told]:
    """An entry there does not name its stage."""
    for path in dvc.executed(root):
        text = path.read_bytes()
        if MODULE.encode() in text:
            within = b"".join(b"    " + line for line in text.splitlines(keepends=True))
            entry = b"stages:\n  %s:\n%s" % (STAGE.encode(), within)
            yield entry, int(path.stat().st_mtime * 1000), None, f"DVC's run cache, {path}"


def _execution(text: bytes, time: int, experiment: str | None, where: str) -> Execution | None:
    """None where the stage had not run. Raises for what is no entry of it."""
    stages = dvc.stages(text, where)
    entry = stages.get(STAGE)
    if entry is None:
        return None
    words = shlex.split(entry["cmd"])
    options = words[words.index(MODULE) + 1 :]
    given = dict(zip(options[::2], options[1::2], strict=True))
    named = (*entry["deps"], *entry["outs"])
    md5 = {e["path"]: e["md5"] for e in named if not _is_code(e["path"])}
    paths = {option: given[f"--{option}"] for option in OPTIONS}
    if lacking := set(paths.values()) - set(md5):
        raise ValueError(f"no md5 of {', '.join(sorted(lacking))}")
    if odd := [p for p, found in md5.items() if not dvc.MD5.fullmatch(found) or leads_out(p)]:
        raise ValueError(f"no path and md5 within the repository: {odd[0]}")
    sections = _sections(stages.get("verify", {})) | _sections(entry)
    if "tracking" not in sections:
        raise ValueError("no section tracking")
    return Execution(
        paths=paths,
        md5=md5,
        sections=sections,
        time=time,
        experiment=experiment,
        where=where,
    )


def leads_out(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts


def _is_code(path: str) -> bool:
    return PurePosixPath(path).parts[0] in provenance.CODE


def _sections(entry: Mapping[str, Any]) -> dict[str, Any]:
    return dict(entry.get("params", {}).get(str(PARAMS), {}))


def _one(first: Execution, second: Execution) -> Execution:
    """What both tell of one execution: the earlier time, all sections."""
    return replace(
        first,
        time=min(first.time, second.time),
        sections={**second.sections, **first.sections},
        experiment=first.experiment or second.experiment,
    )
