"""A job is named by its values and a digest of what it is made from: parameters, code and data.

So a sweep that is started again knows what is finished, whichever sweep ran it.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.merge import composed
from pipeline.config.params import Params
from pipeline.config.reading import read
from pipeline.errors import CannotRun, ParamsError
from pipeline.project import CONF, CONF_LOCK, PARAMS
from pipeline.provenance import git
from pipeline.resolve import dvc as resolve_dvc
from pipeline.run import dvc_file

DIGITS, LONGEST_LABEL = 8, 40
FOLDER = Path("multirun")
"""Where sweeps keep clones and logs, each in a folder of its own."""
WRITTEN = (str(PARAMS), str(CONF_LOCK), resolve_dvc.LOCK)
"""What a run itself writes of what git tracks."""
AUTHOR = {
    **{f"GIT_{who}_NAME": "sweep" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "sweep@localhost" for who in ("AUTHOR", "COMMITTER")},
}
"""A commit that nobody sees needs no name of the user's."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What every job of a sweep starts from; edits that come later reach none of them."""

    root: Path
    """The repository that the runs come back to."""
    head: str
    """The commit that the experiments are based on."""
    tree: str
    """A commit of the work tree as it lay, with what git tracks and nobody has committed."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A job before it runs."""

    name: str
    overrides: tuple[str, ...]
    values: Mapping[str, Any]
    """As in params.yaml."""


def source(root: Path) -> Source:
    """Returns the work tree as it is now. Raises CannotRun where nothing was ever committed.

    Nothing of the user's changes: no branch or list of stashes has the commit, and no file differs.
    """
    head = git.commit(root, "HEAD")
    if head is None:
        raise CannotRun(f"{root}: found no commit, which experiments are based on; commit first")
    git.run(root, "update-index", "-q", "--refresh")  # `stash` fails where a time alone is another
    stash = git.run(root, "stash", "create", environ=AUTHOR)
    if stash.status:
        raise CannotRun(f"{root}: git stash create: {stash.last_error}; `git status` tells more")
    return Source(root=root, head=head, tree=stash.text or head)


def plan(source: Source, jobs: Sequence[Sequence[str]]) -> list[Planned]:
    """Returns a job for each list of overrides. Raises ParamsError, which names them, for what no
    run would begin with."""
    overrides = [tuple(each) for each in jobs]
    alike = set(overrides[0]).intersection(*overrides) if len(overrides) > 1 else set()
    return [_planned(source, each, [one for one in each if one not in alike]) for each in overrides]


def _planned(source: Source, overrides: tuple[str, ...], varied: Sequence[str]) -> Planned:
    try:
        values, _ = composed(CONF, list(overrides))
        read(Params, values)
    except ParamsError as error:
        raise ParamsError(f"{error} (job {' '.join(overrides)}; none was begun)") from None
    content = [values, _code(source, whole=bool(values["train"]["command"]))]
    name = f"{_label(varied)}-{digest_of(content)}"
    return Planned(name=name, overrides=overrides, values=values)


def name_of(source: Source, arguments: Sequence[str]) -> str:
    """Returns the name of a whole sweep: the same for the same command line over the same code."""
    return digest_of([sorted(arguments), _code(source, whole=True)])


def digest_in(name: str) -> str:
    """Returns the digest in a job's name."""
    return name.rpartition("-")[2]


def digest_of(content: Any) -> str:
    """Returns a short digest of what JSON holds."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _code(source: Source, whole: bool) -> list[str]:
    """Returns what git has of code and data: what dvc.yaml names, or all, for a command of the
    user's own may run anything. What conf/ says is in the values."""
    deps = {dep for stage in dvc_file.stages().values() for dep in stage.get("deps", [])}
    named = ["."] if whole else ["dvc.yaml", *sorted(deps)]
    listed = git.run(source.root, "ls-tree", "-r", source.tree, "--", *named).text
    files = [line for line in listed.splitlines() if line.partition("\t")[2] not in WRITTEN]
    return [line for line in files if not line.partition("\t")[2].startswith(f"{CONF}/")]


def _label(overrides: Sequence[str]) -> str:
    """Returns options and values in an order that does not hang on that of the command line, as
    far as a name of git's and of a file takes them: `torch_cnn-lr0.1`."""
    words = []
    for key, _, value in (each.lstrip("+~").partition("=") for each in sorted(overrides)):
        words.append(f"{key.rpartition('.')[2] if '.' in key else ''}{value}")
    text = re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(words))
    return re.sub(r"\.{2,}", ".", text)[:LONGEST_LABEL].strip("-.") or "run"
