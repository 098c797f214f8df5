"""A sweep on one machine: every job is one experiment, whatever becomes of the others."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from pipeline.provenance import git
from testing.project import Project, needs
from testing.sweeps import (
    FOUR,
    began,
    children,
    experiments,
    parents,
    rates,
    results,
    started,
    sweep,
    until,
)

WORDS = (f"train.lr={','.join(FOUR)}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=3")


def pipelines(project: Project) -> list[int]:
    """The processes that work in a clone of the project's."""
    inside = f"{project.root}/multirun/"
    alive = []
    for path in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if str(path.readlink()).startswith(inside):
                alive.append(int(path.parent.name))
        except OSError:  # it has ended
            continue
    return alive


def worker_of(project: Project, lr: str, word: bytes = b"work.py") -> int:
    """The process of a job whose command has the word; its stage's, if not told otherwise."""
    [inside] = [path for path in project.root.glob(f"multirun/*/lr{lr}-*") if path.is_dir()]
    there = []
    for pid in pipelines(project):
        with contextlib.suppress(OSError):  # it has ended
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if word in words and Path(f"/proc/{pid}/cwd").readlink() == inside:
                there.append(pid)
    [process] = there
    return process


def test_what_fails_or_is_killed_is_named_and_alone_runs_again_at_the_next_start(
    quick: Project, alone: dict[str, list[str]]
) -> None:
    (quick.root / "work.py").open("a").write("# not committed\n")
    (quick.root / "fail-0.2").touch()
    (quick.root / "hold-0.3").touch()
    before = quick.run("git", "status", "--porcelain").stdout
    with started(quick, *WORDS, fresh=False) as process:
        until(lambda: "0.3" in began(quick))
        os.kill(worker_of(quick, "0.3"), signal.SIGKILL)
        assert process.wait(600) == 1
    end = quick.read("said").partition("\n\n")[2].splitlines()
    assert "4 jobs, 2 finished, 2 not" in end[0]
    assert "train.lr=0.2: FAILED: exit code" in end[1] and "error: lr 0.2 is not to be" in end[1]
    assert "train.lr=0.3: FAILED: " in end[2]
    log = Path(end[1].rpartition("log: ")[2])
    assert "error: lr 0.2 is not to be" in log.read_text()
    assert len(rates(quick)) == children(quick) == 2
    (quick.root / "said").unlink()
    status = quick.run("git", "status", "--porcelain").stdout
    assert status.replace("?? began\n", "") == before

    (quick.root / "hold-0.3").unlink()
    (quick.root / "fail-0.2").unlink()
    done = sweep(quick, *WORDS)
    assert "4 jobs, 4 finished (2 of them before), 0 not" in done.stdout
    assert began(quick) == sorted([*FOUR, "0.2", "0.3"])
    assert results(quick) == alone
    assert children(quick) == 4
    assert not list(quick.root.glob("multirun/*/*/.git"))
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]
    for commit in experiments(quick).values():
        assert git.file_at(quick.root, commit, "work.py").endswith(b"# not committed\n")

    [name] = [name for name in experiments(quick) if name.startswith("lr0.2")]
    quick.run("dvc", "exp", "apply", name)
    assert '"val/accuracy": 0.8' in quick.read("artifacts/checkpoint/metrics.json")


def test_ctrl_c_leaves_nothing_running_and_the_sweep_goes_on(quick: Project) -> None:
    words = ("train.lr=0.1,0.2", *WORDS[1:])
    (quick.root / "hold-0.2").touch()
    with started(quick, *words) as process:
        until(lambda: len(began(quick)) == 2 and len(experiments(quick)) == 1)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(600) == 128 + signal.SIGINT
        until(lambda: not pipelines(quick))
    assert "2 jobs, 1 finished, 1 not" in quick.read("said")
    assert [each["status"] for each in parents(quick)] == ["KILLED"]
    (quick.root / "hold-0.2").unlink()
    assert "2 jobs, 2 finished (1 of them before), 0 not" in sweep(quick, *words).stdout
    assert began(quick) == ["0.1", "0.2", "0.2"]


def test_a_sweep_that_is_killed_leaves_nothing_running_and_goes_on_at_once(quick: Project) -> None:
    words = ("train.lr=0.1,0.2", *WORDS[1:])
    (quick.root / "hold-0.2").touch()
    with started(quick, *words) as process:
        until(lambda: len(began(quick)) == 2 and len(experiments(quick)) == 1)
        process.kill()  # and nobody else
        process.wait()
        assert [each["status"] for each in parents(quick)] == ["RUNNING"]
        (quick.root / "hold-0.2").unlink()
        done = sweep(quick, *words)
        until(lambda: not pipelines(quick))
    assert "2 jobs, 2 finished (1 of them before), 0 not" in done.stdout
    assert began(quick) in (["0.1", "0.2"], ["0.1", "0.2", "0.2"])  # it may have been ending well
    assert sorted(rates(quick).values()) == [0.1, 0.2]
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]
    assert not list(quick.root.glob("multirun/*/*/.git"))


@pytest.mark.parametrize("shell", ["bash", "sh"])  # sh may stay between DVC and the stage
def test_a_job_that_is_killed_leaves_no_dvc_beside_who_goes_on_in_its_clone(
    quick: Project, shell: str
) -> None:
    words = ("train.lr=0.1,0.2", *WORDS[1:])
    (quick.root / "hold-0.2").touch()
    with started(quick, *words, SHELL=str(needs(shell))) as process:
        until(lambda: "0.2" in began(quick))
        os.kill(worker_of(quick, "0.2", b"pipeline.sweep.in_clone"), signal.SIGKILL)
        assert process.wait(600) == 1
        until(lambda: not pipelines(quick), 30)
    assert "train.lr=0.2: FAILED: ended by SIGKILL" in quick.read("said")


def test_a_stage_that_raises_is_told_by_what_it_raised(quick: Project) -> None:
    (quick.root / "work.py").open("a").write("raise RuntimeError('not to be')\n")
    done = sweep(quick, "train.lr=0.1", *WORDS[1:], check=False)
    assert done.returncode == 1
    assert "train.lr=0.1: FAILED: exit code 255, RuntimeError: not to be; log: " in done.stdout


def test_a_wrong_value_refuses_the_sweep_before_any_job(quick: Project) -> None:
    done = sweep(quick, "train.epochs=3,many", *WORDS[1:], check=False)
    assert done.returncode == 1
    line = "error: train.epochs: found 'many', expected an integer (job train.epochs=many; none"
    assert done.stdout.startswith(line), done.stdout
    assert done.stdout.count("\n") == 1 and not began(quick)
