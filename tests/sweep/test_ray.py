"""A sweep on a Ray of two nodes: one that dies gives its job back, and nothing comes twice."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from testing import environment
from testing.project import Project
from testing.sweeps import (
    FOUR,
    PRUNING,
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

# Not imported where tests are collected: that sets a variable, after which no command finds its
# imports done.
pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="ray is not installed")

WORDS = (f"train.lr={','.join(FOUR)}", "hydra/launcher=ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with environment.put_back():
        from ray.cluster_utils import Cluster

    plain = {"num_cpus": 1, "include_dashboard": False}
    running = Cluster(initialize_head=True, head_node_args=plain)
    running.second = running.add_node(**plain)
    running.wait_for_nodes()
    yield running
    running.shutdown()


def runs_on(node: Any, project: Project, lr: str) -> bool:
    """Returns whether the worker that has started the job's pipeline is the node's, which tells its
    workers the number of its own process."""
    [raylet] = node.all_processes["raylet"]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            variables = (process / "environ").read_bytes()
            clone = (process / "cwd").readlink()  # another test may have a job of this rate
        except OSError:  # it has ended
            continue
        if f"train.lr={lr}".encode() in words and clone.is_relative_to(project.root / "multirun"):
            return f"RAY_RAYLET_PID={raylet.process.pid}".encode() in variables.split(b"\0")
    raise AssertionError(f"no process of {lr}")


def test_a_trial_that_does_worse_ends_early_on_a_node_too(quick: Project, cluster: Any) -> None:
    (quick.root / "hold-0.9").touch()  # it would never end by itself
    done = sweep(quick, *PRUNING, "hydra/launcher=ray", RAY_ADDRESS=cluster.address)
    assert "train.lr=0.9: pruned after epoch 1" in done.stdout, done.stdout
    assert list(rates(quick).values()) == [0.1] and children(quick) == 2
    assert not list(quick.root.glob("multirun/*/*/.git"))


def test_a_node_that_dies_gives_its_job_back_and_each_comes_back_once(
    quick: Project, cluster: Any, alone: dict[str, list[str]]
) -> None:
    for lr in ("0.1", "0.2"):
        (quick.root / f"hold-{lr}").touch()
    with started(quick, *WORDS, fresh=False, RAY_ADDRESS=cluster.address) as process:
        until(lambda: {"0.1", "0.2"} <= set(began(quick)))
        lost, other = ("0.1", "0.2") if runs_on(cluster.second, quick, "0.1") else ("0.2", "0.1")
        cluster.remove_node(cluster.second, allow_graceful=False)
        (quick.root / f"hold-{other}").unlink()
        until(lambda: began(quick).count(lost) == 2)
        (quick.root / f"hold-{lost}").unlink()
        ended = process.wait(600)
    said = quick.read("said")
    assert ended == 0 and "4 jobs, 4 finished, 0 not" in said, said
    assert "raylet" not in said and said.count("; log: ") == 1, said
    [log] = quick.root.glob("multirun/*/ray.log")
    assert f"log: {log}" in said and "(raylet)" in log.read_text()
    assert results(quick) == alone
    assert children(quick) == 4
    assert [each["status"] for each in parents(quick)] == ["FINISHED"]
    assert not list(quick.root.glob("multirun/*/*/.git"))
    done = sweep(quick, *WORDS, RAY_ADDRESS=cluster.address)
    assert "4 jobs, 4 finished (4 of them before), 0 not" in done.stdout
    assert began(quick) == sorted([*FOUR, lost])


def test_without_a_cluster_one_line_says_so(quick: Project) -> None:
    said = sweep(quick, *WORDS, "hydra.launcher.address=127.0.0.1:1", check=False).stdout
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and errors[0].startswith("error: Ray at 127.0.0.1:1: "), said
    assert not began(quick) and "Traceback" not in said and not experiments(quick)
