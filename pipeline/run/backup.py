"""A backup of an unfinished output lies where DVC does not reach it.

`dvc exp run` and `dvc checkout` replace an unfinished output with the last finished one, or with
nothing. The backup lies beside the output as hard links: no bytes are written, and a file that is
removed from the output stays in it.
"""

import contextlib
import shutil
from pathlib import Path

from pipeline import written


def update(output: Path) -> None:
    """Makes the backup hold the output's files as they are now, and no others."""
    backup = path_of(output)
    backup.mkdir(exist_ok=True)
    files = {path.relative_to(output): path for path in output.rglob("*") if path.is_file()}
    for name, path in files.items():
        copy = backup / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not (copy.exists() and copy.samefile(path)):
            partial = copy.with_name(f"{copy.name}.partial")
            partial.unlink(missing_ok=True)
            written.link(path, partial)
            written.replace(partial, copy)
    for path in sorted(backup.rglob("*"), reverse=True):  # what lies in a folder before it
        if path.is_dir():
            with contextlib.suppress(OSError):  # it holds something
                path.rmdir()
        elif path.relative_to(backup) not in files:
            path.unlink()


def restore(output: Path, marker: str) -> None:
    """Brings back an output that has lost `marker`, the file that an unfinished one has."""
    backup = path_of(output)
    if (backup / marker).is_file() and not (output / marker).is_file():
        print(f"{output}: unfinished work is back from {backup}", flush=True)
        whole = output.with_name(f".{output.name}.back")
        for old in (whole, output):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(backup, whole, copy_function=_link)
        whole.rename(output)


def remove(output: Path) -> None:
    for copy in path_of(output).rglob("*"):
        if copy.is_file():
            written.unlink(copy, output / copy.relative_to(path_of(output)))
    shutil.rmtree(path_of(output), ignore_errors=True)


def path_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.kept")


def _link(source: str | Path, target: str | Path) -> None:
    written.link(Path(source), Path(target))
