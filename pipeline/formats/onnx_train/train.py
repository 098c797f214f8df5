"""Trains the format on."""

from pathlib import Path

from ..contract import Place
from ._files import STEP
from ._states import read
from ._trainer import Trainer


def load_training(directory: Path) -> Trainer:
    if not (directory / STEP).is_file():
        raise ValueError(f"onnx_train: {directory} holds no training step")
    return Trainer(directory)


def optimizer_state(directory: Path) -> dict[str, Place]:
    return {
        each["name"]: (each["file"], each["offset"], each["nbytes"], each["dtype"])
        for each in read(directory)["states"]
        if each["name"].startswith("optimizer/")
    }
