"""What a process is given: arrays in .npz files, and the rows of the test split."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from .job import Job
from .report import Arrays


def arrays(path: str) -> Arrays:
    """Returns all arrays of a file."""
    with np.load(path) as file:
        return {name: file[name] for name in file}


def inputs_of(path: Path) -> Arrays:
    """Returns a batch's inputs by name."""
    with np.load(path) as file:
        return {k.removeprefix("input."): file[k] for k in file if k.startswith("input.")}


def rows_of_step(data: Arrays, step: int) -> Arrays:
    """Returns a step's inputs and targets, each as large as its own largest row."""
    rows, result = data["step"] == step, {}
    for name, array in data.items():
        if is_target(name) or name.startswith("input."):
            sizes = data.get(f"size.{name}")
            own = () if sizes is None else map(slice, np.atleast_1d(sizes[step]))
            result[name] = array[(rows, *own)]
    return result


def is_target(name: str) -> bool:
    """Returns whether an array is a target's, which is named target.<name>; before targets had
    names there was one."""
    return name == "target" or name.startswith("target.")


def of_test(job: Job, name: str, path: Path) -> Any:
    """Returns an input of the test split, mapped: an array, or what gives rows as one."""
    if name not in job.varying:
        return _mapped(path)
    read, folder = importlib.import_module("ragged").read, path.parents[1]
    return read(folder, path.parent.name, name, job.varying[name], _mapped)


def _mapped(path: Path) -> np.ndarray:
    values: np.ndarray = np.load(path, mmap_mode="r")
    return values
