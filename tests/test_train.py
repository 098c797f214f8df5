"""Training is a function of its inputs, bit for bit, and a killed one goes on where it was."""

import csv
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from faults._ground import working
from pipeline import provenance
from pipeline.training.history import read_history, retained
from testing import preloaded
from testing.project import TINY


def test_two_runs_give_the_same_bytes(trained, copy_of):
    again = copy_of(trained)
    again.stage("train")
    ours, theirs = (p.root / "artifacts/train" for p in (again, trained))
    assert (ours / provenance.NAME).read_bytes() == (theirs / provenance.NAME).read_bytes()
    assert provenance.faults(ours) == []


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(longer, copy_of):
    """With dropout, batch norm, AdamW and a schedule: nothing of their state may be lost."""
    whole, undisturbed = longer
    project = copy_of(whole)
    statement = project.root / "artifacts/train" / provenance.NAME
    ended(begin(project, "epoch 2/4"), signal.SIGKILL)
    assert not statement.exists()
    assert "going on after epoch" in project.stage("train").stdout
    assert statement.read_bytes() == undisturbed


def begin(project, until: str, program: str | None = None) -> subprocess.Popen:
    """`train`, when its output has come to the line that begins so; end it, then `ended`."""
    command = [program or preloaded.python(), "-m", "pipeline.train", "--data", "artifacts/data"]
    command += ["--models", "models", "--output", "artifacts/train"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    running = subprocess.Popen(command, cwd=project.root, **pipes)
    for line in running.stdout:
        if line.startswith(until):
            return running
    raise AssertionError(f"train ended without {until!r}")


def ended(running: subprocess.Popen, number: int) -> str:
    """Its words after the signal, which goes to the process that trains: through one that stands
    before it, it would come a moment later, when all may be done."""
    working(psutil.Process(running.pid)).send_signal(number)
    return running.communicate(timeout=60)[0]


LONGER = ("model=torch_cnn", "train.epochs=6", "train.batch_size=128")


@pytest.fixture(scope="module")
def longer(trained, tmp_path_factory):
    """Four epochs of twelve steps, and what they are when nothing disturbs them. Copy it."""
    root = shutil.copytree(trained.root, tmp_path_factory.mktemp("longer") / "project")
    project = type(trained)(Path(root))
    project.params("model=torch_cnn", "train.epochs=4", "train.batch_size=16")
    project.stage("train")
    statement = project.root / "artifacts/train" / provenance.NAME
    return project, statement.read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_goes_on_at_the_very_step(longer, copy_of, number):
    whole, undisturbed = longer
    project = copy_of(whole)
    output = project.root / "artifacts/train"
    for epoch in (1, 2, 3):  # the signal may come while an epoch is judged and saved
        running = begin(project, f"epoch {epoch}/4")
        time.sleep(0.1)
        said = ended(running, number)
        assert running.returncode == 128 + number
        assert f"train: ended by {number.name}" in said
        if (output / "within.pt").is_file():
            break
    assert (output / "within.pt").is_file()
    again = project.stage("train").stdout
    assert re.search(r"going on after step \d+ of epoch \d", again)
    assert (output / provenance.NAME).read_bytes() == undisturbed
    assert not list(output.glob("within*"))


def test_a_second_signal_ends_it_at_once_and_no_epoch_is_lost(longer, copy_of):
    whole, undisturbed = longer
    project = copy_of(whole)
    running = begin(project, "epoch 2/4", sys.executable)
    running.send_signal(signal.SIGTERM)
    ended(running, signal.SIGTERM)
    assert running.returncode == 143
    again = project.stage("train").stdout
    assert "going on after epoch" in again
    statement = project.root / "artifacts/train" / provenance.NAME
    assert statement.read_bytes() == undisturbed


def test_a_damaged_checkpoint_is_named_and_never_gone_on_from(longer, copy_of):
    whole, undisturbed = longer
    project = copy_of(whole)
    output = project.root / "artifacts/train"
    ended(begin(project, "epoch 3/4"), signal.SIGKILL)
    damaged = bytearray((output / "epoch_0002.pt").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (output / "epoch_0002.pt").write_bytes(damaged)
    said = project.stage("train").stdout
    assert "artifacts/train/epoch_0002.pt: changed; not used" in said
    assert "going on after epoch 1\n" in said
    assert (output / provenance.NAME).read_bytes() == undisturbed


@pytest.fixture(scope="module")
def bounded(longer, tmp_path_factory):
    """The same, of which the last epoch stays alone beside the best. Copy it."""
    whole, _ = longer
    root = shutil.copytree(whole.root, tmp_path_factory.mktemp("bounded") / "project")
    project = type(whole)(Path(root))
    project.params(*LONGER, "train.keep=1", "train.lr=0.02")
    project.stage("train")
    statement = project.root / "artifacts/train" / provenance.NAME
    return project, statement.read_bytes()


def test_the_files_are_bounded_and_the_epoch_that_is_chosen_is_among_them(bounded, copy_of):
    project = copy_of(bounded[0])
    output = project.root / "artifacts/train"
    history = read_history(output / "history.csv")
    there = sorted(int(path.stem[6:]) for path in output.glob("epoch_*"))
    assert there == retained(history, 1) and len(there) < len(history) == 6
    for metric, mode in (("val/loss", "min"), ("val/accuracy", "min")):
        project.params(*LONGER, "train.keep=1", "train.lr=0.02", f"checkpoint.metric={metric}",
                       f"checkpoint.mode={mode}")  # fmt: skip
        project.stage("checkpoint")


@pytest.mark.parametrize("until", ["epoch 3/6", "epoch 5/6"])
def test_a_killed_run_with_bounded_files_ends_in_the_same_bytes(bounded, copy_of, until):
    whole, undisturbed = bounded
    project = copy_of(whole)
    ended(begin(project, until), signal.SIGKILL)
    assert "going on after epoch" in project.stage("train").stdout
    assert (project.root / "artifacts/train" / provenance.NAME).read_bytes() == undisturbed


def test_where_a_checkpoint_that_stays_is_damaged_an_earlier_epoch_is_gone_on_from(
    bounded, copy_of
):
    whole, undisturbed = bounded
    project = copy_of(whole)
    output = project.root / "artifacts/train"
    ended(begin(project, "epoch 5/6"), signal.SIGKILL)
    (output / "epoch_0001.pt").write_bytes(b"rot")
    said = project.stage("train").stdout
    assert "artifacts/train/epoch_0001.pt: changed; not used" in said
    assert "going on" not in said
    assert (output / provenance.NAME).read_bytes() == undisturbed


def test_a_full_disk_met_while_training_goes_on_is_one_line(trained, copy_of):
    """/dev/full in the place of the second checkpoint's file."""
    project = copy_of(trained)
    words = project.stage_command("train")[3:]
    done = preloaded.run("pytorch", project.root, "-c", FULL_DISK, *words)
    assert done.returncode == 1
    assert "error: train: artifacts/train/epoch_0002.pt: no space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project.root / "artifacts/train/epoch_0001.pt").is_file()


FULL_DISK = """
import pathlib, runpy
before = pathlib.Path.open
def opening(path, mode="r", *arguments, **options):
    where = "/dev/full" if path.name == "epoch_0002.pt.partial" and "w" in mode else path
    return before(pathlib.Path(where), mode, *arguments, **options)
pathlib.Path.open = opening
runpy.run_module("pipeline.train", run_name="__main__", alter_sys=True)
"""


def test_what_was_begun_from_other_params_is_refused_and_kept_until_they_are_back(longer, copy_of):
    whole, undisturbed = longer
    project = copy_of(whole)
    before = project.read("params.yaml")
    statement = project.root / "artifacts/train" / provenance.NAME
    ended(begin(project, "epoch 2/4"), signal.SIGKILL)
    project.params("model=torch_cnn", "train.epochs=4", "train.batch_size=16", "train.lr=0.5")
    said = project.stage("train").stdout
    assert re.search(
        r"artifacts/train: begun from other .*train.lr.*; kept in artifacts/.train", said
    )
    assert "going on" not in said
    (project.root / "params.yaml").write_text(before)
    said = project.stage("train").stdout
    assert "artifacts/train: back from artifacts/.train.aside" in said
    assert "going on after epoch" in said
    assert statement.read_bytes() == undisturbed


def test_a_change_of_its_inputs_while_it_runs_is_told_and_nothing_recorded(longer, copy_of):
    """DVC would record the new code with the old code's results."""
    whole, undisturbed = longer
    project = copy_of(whole)
    statement = project.root / "artifacts/train" / provenance.NAME
    source = project.root / "models/torch_cnn.py"
    text = source.read_text()
    running = begin(project, "epoch 1/4")
    source.write_text(text + "\n# Another.\n")
    said = running.communicate(timeout=120)[0]
    assert running.returncode == 1
    assert "error: train: models: changed while it ran; nothing is recorded" in said
    assert not statement.exists()
    source.write_text(text)
    assert "going on after epoch 4" in project.stage("train").stdout
    assert statement.read_bytes() == undisturbed


def test_divergence_ends_in_one_line_without_a_statement(trained, copy_of):
    project = copy_of(trained)
    project.params(*TINY, "train.lr=1.0e38", "model.optimizer._target_=torch.optim.SGD")
    said = project.stage("train", check=False)
    assert said.returncode == 1
    last = said.stdout.splitlines()[-1]
    assert last.startswith("error: train: epoch 1: train/loss is nan; nothing is exported.")
    assert not (project.root / "artifacts/train" / provenance.NAME).exists()


def test_early_stopping_ends_after_its_patience(trained, copy_of):
    project = copy_of(trained)
    stop = "train.early_stopping={metric: val/loss, mode: max, patience: 2}"
    project.params(*TINY, "train.epochs=50", stop)
    project.stage("train")
    assert len(read_history(project.root / "artifacts/train/history.csv")) == 3


def test_clipping_changes_the_steps(trained, copy_of):
    project = copy_of(trained)
    project.params(*TINY, "train.clip_norm=0.001")
    project.stage("train")
    ours, theirs = (
        read_history(p.root / "artifacts/train/history.csv") for p in (project, trained)
    )
    assert ours[0]["train/loss"] != theirs[0]["train/loss"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.net._target_=models.torch_mlp.Nothing", "error: train: model.net._target_: "),
        ("+model.net.depth=3", "error: train: model.net: "),
        ("train.device=cuda", "error: train: train.device: found cuda, but torch sees no GPU"),
        (
            "model.optimizer._target_=torch.optim.Nothing",
            "error: train: model.optimizer._target_: ",
        ),
    ],
)
def test_what_cannot_be_built_is_one_line(trained, copy_of, override, said):
    import torch

    if "cuda" in override and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    project = copy_of(trained)
    project.params(*TINY, override)
    done = project.stage("train", check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(said) and done.stdout.count("\n") == 1


def test_a_call_that_names_other_inputs_is_refused(trained, copy_of):
    project = copy_of(trained)
    model = project.root / "models/torch_mlp.py"
    model.write_text(model.read_text().replace("pixels", "picture"))
    done = project.stage("train", check=False)
    assert (
        "its forward takes ['picture'], data.inputs has ['pixels']; name them alike" in done.stdout
    )


def test_regression_trains_with_its_own_loss_and_metric(project):
    rows = np.random.default_rng(0).normal(size=(200, 3))
    target = rows @ [1.0, -2.0, 0.5]
    with (project.root / "data/line.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "y"])
        writer.writerows(np.column_stack([rows, target]).tolist())
    Path(project.root / "conf/data/line.yaml").write_text(
        "name: line\nfile: line.csv\n"
        "inputs:\n  rows: {source: [a, b, c], shape: [3], dtype: float32}\n"
        "targets: {value: {source: y, classes: null}}\nid: null\n"
        "split: {val: 0.2, test: 0.2, seed: 0}\n"
    )
    Path(project.root / "models/line.py").write_text(
        "from torch import nn\n\n\n"
        "class Line(nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Linear(3, 1)\n\n"
        "    def forward(self, rows):\n        return self.layer(rows).squeeze(1)\n"
    )
    Path(project.root / "conf/model/line.yaml").write_text(
        "name: line\nframework: pytorch\nnet: {_target_: models.line.Line}\n"
        "loss: {_target_: torch.nn.MSELoss}\n"
        "optimizer: {_target_: torch.optim.SGD, lr: '${train.lr}'}\n"
        "scheduler: null\noutputs: [y]\nformats: [torch_export]\n"
    )
    project.params(
        "data=line",
        "model=line",
        "train.lr=0.1",
        "train.epochs=10",
        "~train.metrics.accuracy",
        "+train.metrics.r2={_target_: sklearn.metrics.r2_score}",
        "checkpoint={metric: val/r2, mode: max, many: 8}",
        "export.formats=[torch_export]",
    )
    for name in ("prepare", "train", "checkpoint", "export-complete"):
        project.stage(name)
    history = read_history(project.root / "artifacts/train/history.csv")
    assert history[-1]["val/r2"] > 0.99


def test_a_terminal_sees_a_bar_and_a_log_one_line_an_epoch(trained, copy_of):
    project = copy_of(trained)
    said = project.stage("train").stdout.splitlines()
    assert [line.split("  ")[0] for line in said] == ["epoch 1/2", "epoch 2/2"]
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 120))
    command = [preloaded.python(), "-m", "pipeline.train", "--data", "artifacts/data"]
    command += ["--models", "models", "--output", "artifacts/train"]
    running = subprocess.Popen(command, cwd=project.root, stdout=subprocess.DEVNULL, stderr=slave)
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            seen += os.read(master, 4096)
        except OSError:  # the other end closed
            break
    running.wait()
    assert b"epoch 2/2" in seen and b"val/accuracy=" in seen and b"loss=" in seen
