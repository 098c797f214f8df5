"""A statement of provenance is written last in a directory, so its presence means: complete.

in-toto Statement v1 with SLSA's provenance predicate v1. There is no clock, host or user in it:
the same inputs give the same bytes, and a statement's own digest names an artifact.
"""

import contextlib
import hashlib
import json
import os
import platform
import site
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

NAME = "provenance.json"
PATCH = "source.patch"

# What a change in it does is recorded elsewhere: as parameters, as data, or not part of a run.
NOT_CODE = (
    *("conf", "params.yaml", "conf.lock.yaml", "dvc.lock", "data", "artifacts", "reports"),
    *("docs", "tests", "benchmarks", ".gitignore", "**/*.md", "**/*.dvc"),
)


def digest(path: Path) -> str:
    """sha256 of a file; a complete artifact is named by its statement, any other directory by
    the names and digests of the files in it."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    if (path / NAME).is_file():
        return digest(path / NAME)
    lines = (f"{digest(path / name)}  {name}\n" for name in files(path))
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
        "resolvedDependencies": [
            dict(code),
            *({"name": dep, "digest": {"sha256": digest(Path(dep))}} for dep in deps),
        ],
    }


def environment() -> dict[str, Any]:
    """The interpreter and every installed distribution, read from the names of their folders."""
    folders = [Path(folder) for folder in site.getsitepackages() if Path(folder).is_dir()]
    found = (info.name[: -len(".dist-info")] for f in folders for info in f.glob("*.dist-info"))
    pairs = sorted(name.rsplit("-", 1) for name in found)
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()}-{platform.machine()}".lower(),
        "packages": {name.lower().replace("_", "-"): version for name, version in pairs},
    }


def code(root: Path) -> tuple[dict[str, Any], bytes]:
    """The commit as a resolved dependency, and the patch from it to the work tree (b"" if clean).

    A tree outside git, or without a commit, has the commit null.
    """
    commit = _git(root, "rev-parse", "--verify", "--quiet", "HEAD").decode().strip() or None
    patch = _patch(root) if commit else b""
    named: dict[str, Any] = {"name": "git", "digest": {"gitCommit": commit}}
    if patch:
        named["annotations"] = {PATCH: hashlib.sha256(patch).hexdigest()}
    return named, patch


def _patch(root: Path) -> bytes:
    """New files count when they are Python, tracked or not: what is imported is code."""
    excluded = [f":(exclude,glob){path}" for path in NOT_CODE]
    excluded += [f":(exclude,glob){path}/**" for path in NOT_CODE]
    with tempfile.TemporaryDirectory() as scratch:
        index = Path(scratch) / "index"
        environ = {"GIT_INDEX_FILE": str(index)}
        _git(root, "read-tree", "HEAD", **environ)
        listed = ["ls-files", "--others", "--exclude-standard", "-z", "--", ":/*.py", *excluded]
        new = [name for name in _git(root, *listed, **environ).decode().split("\0") if name]
        if new:
            _git(root, "add", "--intent-to-add", "--", *new, **environ)
        form = ["--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv"]
        form += ["--src-prefix=a/", "--dst-prefix=b/", "--no-renames"]
        return _git(root, "diff", *form, "HEAD", "--", ":/", *excluded, **environ)


def _git(root: Path, *arguments: str, **environ: str) -> bytes:
    command = ["git", "-C", str(root), "-c", "core.quotePath=false", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    return done.stdout


def write(directory: Path, definition: Mapping[str, Any]) -> None:
    """Names every file that lies in the directory now; nothing may be written there afterwards."""
    subject = [
        {"name": name, "digest": {"sha256": digest(directory / name)}} for name in files(directory)
    ]
    write_atomically(directory / NAME, _sealed(subject, definition))


def _sealed(subject: list[dict[str, Any]], definition: Mapping[str, Any]) -> str:
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
        intact = _sealed(statement["subject"], definition) == (directory / NAME).read_text()
        subject = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
    except (ValueError, KeyError, TypeError, AttributeError) as fault:
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


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a path to write; afterwards `path` is that file, whole, or what it was before."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    with replacing(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)
