"""Trains epoch by epoch; after each, a checkpoint from which the rest comes out bit for bit."""

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.params import EarlyStopping, Train, TrainParams
from pipeline.data import arrays as prepared
from pipeline.errors import Diverged
from pipeline.files import replacing
from pipeline.frameworks.contract import TrainingModule
from pipeline.run import parent, resume_state, signals, stage
from pipeline.run.made_here import Clock
from pipeline.training import checkpoints, parts, start
from pipeline.training.deciding import Deciding
from pipeline.training.decision import Decision
from pipeline.training.epochs import (
    demand_answers_at_the_ends,
    end_epoch,
    epoch_batches,
    judge,
    mean_loss,
    steps,
)
from pipeline.training.history import HISTORY, Row, best_epoch, read_history, write_history
from pipeline.training.metrics import demand_metrics
from pipeline.training.parts import build, seed
from pipeline.training.recomputed import demand_recomputed
from pipeline.training.start import beginning
from pipeline.training.trial import demand_trainable
from pipeline.training.writer import Writer, writing

COPIED = 1 << 28
"""Bytes of a checkpoint up to which it is written from a copy. The epochs of a larger model are
longer than the writing, and a copy would cost memory."""


def train(data: Path, models: Path, output: Path, params: TrainParams) -> None:
    """Writes epoch_0001.pt and on, and history.csv; goes on from what a killed run left there."""
    clock = Clock(output / HISTORY, params.train.device)
    if params.train.command is not None:
        from pipeline.training.by_command import train_by_command

        train_by_command(data, output, params, clock)
        return
    framework = parts.training_module(params.model, params.train)
    training, decisions, history = _start(framework, data, output, params)
    before = parts.epochs_before(params.train)
    inputs, targets = prepared.split(data, "train")
    losses = checkpoints.load_within(framework, training, output, len(history) + 1)
    if not params.train.epochs:
        _write_as_it_came(framework, training, data, output, params.train, decisions, clock)
    with writing() as writer:
        while not _has_ended(history, params.train):
            epoch = len(history) + 1
            batches = epoch_batches(params.train, before + epoch, prepared.count(inputs))
            if not losses:
                framework.seed(seed(params.train.seed, before + epoch), training)
            with signals.deferred() as pending:
                with _progress(params.train.epochs, len(batches), losses, history) as progress:
                    for loss in steps(framework, training, inputs, targets, batches, losses):
                        progress(loss)
                        writer.raise_fault()
                        if pending:
                            writer.finish()
                            checkpoints.save_within(framework, training, output, epoch, losses)
                            pending.raise_if_set()
                row = {"epoch": epoch, "train/loss": mean_loss(losses, batches)}
                row |= judge(framework, training, data, "val", params.train, decisions)
                _demand_finite(row)
                end_epoch(framework, training, row["val/loss"])
                history.append(row)
                _write(writer, framework, training, output, history, params.train, clock)
                pending.raise_if_set()
            losses = []


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
    _demand_finite(row)
    write_history(output / HISTORY, [row])
    clock.mark()
    path = checkpoints.epoch_file(framework, output, 0)
    with replacing(path) as partial:
        framework.save(training, partial)
    resume_state.save(output, path)
    _report(row, 0)


def _has_ended(history: list[Row], train: Train) -> bool:
    return len(history) >= train.epochs or _stops(history, train.early_stopping)


def _write(
    writer: Writer,
    framework: TrainingModule[Any],
    training: Any,
    output: Path,
    history: list[Row],
    train: Train,
    clock: Clock,
) -> None:
    """Writes history and checkpoint of the last epoch, and tells of it then: from a copy while
    training goes on, where the checkpoint before it was small."""
    writer.finish()
    before = checkpoints.epoch_file(framework, output, len(history) - 1)
    small = before.is_file() and before.stat().st_size <= COPIED
    write = framework.snapshot(training) if small else partial(framework.save, training)
    rows = list(history)

    def job() -> None:
        write_history(output / HISTORY, rows)
        clock.mark()
        checkpoints.save_epoch(framework, write, output, rows, train.keep)
        _report(rows[-1], train.epochs)

    writer.begin(job)
    if not small:
        writer.finish()


def _start(
    framework: TrainingModule[Any], data: Path, output: Path, params: TrainParams
) -> tuple[Any, dict[str, Decision], list[Row]]:
    """Returns the training before its next epoch, and the history up to it: from the last whole
    checkpoint in `output`, or from the beginning, once a batch has shown that it can be trained."""
    schema = prepared.schema(data)
    inputs, targets = prepared.split(data, "train")
    demand_metrics(params.train.metrics, schema)

    def built() -> Any:
        return build(params.model, params.train, schema, params.train.device, targets)

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
    decisions = Deciding(training, params.model, params.train, schema, inputs, targets).of_metrics()
    if done:
        exact = params.train.device == "cpu"
        demand_recomputed(framework, training, data, params.train, decisions, history[-1], exact)
        print(f"going on after epoch {done}", flush=True)
    return training, decisions, history


def _stops(history: list[Row], early: EarlyStopping | None) -> bool:
    if early is None or not history:
        return False
    winner = best_epoch(history, early.metric, early.mode, "train.early_stopping.metric")
    return len(history) - winner >= early.patience


def _demand_finite(row: Row) -> None:
    for name, value in row.items():
        if not math.isfinite(value):
            raise Diverged(
                f"epoch {row['epoch']:.0f}: {name} is {value}; nothing is exported. "
                "Lower train.lr, set train.clip_norm, or look at the data's range"
            )


@contextlib.contextmanager
def _progress(
    epochs: int, steps: int, losses: list[Any], history: list[Row]
) -> Iterator[Callable[[Any], None]]:
    """Shows a bar with the step's loss and the last epoch's values, on a terminal only."""
    if not sys.stderr.isatty():
        yield lambda loss: None
        return
    from tqdm import tqdm

    last = {k: f"{v:.4f}" for k, v in history[-1].items() if k != "epoch"} if history else {}
    name = f"epoch {len(history) + 1}/{epochs}"
    shown: dict[str, Any] = {"total": steps, "initial": len(losses), "desc": name, "unit": "step"}
    with tqdm(**shown, leave=False, postfix=last) as bar:

        def advance(loss: Any) -> None:
            bar.set_postfix(last | {"loss": f"{float(loss):.4f}"}, refresh=False)
            bar.update()

        yield advance


def _report(row: Row, epochs: int) -> None:
    values = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
    epoch = f"epoch {row['epoch']:.0f}/{epochs}" if epochs else "as it came"
    print(f"{epoch}  {values}", flush=True)


if __name__ == "__main__":
    stage.main(train, resumes=True, code_by_params=parent.code_of_training)
