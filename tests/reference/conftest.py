"""Trained models in real frameworks, of a few numbers each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.frameworks import pytorch
from pipeline.reference.source import Source
from pipeline.training.model_faults import PYTHONS

Arrays = dict[str, np.ndarray]


def source(net: nn.Module, *outputs: str) -> Source:
    torch.manual_seed(0)
    optimizer = torch.optim.SGD([*net.parameters(), nn.Parameter(torch.ones(1))])
    training = pytorch.Training(
        net=net,
        loss=nn.MSELoss(),
        optimizer=optimizer,
        scheduler=None,
        clip_norm=None,
        device=torch.device("cpu"),
        inputs=("x",),
        outputs={name: name for name in outputs or ("y",)},
    )
    return Source(
        framework=pytorch,
        training=training,
        refusals=PYTHONS,
    )


@pytest.fixture
def write_data(tmp_path: Path) -> Callable[[Arrays], Path]:
    """Writes these rows as the splits that `prepare` makes, the first half the training's."""

    def write(inputs: Arrays) -> Path:
        data = tmp_path / "data"
        half = len(next(iter(inputs.values()))) // 2
        for split, rows in {"train": slice(None, half), "test": slice(half, None)}.items():
            (data / split / "inputs").mkdir(parents=True)
            for name, array in inputs.items():
                np.save(data / split / "inputs" / f"{name}.npy", array[rows])
            (data / split / "targets").mkdir()
            np.save(data / split / "targets/label.npy", np.zeros(half))
        described = ",".join(f'"{name}": {{}}' for name in inputs)
        schema = f'{{"inputs": {{{described}}}, "targets": {{"label": {{}}}}}}'
        (data / "schema.json").write_text(schema)
        return data

    return write
