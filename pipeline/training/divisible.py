"""Over ranks or replicas the loss of a step is the mean of that of each one's rows: it must be that
of all."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import Train
from pipeline.data import arrays as prepared
from pipeline.errors import ParamsError
from pipeline.frameworks.contract import TrainingModule
from pipeline.training.epochs import epoch_batches
from pipeline.training.model_faults import translate_model_faults

ROUNDING = {"rel_tol": 1e-3, "abs_tol": 1e-6}


def demand_divisible(
    framework: TrainingModule[Any], training: Any, data: Path, train: Train
) -> None:
    """Raises ParamsError for a loss that compares rows with each other, or that is a mean over
    something else than rows: it would be another one with each number of ranks."""
    inputs, targets = prepared.split(data, "train")
    rows = epoch_batches(train, 1, prepared.count(inputs))[0][: train.batch_size]

    def loss_of(these: np.ndarray) -> float:
        batch = (prepared.rows_of(arrays, these) for arrays in (inputs, targets))
        with translate_model_faults(framework, "in some rows of a batch"):
            return framework.evaluate(training, *batch)[1]

    shares = [each for each in np.array_split(rows, train.distributed.processes) if len(each)]
    whole, mean = loss_of(rows), sum(len(each) * loss_of(each) for each in shares) / len(rows)
    if math.isfinite(whole) and not math.isclose(whole, mean, **ROUNDING):
        raise ParamsError(
            f"model.loss: is {whole:.6g} of a batch of {len(rows)} rows, and {mean:.6g} as the "
            f"mean over {len(shares)} parts of it; expected a mean over rows, which can be taken "
            "apart; or set train.distributed.processes=1"
        )
