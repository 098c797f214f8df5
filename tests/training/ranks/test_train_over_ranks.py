"""A training over two processes is whole: killed, asked to end, judged and taken on like any."""

import contextlib
import json
import os
import re
import shutil
import signal
import time
from pathlib import Path

import pytest

from pipeline import provenance
from testing.project import TINY, Project, make_project
from tests.test_train import begin

RANKS = (*TINY, "model=torch_cnn", "train.epochs=4", "train.batch_size=64")
RANKS += ("train.distributed.processes=2", "train.distributed.strategy=fsdp")


SMALL = (*TINY, "experiment=language_model", "train.epochs=3", "train.batch_size=64")
SMALL += ("train.distributed.processes=2", "export.formats=[torch_export]")


@pytest.fixture(scope="module")
def whole(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Trained without a disturbance. Read it, do not change it."""
    folder = shutil.copytree(trained.root, tmp_path_factory.mktemp("ranks") / "project")
    project = Project(Path(folder))
    project.params(*RANKS)
    project.stage("train")
    return project


def stand_ins(client: int) -> list[int]:
    """Returns the preloaded process that works for a client, which has its number in its name."""
    names = {int(path.parent.name): path for path in Path("/proc").glob("[0-9]*/comm")}
    return [each for each, path in names.items() if _text(path).startswith(f"{client} ")]


def _text(path: Path) -> str:
    """Nothing of a process that has ended."""
    with contextlib.suppress(OSError):
        return path.read_text()
    return ""


def ranks_of(stage: int) -> list[int]:
    """Returns the processes of a stage's ranks, of one that is preloaded those which stand for
    them."""
    found = []
    own = {stage, *stand_ins(stage)}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in own and b"ranks.worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has ended meanwhile
            continue
    return sorted(found)


def test_asked_to_end_and_with_a_rank_killed_it_ends_in_the_same_bytes(
    whole: Project, copy_of
) -> None:
    project = copy_of(whole)
    output = project.root / "artifacts/train"
    running = begin(project, "epoch 1/4")
    ranks = ranks_of(running.pid)
    assert len(ranks) == 2
    running.send_signal(signal.SIGTERM)
    assert "ended by SIGTERM" in running.communicate(timeout=120)[0]
    assert running.returncode == 128 + signal.SIGTERM and not any(map(lives, ranks))
    running = begin(project, "epoch 2/4")
    ranks = ranks_of(running.pid)
    os.kill(ranks[1], signal.SIGKILL)
    start = time.monotonic()
    said = running.communicate(timeout=120)[0]
    assert re.search(r"error: train: rank 1 of 2 on \S+ was killed by SIGKILL; its last", said)
    assert time.monotonic() - start < 60 and not any(map(lives, ranks))
    assert "going on after epoch" in project.stage("train").stdout
    assert provenance.digest(output) == provenance.digest(whole.root / "artifacts/train")


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_transformer_is_made_again_resumed_and_verified(tmp_path: Path, strategy: str) -> None:
    first = make_project(tmp_path / "first")
    first.params(*SMALL, f"train.distributed.strategy={strategy}")
    first.stage("prepare")
    project = Project(Path(shutil.copytree(first.root, tmp_path / "again")))
    first.stage("train")
    running = begin(project, "epoch 1/3")
    os.kill(ranks_of(running.pid)[0], signal.SIGKILL)
    assert "rank 0 of 2" in running.communicate(timeout=120)[0]
    assert "going on after epoch" in project.stage("train").stdout
    ours, its = (provenance.digest(p.root / "artifacts/train") for p in (project, first))
    assert ours == its
    for stage in ("checkpoint", "export-complete", "verify"):
        project.stage(stage)


def lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def test_checkpoint_makes_one_file_of_the_parts(whole: Project, copy_of) -> None:
    """It demands that one process finds the metrics that two ranks did, exactly."""
    project = copy_of(whole)
    assert "epoch " in project.stage("checkpoint").stdout
    assert sorted(path.name for path in (project.root / "artifacts/checkpoint").glob("*.pt")) == [
        "checkpoint.pt"
    ]


TAKE_IN = """
import sys
from pathlib import Path
from pipeline.adopt import take_in
print(take_in(Path(sys.argv[1]))[0])
"""
ON = ("train.start_with=optimizer", "train.distributed.processes=3")
AVERAGED = ("train.averaging={kind: ema, decay: 0.9, start: 1}",)
ADAPTED = ("train.distributed.strategy=ddp", "train.new_weights=[head]")
ADAPTED += ("train.adapter={r: 2, alpha: 4, dropout: 0.1, targets: [features]}",)


@pytest.mark.parametrize("how", [ON, AVERAGED, ADAPTED], ids=["optimizer", "average", "adapter"])
def test_others_go_on_from_what_two_ranks_wrote(
    whole: Project, copy_of, how: tuple[str, ...]
) -> None:
    project = copy_of(whole)
    written = project.root / "artifacts/train/epoch_0002.dcp"
    digest = project.script(TAKE_IN, str(written), parent="pytorch").stdout.split()[-1]
    project.params(*RANKS, *how, f"train.start={digest}", "train.epochs=2")
    project.stage("train")
    taken = json.loads(project.read("artifacts/train/start.json"))
    assert taken["optimizer"] == (how is ON)
    assert "epoch " in project.stage("checkpoint").stdout
