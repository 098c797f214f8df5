"""Files are decoded by as many processes as there are processors, in the order of their rows.

How many there are changes no result, so it is no parameter that a statement or DVC would compare.
"""

import contextlib
import json
import os
import pickle
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from pipeline.data.media.column import Arrays, Chunk, Columns, decoded
from pipeline.data.tables import Array
from pipeline.errors import CannotRun, ParamsError, PipelineError

COUNT = "DATA_WORKERS"
"""The environment variable that sets how many there are; 1 decodes in this process."""
MOST = 8
PATIENCE = 0.5
"""Seconds that one process decodes before others are started, which takes them as long."""
AHEAD = 2
"""Chunks for each worker that are decoded or wait for their turn."""
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from pipeline.data.media.worker import main; main()"
)
Results = Generator[tuple[Chunk, Arrays], None, None]
LOST = (EOFError, BrokenPipeError, pickle.UnpicklingError)
"""What is raised where a worker ended in the middle of its work."""


def count() -> int:
    """Returns how many processes decode. Raises ParamsError for a number that is none."""
    text = os.environ.get(COUNT, "")
    if not text:
        return min(MOST, len(os.sched_getaffinity(0)))
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ParamsError(f"{COUNT}: found {text!r}, expected a number of processes, 1 at least")
    return int(text)


def in_order(columns: Columns, chunks: Iterator[Chunk]) -> Results:
    """Yields each chunk with its arrays. Raises what `chunks` raises once all before it is
    yielded."""
    most, spent = count(), 0.0
    for chunk in chunks:
        start = time.perf_counter()
        arrays = decoded(columns, chunk[1])
        spent += time.perf_counter() - start
        yield chunk, arrays
        if most > 1 and spent > PATIENCE:
            break
    with contextlib.closing(_by_workers(columns, chunks, most)) as others:
        yield from others


def _by_workers(columns: Columns, chunks: Iterator[Chunk], most: int) -> Results:
    first = next(chunks, None)
    if first is None:
        return
    sources = {column.source for column in columns.values()}
    ahead: deque[tuple[Chunk, Future[Arrays]]] = deque()
    fault: PipelineError | None = None
    chunk: Chunk | None = first
    with Workers(columns, most) as workers:
        while chunk is not None or ahead:
            if chunk is not None:
                names = {name: chunk[1][name] for name in sources}
                ahead.append((chunk, workers.decoded(names)))
                try:
                    chunk = next(chunks, None)
                except PipelineError as later:
                    fault, chunk = later, None
            if chunk is None or len(ahead) >= AHEAD * most:
                done, arrays = ahead.popleft()
                yield done, arrays.result()
    if fault is not None:
        raise fault


class Workers:
    """Each worker has a thread here that hands it names and takes its arrays."""

    def __init__(self, columns: Columns, most: int) -> None:
        self.processes = [_started() for _ in range(most)]
        self.threads = ThreadPoolExecutor(most)
        self.free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        for process in self.processes:
            self.free.put(process)
        self.columns = pickle.dumps(columns)
        self.fresh = set(self.processes)

    def decoded(self, names: Mapping[str, Array]) -> Future[Arrays]:
        """Returns what will be the arrays. Its result raises CannotRun where a worker is lost."""
        return self.threads.submit(self._decoded, names)

    def _decoded(self, names: Mapping[str, Array]) -> Arrays:
        process = self.free.get()
        asked, answers = process.stdin, process.stdout
        assert asked and answers
        try:
            if process in self.fresh:
                self.fresh.discard(process)
                asked.write(self.columns)
            pickle.dump(names, asked, pickle.HIGHEST_PROTOCOL)
            asked.flush()
            arrays: Arrays = pickle.load(answers)
        except LOST:
            raise CannotRun(_lost(process, names)) from None
        finally:
            self.free.put(process)
        return arrays

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: Any) -> None:
        """Ends them at once; what they were at is of no use any more."""
        for process in self.processes:
            process.kill()
        self.threads.shutdown(cancel_futures=True)
        for process in self.processes:
            process.wait()
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    stream.close()  # type: ignore[union-attr]


def _started() -> "subprocess.Popen[bytes]":
    """Starts a worker that no Ctrl-C at the terminal reaches: this process ends it."""
    command = [sys.executable, "-c", START, json.dumps([*map(str, sys.path)])]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True)


def _lost(process: "subprocess.Popen[bytes]", names: Mapping[str, Array]) -> str:
    files = next(iter(names.values()))
    code = process.wait()
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
    return (
        f"a process that decodes {files[0]} to {files[-1]} {ended}; where memory is short, "
        f"{COUNT}=1 takes least"
    )
