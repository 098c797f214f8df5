"""Run by torch's runtime as one rank: builds the training as every rank does, takes its part of it,
and goes through the loop."""

import contextlib
import ctypes
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.config.params import TrainParams
from pipeline.config.reading import read
from pipeline.data import arrays as prepared
from pipeline.errors import ParamsError, PipelineError
from pipeline.files import write_atomically
from pipeline.frameworks.contract import RanksModule
from pipeline.run import signals
from pipeline.run.arguments import params_file
from pipeline.run.made_here import Clock
from pipeline.training import checkpoints, parts
from pipeline.training.deciding import Deciding
from pipeline.training.history import HISTORY, read_history
from pipeline.training.ranks.board import FAILED, LOST, Board, Voice
from pipeline.training.ranks.launch import FAULT
from pipeline.training.ranks.loop import RankLoop
from pipeline.training.ranks.machines import Machine, demand_alike, take_place
from pipeline.training.recomputed import demand_recomputed
from pipeline.training.start import beginning

PDEATHSIG = 1
LINGERS = 2.0
"""Seconds that a rank which has lost the others waits for them to say so, too."""
LOST_CODE = 75
ASKING = (signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP)
"""The stage asks by the first; who signals all processes of a group, as batch systems do, by the
others."""
_asked: list[int] = []


class Rank:
    """A rank ends with a code, and says on the board, or in a file, why."""

    def __init__(self, folder: Path) -> None:
        rank, world = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
        self._fault = folder / FAULT.format(rank)
        self._voice = Voice(Board(folder / "board", world), rank, os.getpid())
        self.code = 0

    def __enter__(self) -> "Rank":
        return self

    def __exit__(self, kind: Any, fault: BaseException | None, trace: Any) -> bool:
        if isinstance(fault, signals.Interrupted):
            self.code = 128 + fault.number
        elif _is_of_another(fault):
            self._voice.say(LOST)
            time.sleep(LINGERS)
            self.code = LOST_CODE
        elif fault is not None:
            traceback.print_exception(kind, fault, trace)
            if isinstance(fault, PipelineError):
                write_atomically(self._fault, json.dumps([type(fault).__name__, str(fault)]))
            self._voice.say(FAILED)
            self.code = 1
        return True


def main(data: Path, output: Path, folder: Path, done: int, own: Machine) -> int:
    """Returns the exit code of this rank."""
    take_place(own)
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for each in ASKING:
        signal.signal(each, lambda number, _: _asked.append(number))
    with Rank(folder) as rank:
        train(data, output, done, read(TrainParams, params_file()), own)
    return rank.code


def train(data: Path, output: Path, done: int, params: TrainParams, own: Machine) -> None:
    """Trains on after the epochs that are `done`."""
    ranks: RanksModule[Any] = parts.epoch_module(params.model, params.train)  # type: ignore[assignment]
    ranks.asked = lambda: bool(_asked)
    ranks.end = lambda: signals.note(signal.SIGTERM)
    schema = prepared.schema(data)
    inputs, targets = prepared.split(data, "train")
    training = parts.build(params.model, params.train, schema, params.train.device, targets)
    beginning(parts.framework_of(params.model), params)(training, inputs)
    deciding = Deciding(training, params.model, params.train, schema, inputs, targets)
    decisions = deciding.of_metrics()
    ranks.meet(params.train.distributed.timeout)
    if own.meeting:
        demand_alike(ranks)
        done = ranks.of_first(done)
    history = read_history(output / HISTORY)[:done] if done else []
    with _refused_in_a_line():
        ranks.spread(training)
    clock = Clock(output / HISTORY, params.train.device)
    given = (ranks, training, decisions, history, data, output, params.train, clock)
    loop = RankLoop(*given)
    if done:
        ranks.load(training, checkpoints.epoch_file(ranks, output, done))
        demand_recomputed(loop.judged, history[-1], exact=True)
        if ranks.rank == 0:
            print(f"going on after epoch {done}", flush=True)
    loop.run()
    ranks.wait()


@contextlib.contextmanager
def _refused_in_a_line() -> Iterator[None]:
    try:
        yield
    except ValueError as fault:
        raise ParamsError(" ".join(str(fault).split())) from None


def _is_of_another(fault: BaseException | None) -> bool:
    """Returns whether it is that another rank is gone, or did not come: gloo says so in its words
    alone."""
    while fault is not None:
        words = str(fault).lower()
        if "gloo" in words or "connection closed by peer" in words:
            return True
        fault = fault.__cause__ or fault.__context__
    return False


if __name__ == "__main__":
    data, output, folder = map(Path, sys.argv[1:4])
    code = main(data, output, folder, int(sys.argv[4]), Machine.of_words(sys.argv[5:]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
