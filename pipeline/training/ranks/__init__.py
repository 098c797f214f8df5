"""One training over several processes, the ranks: torch's own runtime starts them around the loop
that one process runs, and watches them; what is left behind is as of one process, but that each
epoch's checkpoint is a folder to which every rank wrote its part.

Whatever can be refused is refused here, before a rank is started.
"""

from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.params import TrainParams
from pipeline.data import arrays as prepared
from pipeline.training import checkpoints, parts, start
from pipeline.training.divisible import demand_divisible
from pipeline.training.epochs import demand_answers_at_the_ends
from pipeline.training.history import HISTORY, read_history
from pipeline.training.metrics import demand_metrics
from pipeline.training.parts import build
from pipeline.training.ranks.machines import machine
from pipeline.training.start import beginning
from pipeline.training.trial import demand_trainable


def train_over_ranks(data: Path, output: Path, params: TrainParams) -> None:
    """Writes epoch_0001.dcp and on, and history.csv; goes on from what a killed run left there."""
    from pipeline.training.ranks.launch import run

    machine(params.train.distributed)
    over_ranks = parts.epoch_module(params.model, params.train)
    demand_metrics(params.train.metrics, prepared.schema(data))
    history = read_history(output / HISTORY) if (output / HISTORY).is_file() else []
    done = checkpoints.last_epoch(over_ranks, output, history, params.train.keep)
    if not done:
        _demand_all(data, output, params)
    run(data, output, done, params.train)


def _demand_all(data: Path, output: Path, params: TrainParams) -> None:
    """Raises ParamsError or ModelError, one line, for what could not be trained over ranks; writes
    what is taken of the checkpoint in train.start."""
    framework = parts.framework_of(params.model)
    schema = prepared.schema(data)
    inputs, targets = prepared.split(data, "train")
    built = partial(build, params.model, params.train, schema, params.train.device, targets)
    begin = beginning(framework, params)
    demand_trainable(params, built, begin, data)
    training: Any = built()
    if taken := begin(training, inputs):
        start.write(output, taken)
    demand_answers_at_the_ends(framework, training, data, ("train", "val", "test"))
    demand_divisible(framework, training, data, params.train)
