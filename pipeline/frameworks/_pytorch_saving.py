"""A PyTorch training in a file, and out of it."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from . import _pytorch_adapter
from ._pytorch_groups import like_saved
from ._pytorch_mapping import lay
from ._pytorch_training import Training


def save(training: Training, path: Path) -> None:
    """Writes a checkpoint; the same state gives the same bytes, whatever the file is called."""
    _write(_whole(training), path)


def save_whole(training: Training, path: Path) -> None:
    """Writes a checkpoint with the weights that an adapter is of, too."""
    _write(_whole(training) | {"net": training.net.state_dict()}, path)


def snapshot(training: Training) -> Callable[[Path], None]:
    """Returns what writes the checkpoint of now, of a copy, which shares what its tensors share."""
    return partial(_write, copy.deepcopy(_whole(training)))


def _whole(training: Training) -> dict[str, Any]:
    """Returns all that a training is, but for the weights that an adapter is of."""
    if training.adapter is not None:
        net = _pytorch_adapter.changing(training.net)
    else:
        net = training.predicting.net.state_dict()
    state = {
        "net": net,
        "loss": training.loss.state_dict(),
        "optimizer": training.optimizer.state_dict(),
        "scheduler": training.scheduler.state_dict() if training.scheduler else None,
    }
    if training.average is not None:
        state["trained"] = training.net.state_dict()
        state["average"] = {"epochs": training.average.epochs, "steps": training.average.steps}
    if training.scaler is not None:
        state["scaling"] = training.scaler.state_dict()
    return state


def _write(state: dict[str, Any], path: Path) -> None:
    path.unlink(missing_ok=True)  # what is mapped is not written over
    with path.open("wb") as file:  # a path instead would put its name into the archive
        torch.save(state, file)


def load(training: Training, path: Path) -> None:
    """Reads what `save` wrote. Raises ValueError for another net's file."""
    # On the CPU a tensor is read when it is looked at: the file may go, and is not written over.
    state = torch.load(path, map_location=training.device, weights_only=True, mmap=True)
    try:
        if training.average is not None:
            lay(training.average.net, state["net"])
            training.average.restore(state)
        trained = state["trained"] if training.average is not None else state["net"]
        if training.adapter is None:
            lay(training.net, trained)
            training.net.load_state_dict(trained)
        else:
            _pytorch_adapter.load(training.net, trained)
        training.loss.load_state_dict(state["loss"])
        like_saved(training, state["optimizer"]["param_groups"])
        training.optimizer.load_state_dict(state["optimizer"])
    except (RuntimeError, ValueError) as fault:
        raise ValueError(f"{path}: of another model: {' '.join(str(fault).split())}") from None
    if training.scheduler is not None:
        training.scheduler.load_state_dict(state["scheduler"])
    if training.scaler is not None:
        training.scaler.load_state_dict(state["scaling"])
