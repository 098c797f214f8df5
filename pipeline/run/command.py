"""A command of the user's own in the place of the training loop: the code that it runs, and what is
set in its environment.

`compose` and the stages' wrapper ask for both, so nothing is imported here that trains.
"""

import ast
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline import provenance
from pipeline.errors import ParamsError
from pipeline.project import TRAIN
from pipeline.provenance import git
from pipeline.run import dvc_file, start

MADE = ("artifacts", "reports", ".venv", ".git", ".dvc")
"""Places whose files are no code of anybody's."""


def code(params: Mapping[str, Any]) -> list[str]:
    """Returns the files that the command names, the modules of the repository that these import,
    and what train.code names, as far as dvc.yaml does not; none without a command.

    Raises ParamsError for a script or an entry that is not there, or lies elsewhere.
    """
    train = params["train"]
    if not train.get("command"):
        return []
    paths = [_entry(each) for each in train["code"]]
    paths += imported(_named(train["command"]))
    covered = [*dvc_file.deps(TRAIN), start.READERS]
    own = _outermost(path for path in paths if not _within(path, covered))
    return sorted([start.READERS, *own])


def code_digest(params: Mapping[str, Any]) -> str | None:
    """Returns a sha256 of that code, for DVC to compare; None without a command."""
    digests = {path: provenance.digest(Path(path)) for path in code(params)}
    return provenance.folded(digests) if digests else None


def variables(train: Mapping[str, Any]) -> dict[str, str]:
    """Returns what is set in the command's environment and can change what it comes to: seeds,
    threads, determinism."""
    seed, threads = train["seed"], str(train["threads"])
    values = {"PYTHONHASHSEED": str(seed % 2**32), "SEED": str(seed), "PL_GLOBAL_SEED": str(seed)}
    values |= dict.fromkeys(THREADS, threads)
    values |= {"CUBLAS_WORKSPACE_CONFIG": ":4096:8", "TF_DETERMINISTIC_OPS": "1"}
    return values | ({"CUDA_VISIBLE_DEVICES": ""} if train["device"] == "cpu" else {})


THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"),
)


def demand_recorded(paths: Iterable[str]) -> None:
    """Raises ParamsError for a file among the code that neither git nor the patch beside a
    statement would have: nobody could make the model again."""
    listed = list(paths)
    if not listed or not git.is_repository(Path()):
        return
    lost = set(_untracked(listed)) - {
        name for name in _untracked(listed, "--exclude-standard") if name.endswith(".py")
    }
    for name in sorted(lost):
        if provenance.counts(name):
            raise ParamsError(
                f"train.code: found {name}, which git does not track, so that the model could not "
                f"be made again from its statement; `git add --force {name}`"
            )


def _untracked(paths: list[str], *options: str) -> list[str]:
    listed = git.output(Path(), "ls-files", "--others", *options, "-z", "--", *paths) or b""
    return [name for name in listed.decode(errors="surrogateescape").split("\0") if name]


def _named(command: str) -> Iterator[str]:
    """Yields the files of the repository among the command's words, and the module behind `-m`."""
    words = shlex.split(command)
    for before, word in zip(["", *words], words, strict=False):
        if before == "-m" and (module := _module(word, [Path()])):
            yield module.as_posix()
            continue
        path = PurePosixPath(word.rpartition("=")[2])
        inside = _is_inside(path) and path.parts[0] not in MADE
        if path.suffix == ".py" and not (inside and Path(path).is_file()):
            raise ParamsError(
                f"train.command: found {word}, expected a file in the repository, counted from its "
                "root: what runs outside of it could not be run again"
            )
        if inside and Path(path).is_file():
            yield path.as_posix()


def _entry(entry: str) -> str:
    path = PurePosixPath(entry)
    if not _is_inside(path) or path.parts[0] in MADE or not Path(path).exists():
        raise ParamsError(
            f"train.code: found {entry}, expected a file or folder in the repository, counted from "
            "its root"
        )
    return path.as_posix()


def _is_inside(path: PurePosixPath) -> bool:
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def imported(scripts: Iterable[str]) -> list[str]:
    """Returns the files, and all that the Python ones import of the repository, those within
    functions included. What is imported by a name that is put together is not among them."""
    reached: set[str] = set()
    waiting = list(scripts)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += _imports(Path(name)) if name.endswith(".py") else ()
    return sorted(reached)


def _imports(file: Path) -> Iterator[str]:
    """Yields the modules that a file imports, looked for beside it and in the root, as Python does
    there."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError) as fault:
        raise ParamsError(f"{file}: no Python: {fault}; correct it") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names, places = [alias.name for alias in node.names], [file.parent, Path()]
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            names = [f"{base}{alias.name}" for alias in node.names]
            above = [file, *file.parents][node.level : node.level + 1] if node.level else []
            places = above or [file.parent, Path()]
        else:
            continue
        for name in names:
            yield from (path.as_posix() for path in _modules(name, places))


def _modules(name: str, places: list[Path]) -> Iterator[Path]:
    """Yields the module, or that which holds it, and each package that it lies in."""
    parts = name.split(".")
    for length in range(1, len(parts) + 1):
        if path := _module(".".join(parts[:length]), places):
            yield path


def _module(name: str, places: list[Path]) -> Path | None:
    for place in places:
        path = place.joinpath(*name.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file() and file.parts[0] not in MADE:
                return file
    return None


def _outermost(paths: Iterable[str]) -> list[str]:
    """Leaves out what lies in a folder that is named too."""
    listed = sorted(set(paths))
    return [each for each in listed if not _within(each, [p for p in listed if p != each])]


def _within(path: str, places: Iterable[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)
