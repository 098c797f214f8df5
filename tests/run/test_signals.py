"""A stage ends at a signal when it is ready, at a second one at once, and with its DVC."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.run.signals import SAME, WATCH_INTERVAL
from testing.sweeps import until

STAGE = """
import sys, time
from pipeline.run import signals
signals.install()
try:
    with signals.deferred() as pending:
        print("ready", flush=True)
        while not pending:
            time.sleep(0.01)
        time.sleep(float(sys.argv[1]))  # until the step is done
        print("saved", flush=True)
        pending.raise_if_set()
except signals.Interrupted as end:
    sys.exit(128 + end.number)
"""
LEFT = """
import os, sys, time
while os.getppid() == int(sys.argv[1]):
    time.sleep(0.01)
from pipeline.run import signals
signals.install()
time.sleep(600)
"""
"""A stage that is still importing when its DVC is killed."""
AS_DVC = """
import os, subprocess, sys
stage = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(stage.pid, flush=True)
"""


def started(step: float, hears: bool = True) -> subprocess.Popen[str]:
    """A stage in the middle of a step, which hears of its terminal's end or not."""
    words = [sys.executable, "-c", STAGE, str(step)]
    heard = signal.SIG_DFL if hears else signal.SIG_IGN
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "DVC_STAGE"},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, heard),
    )
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_saves_what_it_has_come_to_and_ends(number: int) -> None:
    process = started(0)
    process.send_signal(number)
    assert process.communicate()[0] == "saved\n"
    assert process.returncode == 128 + number


def test_a_signal_that_comes_in_two_ways_is_one() -> None:
    process = started(2 * SAME)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "saved\n"


def test_a_second_one_ends_it_at_once() -> None:
    process = started(600)
    process.send_signal(signal.SIGTERM)
    time.sleep(1.5 * SAME)
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == ""
    assert process.returncode == 128 + signal.SIGTERM


def test_under_nohup_it_outlives_its_terminal() -> None:
    process = started(0, hears=False)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert process.poll() is None
    process.terminate()
    assert process.communicate()[0] == "saved\n"


def test_a_stage_whose_dvc_was_killed_while_it_imported_ends() -> None:
    """It then has another parent, which lives on."""
    words = [sys.executable, "-c", AS_DVC, LEFT]
    environ = os.environ | {"DVC_STAGE": "train"}
    dvc = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, start_new_session=True)
    said = dvc.communicate()[0].decode().splitlines()
    until(lambda: not Path(f"/proc/{said[0]}").exists(), 60)
    assert said[1:] == ["DVC is gone; ending"]


def test_a_stage_that_leads_a_group_of_its_own_is_not_left() -> None:
    """As under `srun`, and where a command in dvc.yaml says `setsid`."""
    environ = os.environ | {"DVC_STAGE": "train"}
    words = ["setsid", sys.executable, "-c", STAGE, "0"]
    process = subprocess.Popen(words, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    time.sleep(2 * WATCH_INTERVAL)
    assert process.poll() is None
    process.terminate()
    assert process.communicate()[0] == "saved\n"
