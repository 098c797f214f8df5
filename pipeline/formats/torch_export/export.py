"""Writes the programs, over one copy of the weights, and what it takes to train them on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._torch import check_evaluation_mode
from ..contract import Arrays
from . import _optimizer_file
from ._capture import capture, strip
from ._capture_training import capture_training
from ._names import MODEL
from ._write import write

if TYPE_CHECKING:
    from torch import nn


def export(
    model: "nn.Module",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    target: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Writes program `model` for any number of rows from 0 up; same model, same bytes, anywhere.

    With `training` (net, loss, optimizer, scheduler, clip_norm), whose net is the model, and an
    example of its `target` also programs `train` and `loss` and optimizer.pt; `seed` is of the
    random numbers of its next step. Raises ValueError in one line when the model does not fit.
    """
    check_evaluation_mode(model, "torch_export")
    programs = {MODEL: capture(model, inputs, outputs)}
    saved = None
    if training is not None:
        assert target is not None
        saved = _optimizer_file.content(training, seed)
        programs |= capture_training(training, inputs, target)
    for program in programs.values():
        strip(program)
    write(directory, programs, {"inputs": list(inputs), "outputs": outputs}, saved)
