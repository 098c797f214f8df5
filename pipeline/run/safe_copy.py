"""What a killed stage goes on from, where DVC does not reach it: `dvc exp run` and `dvc checkout`
replace an unfinished output with the last finished one, or with nothing.

Beside the output, as hard links: no bytes are written, and a file removed there stays here.
"""

import os
import shutil
from pathlib import Path


def keep(output: Path) -> None:
    """The files of the output as they are now, and no others."""
    place = place_of(output)
    place.mkdir(exist_ok=True)
    found = {path.name: path for path in output.iterdir() if path.is_file()}
    for name, path in found.items():
        there = place / name
        if not (there.exists() and there.samefile(path)):
            partial = place / f"{name}.partial"
            partial.unlink(missing_ok=True)
            _link(path, partial)
            partial.replace(there)
    for path in place.iterdir():
        if path.name not in found:
            path.unlink()


def bring_back(output: Path, mark: str) -> None:
    """Where the output has lost `mark`, which stands in an unfinished one, and it was kept."""
    place = place_of(output)
    if (place / mark).is_file() and not (output / mark).is_file():
        print(f"{output}: unfinished work is back from {place}", flush=True)
        whole = output.with_name(f".{output.name}.back")
        for old in (whole, output):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(place, whole, copy_function=_link)
        whole.rename(output)


def drop(output: Path) -> None:
    shutil.rmtree(place_of(output), ignore_errors=True)


def place_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.kept")


def _link(source: str | Path, target: str | Path) -> None:
    """A copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
