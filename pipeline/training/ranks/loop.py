"""The loop of one rank: the same on all, but that rank 0 alone judges and keeps the books."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.errors import ModelError
from pipeline.files import partial_of, replacing_folder
from pipeline.frameworks.contract import RanksModule
from pipeline.run import resume_state
from pipeline.training import checkpoints
from pipeline.training.epochs import Judged, judged, judging_size
from pipeline.training.history import HISTORY, Row, write_history
from pipeline.training.loop import Loop, report
from pipeline.training.model_faults import translate_model_faults

SPLIT = "val"


@dataclass
class RankLoop(Loop):
    """The loop of a rank."""

    framework: RanksModule[Any]

    def judged(self) -> Row:
        """Returns what the model reaches, exactly what one process finds: a batch goes to each rank
        in turn, and rank 0 counts them in their order."""
        self._demand_alike()
        batches = self._answers()
        row: Row | None = None
        if self.framework.rank == 0:
            row = judged(self.framework.TRAINS, batches, SPLIT, self.train, self.decisions)
        for _ in batches:  # what is left, if a loss was no number: the ranks answer together
            pass
        result: Row = self.framework.of_first(row)
        return result

    def _answers(self) -> Iterator[Judged]:
        """Yields all batches on rank 0, and nothing on the others, which answer theirs."""
        inputs, targets = prepared.split(self.data, SPLIT)
        size, rows = judging_size(self.train), prepared.count(inputs)
        slices = [slice(at, at + size) for at in range(0, rows, size)]
        for first in range(0, len(slices), self.framework.world):
            turn = slices[first : first + self.framework.world]
            own = turn[min(self.framework.rank, len(turn) - 1)]  # a sharded net answers with all
            batch = (prepared.rows_of(arrays, own) for arrays in (inputs, targets))
            with translate_model_faults(self.framework, f"in judging the {SPLIT} split"):
                answered = self.framework.evaluate(self.training, *batch)
            every = self.framework.gathered(answered) or []
            for these, (outputs, loss) in zip(turn, every, strict=False):
                both = {**inputs, **targets}
                yield self._truths(both, these), outputs, prepared.places_of(both, these), loss

    def _truths(self, arrays: prepared.Arrays, rows: slice) -> dict[str, np.ndarray]:
        """Returns what metrics compare answers with, and the targets, which say how many rows."""
        wanted = {each.target for each in self.decisions.values()}
        _, targets = prepared.split(self.data, SPLIT)
        compared = {
            name: each for name, each in arrays.items() if name in wanted or name in targets
        }
        return prepared.rows_of(compared or arrays, rows)

    def _demand_alike(self) -> None:
        """Raises ModelError for what a rank has learnt of its own rows alone."""
        if apart := self.framework.buffers_apart(self.training):
            raise ModelError(
                f"model.net: {apart[0]} is another one on each rank: it learns of a rank's rows "
                "alone, as only batch norm does not; expected what is the same for all, or set "
                "train.distributed.processes=1"
            )

    def load_within(self) -> list[float]:
        """Returns the losses of the steps of the next epoch that the training has behind it."""
        ranks = (self.framework.rank, self.framework.world)
        epoch = len(self.history) + 1
        return checkpoints.load_within(self.framework, self.training, self.output, epoch, *ranks)

    def save_within(self, epoch: int, losses: list[Any]) -> None:
        """Writes the state after some steps of an epoch, and each rank's generators."""
        framework, ranks = self.framework, range(self.framework.world)
        state, rest = checkpoints.within(framework, self.output, framework.rank)
        write = partial(framework.save, self.training)
        checkpoints.save_steps(framework, self.training, rest, epoch, losses)
        if framework.rank:
            write(partial_of(state))
        else:
            with replacing_folder(state) as place:
                write(place)
        framework.wait()
        if framework.rank == 0:
            of_all = [checkpoints.within(framework, self.output, each)[1] for each in ranks]
            resume_state.save(self.output, state, *of_all)

    def save_epoch(self, write: Callable[[Path], None], rows: list[Row]) -> None:
        """Writes this rank's part of the checkpoint; rank 0 writes history and books."""
        if self.framework.rank:
            write(partial_of(checkpoints.epoch_file(self.framework, self.output, len(rows))))
            return
        write_history(self.output / HISTORY, rows)
        self.clock.mark()
        keep = (self.train.keep, replacing_folder)
        checkpoints.save_epoch(self.framework, write, self.output, rows, *keep)
        report(rows[-1], self.train.epochs)
