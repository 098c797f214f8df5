"""Loads the program that predicts; nothing but PyTorch's own operators runs."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from .._torch import predict, refusals
from .._zip_part import ZipPart
from ..changes import Changes
from ..contract import Arrays, Place
from . import _archive
from ._names import FILE, MODEL
from .screen import screen

__all__ = ["load", "load_changed", "refusals", "weights"]


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Returns a function of inputs by name. Raises ValueError where the file holds anything but
    PyTorch's own operators and plain tensors."""
    return load_changed(directory, [])


def load_changed(directory: Path, changes: Changes) -> Callable[[Arrays], Arrays]:
    """Returns the same of a file with these changes of weights, which no screen looks at."""
    import torch

    screen(directory)
    signature = _archive.signature(directory)
    inside = {offset: values for (_, offset, _, _), values in changes}
    # With the other programs torch would load each of them.
    with ZipPart(directory / FILE, _is_of_model, inside) as part:
        module = torch.export.load(part).module()  # type: ignore[arg-type]
    return partial(predict, module, signature=signature)


def _is_of_model(member: str) -> bool:
    _, folder, name = f"{member}//".split("/", 3)[:3]
    return folder != "models" or name == f"{MODEL}.json"


def weights(directory: Path) -> dict[str, Place]:
    """Returns where parameters, buffers and constants lie that are in one piece."""
    return _archive.places(directory)
