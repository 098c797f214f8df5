"""Loads the format, which runs code from the file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from .._json import read_json
from .._torch import predict, refusals
from ..contract import Arrays, Place
from ..places import within
from ._names import FILE, INDEX

__all__ = ["load", "refusals", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns a function of inputs by name. Raises ModuleNotFoundError where the model's source
    cannot be imported."""
    import torch

    torch.backends.mha.set_fastpath_enabled(False)  # as it was trained, and bit for bit
    model = torch.load(directory / FILE, weights_only=False)
    answers = partial(predict, model, signature=_index(directory))

    def as_trained(inputs: Arrays) -> Arrays:
        with _as_traced():
            return answers(inputs)

    return as_trained


@contextmanager
def _as_traced() -> Iterator[None]:
    """Has a net that asks torch whether it is traced take the path that it was trained on."""
    from torch import compiler

    before = compiler._is_compiling_flag, compiler._is_exporting_flag
    compiler._is_compiling_flag = compiler._is_exporting_flag = True
    try:
        yield
    finally:
        compiler._is_compiling_flag, compiler._is_exporting_flag = before


def weights(directory: Path) -> dict[str, Place]:
    """Returns where each weight lies, as the index says: the archive's own table is a pickle."""
    path = directory / INDEX
    try:
        places = {name: (FILE, *place) for name, place in _index(directory)["weights"].items()}
        return within(places, directory, [FILE])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error}; do not use it") from error


def _index(directory: Path) -> dict[str, Any]:
    """Returns what the index holds, which is not read where it is larger than one can be."""
    path = directory / INDEX
    index: dict[str, Any] = read_json(path, (0, path.stat().st_size), str(path))
    return index
