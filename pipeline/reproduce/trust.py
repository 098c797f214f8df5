"""Whose a commit is. Git says it: what a clone's own branches reach, or those of its own remote.

A tag, a stash, an experiment, what was fetched from somebody else's repository and what lies among
the objects by itself are not of the clone's own making.
"""

import contextlib
import fnmatch
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.config.yaml_text import load_yaml
from pipeline.errors import ParamsError
from pipeline.provenance import git

OWN = "origin"
NAME = re.compile(r"[\w.]+")


def is_own(root: Path, commit: str) -> bool:
    """Returns whether a branch of the clone, or of its own remote, has the commit in its
    history."""
    containing = git.line(root, "for-each-ref", f"--contains={commit}", *_NAMED) or ""
    return bool(set(containing.split()) & set(own_refs(root)))


def unnamed(root: Path, commit: str, targets: Iterable[str]) -> list[str]:
    """Returns those that no configuration in the commit names as a `_target_`.

    Parameters are a stranger's words too, and an older commit may call whatever they say.
    """
    listed = git.output(root, "grep", "-h", "-I", "-e", "_target_", commit, "--", "*.yaml") or b""
    words = set(NAME.findall(listed.decode(errors="replace")))
    return [name for name in targets if name not in words]


def commands(params: Mapping[str, object]) -> list[str]:
    """Returns the words that the parameters have a command of the training's own called with."""
    train = params.get("train")
    command = train.get("command") if isinstance(train, Mapping) else None
    if not isinstance(train, Mapping) or command is None:
        return []
    return [str(command), *texts(train.get("arguments"))]


def unsaid(root: Path, commit: str, words: Iterable[str]) -> list[str]:
    """Returns those words of a command, and of its arguments, that no configuration in the commit
    has as a name or a value: a whole program may stand in one."""
    patterns = ("-e", "command:", "-e", "arguments:")
    listed = git.line(root, "grep", "-l", "-I", *patterns, commit, "--", "*.yaml") or ""
    said: set[str] = set()
    for name in listed.splitlines():
        content = git.file_at(root, commit, name.removeprefix(f"{commit}:")) or b""
        with contextlib.suppress(ParamsError):
            said |= set(texts(load_yaml(content.decode(errors="replace"), name)))
    return [word for word in words if word not in said]


def texts(value: Any) -> list[str]:
    """Returns each text in a value of the parameters, names of keys as well."""
    if isinstance(value, Mapping):
        return [text for name, each in value.items() for text in (str(name), *texts(each))]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def base(root: Path, commit: str) -> str | None:
    """Returns the last commit of the clone's own that the history of `commit` has; None where they
    share none."""
    tips = [tip for ref in own_refs(root) if (tip := git.commit(root, ref))]
    shared = git.line(root, "merge-base", commit, *tips) if tips else None
    return shared if shared and git.is_id(shared) else None


_NAMED = ("--format=%(refname)", "refs/heads", "refs/remotes")


def own_refs(root: Path) -> list[str]:
    """Returns local branches, and those that stand for branches of the clone's own remote: that
    called origin, or the only one.

    A remote's other refs are anybody's, as refs/pull/ are: where they are fetched among its
    branches, they do not count.
    """
    remotes = (git.line(root, "remote") or "").split("\n")
    own = OWN if OWN in remotes else remotes[0] if len(remotes) == 1 else ""
    branches, others = _fetched(root, own) if own else ([], [])
    refs = (git.line(root, "for-each-ref", *_NAMED) or "").split()
    return [
        ref
        for ref in refs
        if ref.startswith("refs/heads/") or (_any(ref, branches) and not _any(ref, others))
    ]


def _fetched(root: Path, remote: str) -> tuple[list[str], list[str]]:
    """Returns where the remote's branches are put, and where its other refs."""
    branches: list[str] = []
    others: list[str] = []
    listed = git.line(root, "config", "--get-all", f"remote.{remote}.fetch") or ""
    for spec in listed.splitlines():
        source, _, target = spec.lstrip("+").partition(":")
        (branches if source.startswith("refs/heads/") else others).append(target)
    return branches, others


def _any(ref: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(ref, pattern) for pattern in patterns if pattern)
