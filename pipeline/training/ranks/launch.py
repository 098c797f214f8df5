"""torch's runtime starts the ranks and ends them all with the first that fails; here is watched
whether each still lives, and said which failed and how."""

import contextlib
import json
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from torch.distributed import TCPStore  # type: ignore[attr-defined]
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

import pipeline
from pipeline import errors
from pipeline.config.params import Train
from pipeline.errors import PipelineError, RankFailed
from pipeline.run import signals
from pipeline.text import escaped
from pipeline.training.ranks.board import FAILED, LOST, Board
from pipeline.training.ranks.machines import Machine, machine

SILENT = 30.0
"""Seconds after which a rank hangs that gave no sign of life and used no processor: it is stopped,
or waits within one call. One that computes is given the time that the others wait for it."""
WATCHING = 0.2
"""Seconds between two looks."""
ASKED = 128 + signal.SIGTERM
"""A rank's exit code when it, or any other, was asked to end."""
ENDING = 120.0
"""Seconds that ranks have for ending when they are asked to."""
NOT_KNOWN = -1
"""Of the epochs that are done, to a machine that is not the first."""
LOCAL = "127.0.0.1"
FAULT = "fault-{}.json"
"""Where a rank leaves the error that it ends with, in one line."""
VARIABLES = {
    "TORCH_CPP_LOG_LEVEL": "ERROR",  # DDP warns of what it is asked to do
}
"""What the ranks need of the environment."""
ALONE = {"GLOO_SOCKET_IFNAME": "lo"}
"""And those of one machine."""
SHOWN = 300
"""Characters of a rank's last words."""


def run(data: Path, output: Path, done: int, train: Train, node: int = 0) -> None:
    """Trains over this machine's ranks from the epoch after `done`. Raises RankFailed, or what a
    rank raised; Interrupted once all ranks have written where they are."""
    own = machine(train.distributed, node)
    folder = Path(tempfile.mkdtemp(prefix="ranks-"))
    board = Board(folder / "board", train.distributed.processes)
    words = ["-m", "pipeline.training.ranks.worker", str(data), str(output), str(folder), str(done)]
    with signals.deferred() as pending, _variables(own), _watched(board, pending) as hanging:
        logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
        store = TCPStore(LOCAL, 0, is_master=True, wait_for_workers=False, multi_tenant=True)
        config = _config(folder, own, store.port)
        try:
            elastic_launch(config, sys.executable)(*words, *own.words)
        except ChildFailedError as fault:
            pending.raise_if_set()
            codes = {own.first + rank: each.exitcode for rank, each in fault.failures.items()}
            _raise(folder, output, board, hanging, codes, train, own)
        pending.raise_if_set()


def _config(folder: Path, own: Machine, port: int) -> LaunchConfig:
    """Returns the settings of torch's runtime. SIGTERM and SIGINT stay ours: the ranks are asked to
    end, after the same step. `port` is that of a store of this process, which the runtime shares:
    where it chooses one, it looks through all that is imported at each step of that."""
    redirects = {rank: Std.ALL if rank else Std.ERR for rank in range(own.ranks)}
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=own.ranks,
        run_id="train",
        rdzv_backend="static",
        rdzv_endpoint=f"{LOCAL}:{port}",
        rdzv_configs={"rank": 0},
        local_addr=LOCAL,
        max_restarts=0,
        signals_to_handle="SIGUSR2",
        shutdown_timeout=5,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "logs"), redirects=redirects),
    )


@contextlib.contextmanager
def _variables(own: Machine) -> Iterator[None]:
    """Sets what the ranks need of the environment, our modules too."""
    before = dict(os.environ)
    paths = [str(Path(pipeline.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    os.environ |= {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        **VARIABLES,
        **({} if own.meeting else ALONE),
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _watched(board: Board, pending: signals.PendingSignal) -> Iterator[set[int]]:
    """Gives the ranks that hang, which are killed, and asks all to end when a signal came."""
    hanging, ended = set[int](), threading.Event()
    watching = threading.Thread(target=_watch, args=(board, pending, hanging, ended), daemon=True)
    watching.start()
    try:
        yield hanging
    finally:
        ended.set()
        watching.join()


def _watch(
    board: Board, pending: signals.PendingSignal, hanging: set[int], ended: threading.Event
) -> None:
    asked, deadline = set[int](), float("inf")
    signs: dict[int, tuple[tuple[float, int], float]] = {}
    while not ended.wait(WATCHING):
        now = time.monotonic()
        entries = {rank: board.entry(rank) for rank in range(board.ranks)}
        begun = {rank: each for rank, each in entries.items() if each.pid}
        if pending:
            deadline = min(deadline, now + ENDING)
            for rank in begun.keys() - asked:
                _send(begun[rank].pid, signal.SIGUSR1)
            asked |= begun.keys()
        for rank, each in begun.items():
            sign = each.beat, _used(each.pid)
            if rank not in signs or signs[rank][0] != sign:
                signs[rank] = sign, now
        silent = {rank for rank, (_, since) in signs.items() if now - since > SILENT}
        for rank in begun.keys() if now > deadline else silent - hanging:
            _send(begun[rank].pid, signal.SIGKILL)
        hanging |= silent


def _used(pid: int) -> int:
    """Returns how much of a processor a process has used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended
        return 0
    return int(fields[11]) + int(fields[12])


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _raise(
    folder: Path,
    output: Path,
    board: Board,
    hanging: set[int],
    codes: Mapping[int, int],
    train: Train,
    own: Machine,
) -> NoReturn:
    """Raises what the rank at fault raised, or one line of what became of it."""
    states = {own.first + each: board.entry(own.first + each).state for each in range(own.ranks)}
    failed = sorted(rank for rank, state in states.items() if state == FAILED)
    killed = sorted(rank for rank, code in codes.items() if code < 0 and code != -signal.SIGTERM)
    absent = sorted(rank for rank, state in states.items() if state != LOST)
    if ASKED in codes.values() and not (hanging or failed or killed):
        raise signals.Interrupted(signal.SIGTERM)  # on another machine
    if own.meeting and not (hanging or failed or killed or absent):
        raise RankFailed(
            f"ranks {own.first} to {own.first + own.ranks - 1} of {own.world} on "
            f"{socket.gethostname()} have lost those of another machine, which says there what "
            "became of them; run `dvc repro` again, and join it, it goes on from the last "
            "checkpoint"
        )
    rank = next(iter([*sorted(hanging), *failed, *killed, *absent, *codes]))
    log = _log(folder, output, rank - own.first)
    if (fault := folder / FAULT.format(rank)).is_file() and rank not in hanging:
        kind, message = json.loads(fault.read_text())
        raise getattr(errors, kind, PipelineError)(message)
    if rank in hanging:
        how = f"hangs: no sign of life for {SILENT:.0f} s"
    elif rank in failed:
        how = f"ended with {codes.get(rank, 1)}"
    elif rank in killed:
        how = f"was killed by {signal.Signals(-codes[rank]).name}"
    else:
        how = f"hangs: the others waited {train.distributed.timeout} s for it"
    words = _last_words(log)
    raise RankFailed(
        f"rank {rank} of {board.ranks} on {socket.gethostname()} {how}; its last words: {words}; "
        "run `dvc repro` again, it goes on from the last checkpoint"
    )


def _log(folder: Path, output: Path, rank: int) -> Path:
    """Returns the rank's log, beside the output, where it stays."""
    target = output.with_name(f"{output.name}.rank.log")
    logs = sorted((folder / "logs").glob(f"*/attempt_0/{rank}/stderr.log"))
    if logs:
        shutil.copyfile(logs[-1], target)
    return target


def _last_words(log: Path) -> str:
    text = log.read_text(errors="replace") if log.is_file() else ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{escaped(lines[-1][-SHOWN:])} (all of them: {log})" if lines else "none"
