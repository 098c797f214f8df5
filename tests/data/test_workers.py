"""Files that several processes decode are, in order and to the byte, what one decodes; a fault is
the same, and no process outlives what it works for."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.data.media import decoded, workers
from pipeline.errors import CannotRun, DataError, ParamsError
from testing.project import ROOT
from testing.raw_data import RawData

INPUT = {"source": "file", "shape": [4, 6, 3], "dtype": "uint8", "image": {"mode": "RGB"}}
CONFIG = {"file": "table.csv", "inputs": {"pixels": INPUT}}
ROWS = 30


@pytest.fixture
def table(raw: RawData, monkeypatch: pytest.MonkeyPatch) -> RawData:
    """A table of images, of which a process gets three at a time from the first one on."""
    draw = np.random.default_rng(0)
    for n in range(ROWS):
        path = raw.write(f"{n}.png", b"")
        Image.fromarray(draw.integers(0, 256, (4, 6, 3), np.uint8)).save(path)
    names = [f"{n}.png,{n % 2}" for n in range(ROWS)]
    raw.write("table.csv", "\n".join(["file,label", *names, ""]))
    monkeypatch.setattr(decoded, "ROWS", 3)
    monkeypatch.setattr(workers, "PATIENCE", 0.0)
    return raw


def by(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(workers.COUNT, str(number))


def children() -> set[int]:
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def test_they_come_to_the_same_bytes_as_one_process(
    table: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, plain = [], workers._started
    monkeypatch.setattr(workers, "_started", lambda: started.append(0) or plain())
    by(1, monkeypatch)
    alone = table.prepare(**CONFIG)
    assert not started
    by(3, monkeypatch)
    together = table.prepare(**CONFIG)
    assert len(started) == 6  # three in each of the two passes
    assert {name: each.tobytes() for name, each in alone.items()} == {
        name: each.tobytes() for name, each in together.items()
    }


def test_the_first_broken_file_is_named_as_one_process_names_it(
    table: RawData, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in (11, 12, 25):
        table.write(f"{n}.png", b"no image")
    said = []
    for number in (1, 3):
        by(number, monkeypatch)
        said.append(table.refuses("11.png: is no image", "row 12", **CONFIG))
    assert said[0] == said[1]


def test_a_fault_of_the_table_comes_after_those_of_the_rows_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by(2, monkeypatch)
    monkeypatch.setattr(workers, "PATIENCE", -1.0)

    def chunks() -> Any:
        for row in range(3):
            yield row, {}
        raise DataError("row 3 is bad")

    results = workers.in_order({}, chunks())
    assert [next(results)[0][0] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(DataError, match="row 3 is bad"):
        next(results)


def test_no_process_is_left_where_the_reader_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    by(2, monkeypatch)
    monkeypatch.setattr(workers, "PATIENCE", -1.0)
    before = children()
    results = workers.in_order({}, ((row, {}) for row in range(100)))
    next(results), next(results)
    assert len(children() - before) == 2
    results.close()
    assert children() == before


def test_a_process_that_is_lost_ends_it_in_one_line() -> None:
    with workers.Workers({}, 2) as some:
        for process in some.processes:
            process.kill()
            process.wait()
        names = {"file": np.array(["a.png", "b.png"])}
        with pytest.raises(CannotRun, match=r"decodes a.png to b.png was ended by signal 9"):
            some.decoded(names).result()


def test_none_outlives_a_process_that_is_killed() -> None:
    script = (
        "import time\nfrom pipeline.data.media import workers\n"
        "some = workers.Workers({}, 2)\nsome.decoded({}).result()\n"
        "print(*(each.pid for each in some.processes), flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pids = [int(pid) for pid in process.stdout.readline().split()]
        os.kill(process.pid, signal.SIGKILL)
    assert len(pids) == 2
    deadline = time.monotonic() + 30
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5"])
def test_what_is_no_number_of_processes_is_refused(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv(workers.COUNT, text)
    with pytest.raises(ParamsError, match="DATA_WORKERS: found '.*', expected a number of proc"):
        workers.count()
