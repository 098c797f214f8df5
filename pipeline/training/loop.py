"""The loop of a training: epoch by epoch, and what is left on the disk as it goes on."""

import contextlib
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.config.params import EarlyStopping, Train
from pipeline.data import arrays as prepared
from pipeline.errors import Diverged
from pipeline.frameworks.contract import TrainingModule
from pipeline.run import signals
from pipeline.run.made_here import Clock
from pipeline.training import checkpoints, parts
from pipeline.training.decision import Decision
from pipeline.training.epochs import end_epoch, epoch_batches, judge, mean_loss, steps
from pipeline.training.history import HISTORY, Row, best_epoch, write_history
from pipeline.training.parts import seed
from pipeline.training.writer import Writer, writing

COPIED = 1 << 28
"""Bytes of a checkpoint up to which it is written from a copy. The epochs of a larger model are
longer than the writing, and a copy would cost memory."""


@dataclass
class Loop:
    """The loop of one process, from the state that `training` and `history` are in."""

    framework: TrainingModule[Any]
    training: Any
    decisions: Mapping[str, Decision]
    history: list[Row]
    data: Path
    output: Path
    train: Train
    clock: Clock

    def run(self) -> None:
        """Takes the epochs that are left. Raises Diverged; Interrupted after a step, the state
        within the epoch being written."""
        before = parts.epochs_before(self.train)
        inputs, targets = prepared.split(self.data, "train")
        losses = self.load_within()
        with writing() as writer:
            while not has_ended(self.history, self.train):
                epoch = len(self.history) + 1
                batches = epoch_batches(self.train, before + epoch, prepared.count(inputs))
                if not losses:
                    self.framework.seed(seed(self.train.seed, before + epoch), self.training)
                with signals.deferred() as pending:
                    with _progress(self.train.epochs, len(batches), losses, self.history) as shown:
                        given = (self.framework, self.training, inputs, targets, batches)
                        for loss in steps(*given, losses):
                            shown(loss)
                            writer.raise_fault()
                            if pending:
                                writer.finish()
                                self.save_within(epoch, losses)
                                pending.raise_if_set()
                    row = {"epoch": epoch, "train/loss": mean_loss(losses, batches)}
                    row |= self.judged()
                    demand_finite(row)
                    end_epoch(self.framework, self.training, row["val/loss"])
                    self.history.append(row)
                    self._write(writer)
                    pending.raise_if_set()
                losses = []

    def judged(self) -> Row:
        """Returns what the model reaches on the validation split."""
        return judge(self.framework, self.training, self.data, "val", self.train, self.decisions)

    def load_within(self) -> list[float]:
        """Returns the losses of the steps of the next epoch that the training has behind it."""
        epoch = len(self.history) + 1
        return checkpoints.load_within(self.framework, self.training, self.output, epoch)

    def save_within(self, epoch: int, losses: list[Any]) -> None:
        """Writes the state after some steps of an epoch."""
        checkpoints.save_within(self.framework, self.training, self.output, epoch, losses)

    def save_epoch(self, write: Callable[[Path], None], rows: list[Row]) -> None:
        """Writes history and checkpoint of the last epoch, and tells of it then."""
        write_history(self.output / HISTORY, rows)
        self.clock.mark()
        checkpoints.save_epoch(self.framework, write, self.output, rows, self.train.keep)
        report(rows[-1], self.train.epochs)

    def _write(self, writer: Writer) -> None:
        """Has the last epoch saved: from a copy while training goes on, where the checkpoint before
        it was small."""
        writer.finish()
        before = checkpoints.epoch_file(self.framework, self.output, len(self.history) - 1)
        small = before.exists() and checkpoints.size(before) <= COPIED
        if small:
            write = self.framework.snapshot(self.training)
        else:
            write = partial(self.framework.save, self.training)
        writer.begin(partial(self.save_epoch, write, list(self.history)))
        if not small:
            writer.finish()


def has_ended(history: list[Row], train: Train) -> bool:
    """Returns whether no epoch is left."""
    return len(history) >= train.epochs or _stops(history, train.early_stopping)


def _stops(history: list[Row], early: EarlyStopping | None) -> bool:
    if early is None or not history:
        return False
    winner = best_epoch(history, early.metric, early.mode, "train.early_stopping.metric")
    return len(history) - winner >= early.patience


def demand_finite(row: Row) -> None:
    """Raises Diverged for a value that is no number."""
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


def report(row: Row, epochs: int) -> None:
    """Prints what an epoch came to."""
    values = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "epoch")
    epoch = f"epoch {row['epoch']:.0f}/{epochs}" if epochs else "as it came"
    print(f"{epoch}  {values}", flush=True)
