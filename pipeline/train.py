"""Trains epoch by epoch; after each, a checkpoint from which the rest comes out bit for bit."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.distributed_params import ranks, replicas
from pipeline.config.params import Train, TrainParams
from pipeline.data import arrays as prepared
from pipeline.files import replacing
from pipeline.frameworks.contract import TrainingModule
from pipeline.run import parent, resume_state, stage
from pipeline.run.made_here import Clock
from pipeline.training import checkpoints, parts, start
from pipeline.training.deciding import Deciding
from pipeline.training.decision import Decision
from pipeline.training.divisible import demand_divisible
from pipeline.training.epochs import demand_answers_at_the_ends, judge
from pipeline.training.history import HISTORY, Row, read_history, write_history
from pipeline.training.loop import Loop, demand_finite, report
from pipeline.training.metrics import demand_metrics
from pipeline.training.other_ranks import tell_how_to_go_on
from pipeline.training.parts import build
from pipeline.training.recomputed import demand_recomputed
from pipeline.training.start import beginning
from pipeline.training.trial import demand_trainable


def train(data: Path, models: Path, output: Path, params: TrainParams) -> None:
    """Writes epoch_0001.pt and on, and history.csv; goes on from what a killed run left there."""
    tell_how_to_go_on(output, params.train)
    if ranks(params.model, params.train) > 1:
        from pipeline.training.ranks import train_over_ranks

        train_over_ranks(data, output, params)
        return
    clock = Clock(output / HISTORY, params.train.device)
    if params.train.command is not None:
        from pipeline.training.by_command import train_by_command

        train_by_command(data, output, params, clock)
        return
    framework = parts.training_module(params.model, params.train)
    training, decisions, history = _start(framework, data, output, params)
    if not params.train.epochs:
        _write_as_it_came(framework, training, data, output, params.train, decisions, clock)
    Loop(framework, training, decisions, history, data, output, params.train, clock).run()


def _write_as_it_came(
    framework: TrainingModule[Any],
    training: Any,
    data: Path,
    output: Path,
    train: Train,
    decisions: Mapping[str, Decision],
    clock: Clock,
) -> None:
    """Writes history and checkpoint of epoch 0: of a model that no epoch changes."""
    row = {"epoch": 0, **judge(framework, training, data, "val", train, decisions)}
    demand_finite(row)
    write_history(output / HISTORY, [row])
    clock.mark()
    path = checkpoints.epoch_file(framework, output, 0)
    with replacing(path) as partial:
        framework.save(training, partial)
    resume_state.save(output, path)
    report(row, 0)


def _start(
    framework: TrainingModule[Any], data: Path, output: Path, params: TrainParams
) -> tuple[Any, dict[str, Decision], list[Row]]:
    """Returns the training before its next epoch, and the history up to it: from the last whole
    checkpoint in `output`, or from the beginning, once a batch has shown that it can be trained."""
    schema = prepared.schema(data)
    inputs, targets = prepared.split(data, "train")
    demand_metrics(params.train.metrics, schema)
    copies = replicas(params.model, params.train)

    def built() -> Any:
        return build(params.model, params.train, schema, params.train.device, targets, copies)

    begin = beginning(framework, params)
    history = read_history(output / HISTORY) if (output / HISTORY).is_file() else []
    done = checkpoints.last_epoch(framework, output, history, params.train.keep)
    history = history[:done]
    if not done and params.train.parent is None and not params.model.program:
        demand_trainable(params, built, begin, data)
    training = built()
    if done:
        if params.train.adapts:
            begin(training, inputs)
        framework.load(training, checkpoints.epoch_file(framework, output, done))
    else:
        taken = begin(training, inputs)
        if taken:
            start.write(output, taken)
        demand_answers_at_the_ends(framework, training, data, ("train", "val", "test"))
        if copies > 1:
            demand_divisible(framework, training, data, params.train)
    decisions = Deciding(training, params.model, params.train, schema, inputs, targets).of_metrics()
    if done:
        exact = params.train.device == "cpu"
        given = (framework, training, data, "val", params.train, decisions)
        demand_recomputed(partial(judge, *given), history[-1], exact)
        print(f"going on after epoch {done}", flush=True)
    return training, decisions, history


if __name__ == "__main__":
    stage.main(train, resumes=True, code_by_params=parent.code_of_training)
