"""Who of the ranks hangs, failed or was killed is known, and what it said last."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.config.distributed_params import Distributed
from pipeline.errors import Diverged, PipelineError
from pipeline.run.signals import Interrupted, PendingSignal
from pipeline.training.ranks import launch
from pipeline.training.ranks.board import FAILED, LOST, RUNS, Board
from pipeline.training.ranks.machines import Machine
from testing.training import settings_of

TRAIN = settings_of(
    distributed=Distributed(processes=3, strategy="ddp", nodes=1, timeout=45),
)
ALONE = Machine(0, 3, 3)
ALIVE = """
import signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", ALIVE], stdout=subprocess.PIPE, text=True) as one:
        assert one.stdout is not None
        one.stdout.readline()
        yield one
        one.kill()


def board(folder: Path, states: Mapping[int, int], pid: int = 0, ranks: int = 3) -> Board:
    result = Board(folder / "board", ranks)
    for rank, state in states.items():
        result.say(rank, pid, state)
    return result


def test_a_rank_that_is_silent_is_killed_and_named(
    tmp_path: Path, process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SILENT", 0.3)
    silent = board(tmp_path, {1: RUNS}, process.pid)
    with launch._watched(silent, PendingSignal()) as hanging:
        assert process.wait(20) == -signal.SIGKILL
    assert hanging == {1}


def test_a_rank_that_gives_signs_of_life_is_let_be_until_a_signal_comes(
    tmp_path: Path, process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "SILENT", 5.0)
    alive, pending = board(tmp_path, {1: RUNS}, process.pid), PendingSignal()
    with launch._watched(alive, pending) as hanging:
        time.sleep(1)
        assert process.poll() is None
        pending.number = signal.SIGTERM
        assert process.wait(20) == 7
    assert hanging == set()


def told(
    folder: Path,
    states: Mapping[int, int],
    codes: Mapping[int, int],
    hanging: set[int] = frozenset(),
    own: Machine = ALONE,
) -> PipelineError:
    """Returns what is raised of ranks with these states and exit codes."""
    for rank in range(own.ranks):
        log = folder / f"logs/run/attempt_0/{rank}/stderr.log"
        log.parent.mkdir(parents=True)
        log.write_text(f"a line\nof rank {rank}\x1b[2J\n\n")
    with pytest.raises(PipelineError) as raised:
        launch._raise(
            folder, folder / "train", board(folder, states), set(hanging), codes, TRAIN, own
        )
    return raised.value


LOSERS = {0: LOST, 2: LOST}


@pytest.mark.parametrize(
    ("states", "codes", "hanging", "how"),
    [
        ({0: LOST, 1: RUNS, 2: RUNS}, {0: 75, 1: -9, 2: -15}, set(), "was killed by SIGKILL"),
        ({**LOSERS, 1: FAILED}, {0: 75, 1: 1, 2: 75}, set(), "ended with 1"),
        (
            {**LOSERS, 1: RUNS},
            {0: 75, 1: -15, 2: 75},
            set(),
            "hangs: the others waited 45 s for it",
        ),
        ({**LOSERS, 1: RUNS}, {1: -9}, {1}, "hangs: no sign of life for 30 s"),
    ],
)
def test_the_rank_at_fault_is_named_with_its_last_words(
    tmp_path: Path, states: dict[int, int], codes: dict[int, int], hanging: set[int], how: str
) -> None:
    line = str(told(tmp_path, states, codes, hanging))
    assert line.startswith(f"rank 1 of 3 on {os.uname().nodename} {how}; its last words: of rank 1")
    assert "\x1b" not in line and "\n" not in line and "run `dvc repro` again" in line
    assert (tmp_path / "train.rank.log").read_text().startswith("a line")


def test_what_a_rank_raised_in_one_line_is_raised_here(tmp_path: Path) -> None:
    (tmp_path / launch.FAULT.format(1)).write_text(json.dumps(["Diverged", "epoch 2: no number"]))
    fault = told(tmp_path, {**LOSERS, 1: FAILED}, {0: 75, 1: 1, 2: 75})
    assert type(fault) is Diverged and str(fault) == "epoch 2: no number"


def test_the_entries_of_a_board_are_read_by_whoever_opens_it(tmp_path: Path) -> None:
    board(tmp_path, {2: LOST}, 7)
    entry = Board(tmp_path / "board", 3).entry(2)
    assert (entry.pid, entry.state) == (7, LOST) and entry.beat <= time.monotonic()
    assert replace(Board(tmp_path / "board", 3).entry(0), beat=0.0).pid == 0


def test_who_lost_the_ranks_of_another_machine_says_so(tmp_path: Path) -> None:
    second = Machine(1, 1, 3, ("10.0.0.1", "29500"))
    line = str(told(tmp_path, {1: LOST}, {1: 75}, own=second))
    assert line.startswith("ranks 1 to 1 of 3 on ") and "lost those of another machine" in line


def test_a_rank_of_another_machine_is_named_there_by_its_number_among_all(tmp_path: Path) -> None:
    second = Machine(1, 1, 3, ("10.0.0.1", "29500"))
    line = str(told(tmp_path, {1: RUNS}, {1: -9}, own=second))
    assert line.startswith("rank 1 of 3 on ") and "SIGKILL; its last words: of rank 0" in line


def test_ranks_that_were_asked_to_end_from_another_machine_end_as_by_a_signal(
    tmp_path: Path,
) -> None:
    second = Machine(1, 2, 4, ("10.0.0.1", "29500"))
    with pytest.raises(Interrupted, match="SIGTERM"):
        launch._raise(
            tmp_path,
            tmp_path / "train",
            board(tmp_path, {2: RUNS, 3: RUNS}, ranks=4),
            set(),
            {2: launch.ASKED, 3: -signal.SIGTERM},
            TRAIN,
            second,
        )
