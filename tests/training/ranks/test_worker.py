"""A rank ends when it is asked to, by its stage or by who signals all processes of a group."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from testing.project import ROOT

RANK = """
import sys, time
from pathlib import Path
from pipeline.training.ranks import worker
from pipeline.training.ranks.machines import Machine

def train(*_):
    print("begun", flush=True)
    while not worker._asked:
        time.sleep(0.01)
    print("a step later", flush=True)

worker.train = train
folder = Path(sys.argv[1])
sys.exit(worker.main(folder, folder, folder, 0, Machine(0, 1, 1)))
"""


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM, signal.SIGHUP])
def test_it_takes_its_step_to_the_end(tmp_path: Path, number: int) -> None:
    words = [sys.executable, "-c", RANK, str(tmp_path)]
    environ = {**os.environ, "RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    rank = subprocess.Popen(words, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
    assert rank.stdout and rank.stdout.readline() == "begun\n"
    rank.send_signal(number)
    assert rank.communicate()[0] == "a step later\n" and rank.returncode == 0
