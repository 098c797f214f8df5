"""A statement of provenance is written last in a directory, so its presence means: complete.

in-toto Statement v1 with SLSA's provenance predicate v1. There is no clock, host or user in it:
the same inputs give the same bytes, and a statement's own digest names an artifact.
"""

import hashlib
import json
import os
import platform
import re
import site
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.files import write_atomically

NAME = "provenance.json"
PATCH = "source.patch"

# What a change in it does is recorded elsewhere: as parameters, as data, or not part of a run.
NOT_CODE = (
    *("conf", "params.yaml", "conf.lock.yaml", "dvc.lock", "data", "artifacts", "reports"),
    *("docs", "tests", "benchmarks", "faults", ".gitignore", "**/*.md", "**/*.dvc"),
)

OWN = "complete_models"
"""The distribution that is this project: it is named by its code, not by a version."""

CODE = ("models", "pipeline")
"""What lies in them is read when a stage runs, whatever it is and whether git is told of it."""

LISTED = 1000
"""A directory with more files than this is named by its digest alone."""

# The settings that a user's git can have, so that the same trees give the same patch.
DIFF = (
    *("--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--inter-hunk-context=0"),
    *("--diff-algorithm=myers", "--indent-heuristic", "-O/dev/null", "--ignore-submodules=none"),
)


def digest(path: Path) -> str:
    """sha256 of a file; a complete artifact is named by its statement, any other directory by
    the names and digests of the files in it."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if (path / NAME).is_file():
        return digest(path / NAME)
    return folded(_contents(path))


def _contents(directory: Path) -> dict[str, str]:
    """File -> sha256; without what git and DVC note there, so that data are the same whichever of
    the two keeps them."""
    return {name: digest(directory / name) for name in files(directory) if counts(name)}


def counts(name: str) -> bool:
    """Whether a file below a directory that is no artifact is part of its digest; notes are not,
    which no patch of `code` would bring back."""
    return not name.endswith((".dvc", ".gitignore", ".md")) and "__pycache__" not in name.split("/")


def folded(contents: Mapping[str, str]) -> str:
    lines = (f"{found}  {name}\n" for name, found in contents.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def files(directory: Path) -> list[str]:
    """Relative names of the files below, sorted, but for the statement and Python's caches."""
    found = (path for path in directory.rglob("*") if not path.is_dir())
    names = (path.relative_to(directory) for path in found)
    return sorted(n.as_posix() for n in names if "__pycache__" not in n.parts and str(n) != NAME)


def build_definition(
    stage: str, params: Mapping[str, Any], deps: Iterable[str], code: Mapping[str, Any]
) -> dict[str, Any]:
    """What an output is made from, as SLSA's buildDefinition; `deps` are paths that exist."""
    return {
        "buildType": "urn:complete-models:stage:v1",
        "externalParameters": {"stage": stage, "params": params},
        "internalParameters": environment(),
        "resolvedDependencies": [dict(code), *map(_dependency, deps)],
    }


def _dependency(name: str) -> dict[str, Any]:
    """A directory that is no artifact is named with the digest of each file in it."""
    path = Path(name)
    if not path.is_dir() or (path / NAME).is_file():
        return {"name": name, "digest": {"sha256": digest(path)}}
    contents = _contents(path)
    named: dict[str, Any] = {"name": name, "digest": {"sha256": folded(contents)}}
    if len(contents) <= LISTED:
        named["annotations"] = {"files": contents}
    return named


def environment() -> dict[str, Any]:
    """The interpreter and every installed distribution but this project itself, read from the names
    of their folders."""
    folders = [Path(folder) for folder in site.getsitepackages() if Path(folder).is_dir()]
    found = (info.name[: -len(".dist-info")] for f in folders for info in f.glob("*.dist-info"))
    pairs = sorted(name.rsplit("-", 1) for name in found)
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
        "packages": {
            name.lower().replace("_", "-"): version for name, version in pairs if name != OWN
        },
    }


def code(root: Path) -> tuple[dict[str, Any], bytes]:
    """The commit as a resolved dependency, and the patch from it to the work tree (b"" if clean).

    A tree outside git, or without a commit, has the commit null. Raises PipelineError where there
    is a repository that git cannot read.
    """
    commit = _commit(root)
    patch = _patch(root) if commit else b""
    named: dict[str, Any] = {"name": "git", "digest": {"gitCommit": commit}}
    if patch:
        named["annotations"] = {PATCH: hashlib.sha256(patch).hexdigest()}
    return named, patch


def _commit(root: Path) -> str | None:
    above = (root.resolve(), *root.resolve().parents)
    if not any((path / ".git").exists() for path in above):
        return None
    _git(root, "rev-parse", "--git-dir")
    head = ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"]
    return _git(root, *head, codes=(0, 1)).decode().strip() or None


def _patch(root: Path) -> bytes:
    """New files count when they are Python, tracked or not: what is imported is code. In CODE every
    file does, but for what git is told to ignore and is not Python."""
    excluded = [f":(exclude,glob){path}" for path in NOT_CODE]
    excluded += [f":(exclude,glob){path}/**" for path in NOT_CODE]
    folders = [path for path in CODE if (root / path).is_dir()]
    with tempfile.TemporaryDirectory() as scratch:
        environ = {**os.environ, "GIT_INDEX_FILE": str(Path(scratch) / "index")}
        _git(root, "read-tree", "HEAD", environ=environ)
        others = ["ls-files", "--full-name", "--others", "--exclude-standard", "-z"]
        asked = [[*others, "--", ":/*.py", *folders, *excluded]]
        asked += [[*others, "--ignored", "--", *(f"{path}/*.py" for path in folders)]] * bool(
            folders
        )
        listed = b"".join(_git(root, *each, environ=environ) for each in asked)
        if new := [f":(top,literal){name}" for name in listed.decode().split("\0") if name]:
            _git(root, "add", "--force", "--intent-to-add", "--", *new, environ=environ)
        return _git(root, "diff", *DIFF, "HEAD", "--", ":/", *excluded, environ=environ)


def patched(patch: bytes) -> list[str]:
    """The files that a patch of `code` changes, makes or removes."""
    lines = re.findall(rb'^diff --git "?a/.*? "?b/(.*?)"?$', patch, re.MULTILINE)
    return [name.decode(errors="replace") for name in lines]


def _git(
    root: Path,
    *arguments: str,
    codes: tuple[int, ...] = (0,),
    environ: Mapping[str, str] = os.environ,
) -> bytes:
    """What git printed. Raises PipelineError with its own words: silence would pass for clean."""
    settings = ["-c", "core.quotePath=false", "-c", "diff.suppressBlankEmpty=false"]
    command = ["git", "-C", str(root), *settings, *arguments]
    try:
        done = subprocess.run(command, env=environ, capture_output=True)
    except FileNotFoundError:
        raise PipelineError(
            f"{root}: is a git repository, but there is no git; install it"
        ) from None
    if done.returncode not in codes:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise PipelineError(
            f"{root.resolve()}: git {arguments[0]}: {said}; `git status` tells more"
        )
    return done.stdout


def write(directory: Path, definition: Mapping[str, Any], without: str | None = None) -> None:
    """Names every file that lies in the directory now, but for `without`, which is to go; nothing
    may be written there afterwards."""
    names = [name for name in files(directory) if name != without]
    subject = [{"name": name, "digest": {"sha256": digest(directory / name)}} for name in names]
    write_atomically(directory / NAME, sealed(subject, definition))


def sealed(subject: list[dict[str, Any]], definition: Mapping[str, Any]) -> str:
    """The statement's text; its invocationId is the digest of all the rest, so no bit of it can
    change unnoticed."""
    details: dict[str, Any] = {"builder": {"id": "urn:complete-models:pipeline"}}
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject,
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {"buildDefinition": definition, "runDetails": details},
    }
    plain = json.dumps(statement, indent=1, ensure_ascii=False)
    seal = hashlib.sha256(plain.encode()).hexdigest()
    details["metadata"] = {"invocationId": f"sha256:{seal}"}
    return json.dumps(statement, indent=1, ensure_ascii=False) + "\n"


def read(directory: Path) -> dict[str, Any]:
    """The statement. Raises FileNotFoundError where there is none."""
    statement: dict[str, Any] = json.loads((directory / NAME).read_text())
    return statement


def params(directory: Path) -> dict[str, Any]:
    """The parameters that the directory's stage ran with."""
    recorded: dict[str, Any] = read(directory)["predicate"]["buildDefinition"]
    found: dict[str, Any] = recorded["externalParameters"]["params"]
    return found


def faults(directory: Path) -> list[str]:
    """Every way in which the bytes at hand differ from the statement: missing, extra, changed."""
    if not (directory / NAME).is_file():
        return [f"{directory / NAME}: missing, so the directory is not complete"]
    try:
        statement = read(directory)
        definition = statement["predicate"]["buildDefinition"]
        intact = sealed(statement["subject"], definition) == (directory / NAME).read_text()
        subject = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as fault:
        return [f"{directory / NAME}: changed: no statement can be read from it ({fault})"]
    if not intact:  # then it vouches for nothing, and no other file can be judged by it
        return [f"{directory / NAME}: changed: its seal does not fit its content"]
    present = set(files(directory))
    found = [f"{directory / name}: missing" for name in subject if name not in present]
    found += [f"{directory / name}: not in the statement" for name in present - set(subject)]
    for name in present & set(subject):
        actual = digest(directory / name)
        if actual != subject[name]:
            text = f"changed: sha256 is {actual}, the statement has {subject[name]}"
            found.append(f"{directory / name}: {text}")
    return sorted(found)
