"""Ranks on two machines, here both this one, come to the bytes of one machine's."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline import provenance
from pipeline.config.distributed_params import Distributed
from pipeline.errors import CannotRun, IncompleteArtifact
from pipeline.training.ranks import machines
from pipeline.training.ranks.machines import Machine, machine
from testing import preloaded
from testing.project import TINY, Project, make_project
from tests.training.ranks.test_train_over_ranks import ranks_of

OVER = (*TINY, "model=torch_mlp", "train.epochs=3", "train.distributed.processes=2")
OVER += ("train.distributed.strategy=fsdp",)
TWO = Distributed(processes=4, strategy="ddp", nodes=2, timeout=45)
TRAIN = ("pipeline.train", "--data", "artifacts/data", "--models", "models")
TRAIN += ("--output", "artifacts/train")


def meeting() -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    return {**os.environ, **where}


def started(project: Project, environ: Mapping[str, str], *words: str) -> subprocess.Popen[str]:
    pipes: dict[str, int] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    command = [preloaded.python(), "-m", *words]
    return subprocess.Popen(command, cwd=project.root, env=environ, text=True, **pipes)


def test_two_machines_come_to_the_bytes_of_one_also_after_a_kill(tmp_path: Path) -> None:
    one = make_project(tmp_path / "one")
    one.params(*OVER)
    one.stage("prepare")
    two = Project(Path(shutil.copytree(one.root, tmp_path / "two")))
    two.params(*OVER, "train.distributed.nodes=2")
    one.stage("train")
    environ = meeting()
    first = started(two, environ, *TRAIN)
    second = started(two, environ, "pipeline.join", "1")
    assert first.stdout and next(each for each in first.stdout if each.startswith("epoch 1/3"))
    (rank,) = ranks_of(second.pid)
    os.kill(rank, signal.SIGKILL)
    there, here = (each.communicate(timeout=120)[0] for each in (second, first))
    assert "error: join: rank 1 of 2 on " in there and "was killed by SIGKILL" in there
    assert "error: train: ranks 0 to 0 of 2 on " in here and "lost those of another" in here
    assert (first.returncode, second.returncode) == (1, 1)
    environ = meeting()
    second, first = started(two, environ, "pipeline.join", "1"), started(two, environ, *TRAIN)
    said = [each.communicate(timeout=120)[0] for each in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), said
    assert "going on after epoch" in said[0]
    for epoch in ("epoch_0001.dcp", "epoch_0003.dcp"):
        mine, its = (each.root / "artifacts/train" / epoch for each in (two, one))
        assert provenance.digest(mine) == provenance.digest(its)


def test_a_machine_takes_its_place_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("MASTER_ADDR", "10.0.0.1"), ("MASTER_PORT", "29500")):
        monkeypatch.setenv(name, value)
    second = machine(TWO, 1)
    assert Machine.of_words(second.words) == second
    for name, value in (("LOCAL_RANK", "1"), ("RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    machines.take_place(second)
    assert (os.environ["RANK"], os.environ["WORLD_SIZE"]) == ("3", "4")


def test_where_the_machines_meet_must_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "10.0.0.1")
    monkeypatch.delenv("MASTER_PORT", raising=False)
    with pytest.raises(CannotRun, match="^MASTER_ADDR and MASTER_PORT: found '10.0.0.1' and ''"):
        machine(TWO)


class Other:
    """What the first of two ranks sees, whose other one has another of everything."""

    def gathered(self, mine: Mapping[str, str]) -> list[Mapping[str, str]]:
        return [mine, {**mine, "models": "another"}]

    def of_first(self, value: object) -> object:
        return value


def test_a_machine_with_other_code_is_refused(
    trained: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.root)
    with pytest.raises(IncompleteArtifact, match="^models: differs on the machine of rank 1"):
        machines.demand_alike(Other())  # type: ignore[arg-type]


@pytest.mark.parametrize("node", ["0", "1"])
def test_who_has_nothing_to_join_is_told_so(trained: Project, node: str) -> None:
    done = trained.run("python", "-m", "pipeline.join", node, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("error: join: train.distributed.nodes: found 1 for machine")
    assert len(done.stdout.splitlines()) == 1
