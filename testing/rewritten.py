"""The workers of a run rewrite the asserts of each test file once between them.

pytest keeps what it has made of a file beside it. Where nothing is kept yet, as in a fresh clone,
each worker makes the same of every file, and all at the same time.
"""

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from _pytest.assertion import rewrite


def rewrite_share(config: pytest.Config) -> None:
    """Has a worker rewrite every nth file of n workers before it collects what all have made."""
    number = int(config.workerinput["workerid"].removeprefix("gw"))  # type: ignore[attr-defined]
    count = config.workerinput["workercount"]  # type: ignore[attr-defined]
    rewrite_files(config, asked_for(config)[number::count])


def asked_for(config: pytest.Config) -> list[Path]:
    """Returns the test files below the folders that pytest was given, but for ignored ones."""
    folders = [Path(each) for each in config.args if Path(each).is_dir()]
    ignored = [Path(each).resolve() for each in config.getoption("ignore") or ()]
    files = {file.resolve() for folder in folders for file in folder.rglob("test_*.py")}
    return sorted(f for f in files if not any(f.is_relative_to(each) for each in ignored))


def rewrite_files(config: pytest.Config, files: Iterable[Path]) -> None:
    """Makes what pytest's import of a file would make, where it is not there; imports nothing. A
    file that is no Python is left to the collection, which says so."""
    state = config.stash[rewrite.assertstate_key]
    for file in () if sys.dont_write_bytecode else files:
        made = rewrite.get_cache_dir(file) / f"{file.stem}{rewrite.PYC_TAIL}"
        if not rewrite._read_pyc(file, made) and rewrite.try_makedirs(made.parent):
            with contextlib.suppress(SyntaxError):
                source, code = rewrite._rewrite_test(file, config)
                rewrite._write_pyc(state, code, source, made)
