"""A sweep on a real SLURM: what it takes back or kills is run again or named, and nothing twice."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import slurm
from testing.project import Project
from testing.slurm import Slurm
from testing.sweeps import (
    FOUR,
    PRUNING,
    began,
    children,
    parents,
    rates,
    results,
    started,
    sweep,
    until,
)

SLURM = ("hydra/launcher=submitit_slurm", "hydra.launcher.timeout_min=5")
WORDS = ("train.lr=0.1,0.2,0.3", *SLURM)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    with slurm.serving() as serving:
        yield serving


def job_of(cluster: Slurm, lr: str) -> str:
    """SLURM's name of a job that runs: a place in the array."""
    listed = cluster.ask("squeue", "--noheader", "--array", "--states=R", "--format=%F_%K")
    place = FOUR.index(lr)
    [name] = [name for name in listed.split() if name.endswith(f"_{place}")]
    return name


def process_of(place: str) -> int:
    """The process of submitit's that runs the job at a place of the array."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it has ended
            words = (path.parent / "cmdline").read_bytes().split(b"\0")
            variables = path.read_bytes().split(b"\0")
            at_place = f"SLURM_ARRAY_TASK_ID={place}".encode() in variables
            if at_place and b"submitit.core._submit" in words and b"python" in words[0]:
                return int(path.parent.name)
    raise AssertionError(f"no process of {place}")


def test_a_job_taken_back_runs_again_one_killed_is_named_and_all_come_back_once(
    quick: Project, cluster: Slurm, alone: dict[str, list[str]]
) -> None:
    words = (f"train.lr={','.join(FOUR)}", *SLURM)
    for lr in ("0.2", "0.3"):
        (quick.root / f"hold-{lr}").touch()
    with started(quick, *words, fresh=False, **cluster.environ) as process:
        until(lambda: {"0.2", "0.3"} <= set(began(quick)))
        cluster.ask("scontrol", "requeue", job_of(cluster, "0.2"))
        os.kill(process_of("2"), signal.SIGKILL)
        until(lambda: began(quick).count("0.2") == 2)
        (quick.root / "hold-0.2").unlink()
        assert process.wait(600) == 1
    said = quick.read("said")
    assert "4 jobs, 3 finished, 1 not" in said, said
    assert "train.lr=0.3: FAILED: SLURM's job" in said
    assert len(rates(quick)) == children(quick) == 3

    (quick.root / "hold-0.3").unlink()
    done = sweep(quick, *words, **cluster.environ)
    assert "4 jobs, 4 finished (3 of them before), 0 not" in done.stdout
    assert began(quick) == sorted([*FOUR, "0.2", "0.3"])
    assert results(quick) == alone
    assert children(quick) == 4
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]


def test_ctrl_c_cancels_what_was_queued(quick: Project, cluster: Slurm) -> None:
    (quick.root / "hold-0.1").touch()
    words = (*WORDS, "hydra.launcher.slurm_array_parallelism=1")
    with started(quick, *words, **cluster.environ) as process:
        until(lambda: began(quick) == ["0.1"])
        assert len(cluster.queue()) == 3
        process.send_signal(signal.SIGINT)
        assert process.wait(600) == 128 + signal.SIGINT
    until(lambda: not cluster.queue())
    assert "3 jobs, 0 finished, 3 not" in quick.read("said")
    assert [each["status"] for each in parents(quick)] == ["KILLED"]


def test_a_sweep_that_is_killed_finds_its_jobs_in_the_queue_again(
    quick: Project, cluster: Slurm
) -> None:
    (quick.root / "hold-0.1").touch()
    words = (*WORDS, "hydra.launcher.slurm_array_parallelism=1")
    with started(quick, *words, **cluster.environ) as process:
        until(lambda: began(quick) == ["0.1"])
        process.kill()
        process.wait()
    queued = sorted(cluster.ask("squeue", "--noheader", "--array", "--format=%F_%K").split())
    assert len(queued) == 3
    with started(quick, *words, fresh=False, **cluster.environ) as process:
        until(lambda: "3 of them in SLURM's queue since an earlier start" in quick.read("said"))
        again = sorted(cluster.ask("squeue", "--noheader", "--array", "--format=%F_%K").split())
        assert again == queued
        (quick.root / "hold-0.1").unlink()
        assert process.wait(600) == 0
    assert "3 jobs, 3 finished, 0 not" in quick.read("said")
    assert began(quick) == ["0.1", "0.2", "0.3"]
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]


def test_a_node_that_dies_gives_its_job_back_and_another_runs_it(
    quick: Project, cluster: Slurm
) -> None:
    for lr in ("0.1", "0.2"):
        (quick.root / f"hold-{lr}").touch()
    words = ("train.lr=0.1,0.2", *WORDS[1:])
    with started(quick, *words, fresh=False, **cluster.environ) as process:
        until(lambda: began(quick) == ["0.1", "0.2"])
        listed = cluster.ask("squeue", "--noheader", "--array", "--format=%K %N").split()
        node = dict(zip(listed[::2], listed[1::2], strict=True))["1"]
        cluster.kill(node)
        (quick.root / "hold-0.1").unlink()
        until(lambda: began(quick) == ["0.1", "0.2", "0.2"])
        (quick.root / "hold-0.2").unlink()
        assert process.wait(600) == 0
    cluster.start(node)
    assert "2 jobs, 2 finished, 0 not" in quick.read("said")
    assert sorted(rates(quick).values()) == [0.1, 0.2]
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]
    assert not list(quick.root.glob("multirun/*/*/.git"))


def test_what_slurm_refuses_is_one_line(quick: Project, cluster: Slurm) -> None:
    words = (*WORDS, "hydra.launcher.slurm_partition=none")
    said = sweep(quick, *words, check=False, **cluster.environ).stdout
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and "invalid partition specified: none" in errors[0], said
    assert not began(quick) and "Traceback" not in said


def test_a_trial_that_does_worse_ends_early_on_a_node_too(quick: Project, cluster: Slurm) -> None:
    (quick.root / "hold-0.9").touch()  # it would never end by itself
    done = sweep(quick, *PRUNING, *SLURM, **cluster.environ)
    assert "train.lr=0.9: pruned after epoch 1" in done.stdout, done.stdout
    assert list(rates(quick).values()) == [0.1] and children(quick) == 2
    assert not list(quick.root.glob("multirun/*/*/.git")) and not cluster.queue()
