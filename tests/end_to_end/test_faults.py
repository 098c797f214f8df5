"""The fault suite in its short form, its table, and that it can fail."""

import re
import subprocess
import sys
import time

import pytest

from faults import _ground as ground
from faults import bits, disk_full, kill_rank, kill_stage, kill_write
from faults.__main__ import MARK, PAGE, line, table
from faults.tally import Tally, fault, generator, names
from testing.probe import LASTS
from testing.project import Project
from testing.shared import common


@pytest.mark.parametrize("name", names())
def test_nothing_is_lost_and_nothing_let_in(name, tmp_path, tmp_path_factory, monkeypatch):
    monkeypatch.setenv(ground.SHARED, str(common(tmp_path_factory)))
    module = fault(name)
    if reason := getattr(module, "unavailable", lambda scratch: None)(tmp_path):
        pytest.skip(reason)
    tally = module.run(module.SHORT, tmp_path / "run")
    assert tally.broken == []
    assert tally.tried > 0


@pytest.mark.parametrize("name", names())
def test_a_fault_says_how_often_and_what_must_come_of_it(name):
    module = fault(name)
    assert module.__doc__ and module.MUST
    assert 0 < module.SHORT <= module.REPEATS


def test_the_table_has_a_row_for_each_fault_and_nothing_broken():
    rows = PAGE.read_text().split(MARK)[1].strip().splitlines()[2:]
    columns = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert sorted(re.findall(r"\(`(\w+)`\)", "\n".join(rows))) == names()
    assert all(row[5] == "0" and int(row[1]) > 0 for row in columns)


def test_what_is_broken_is_counted_and_told():
    tally = Tally(tried=3, survived=2)
    assert not tally.demand(False, "the second: other bytes")
    assert tally.demand(True, "never said") and tally.broken == ["the second: other bytes"]
    assert "    1 broken" in line("bits", tally, 1.0)
    assert "| 3 | 2 | 0 | 0 | 1 |" in table({"bits": tally})


def test_the_moments_are_the_same_every_time():
    assert generator("bits").random() == generator("bits").random() != generator("disk").random()


def test_a_verifier_that_overlooks_a_bit_is_told(trained, copy_of, monkeypatch):
    directory = copy_of(trained).root / "artifacts/checkpoint"
    file = directory / "metrics.json"
    for blind, broken in ((False, 0), (True, 1)):
        if blind:
            monkeypatch.setattr("pipeline.provenance.faults", lambda directory: [])
        tally = Tally()
        bits._noticed(tally, directory, file, bits.flip, generator("bits"))
        assert (tally.tried, len(tally.broken)) == (1, broken)


@pytest.mark.parametrize("kind", bits.KINDS)
def test_damage_changes_the_directory_and_is_taken_back(trained, copy_of, kind):
    directory = copy_of(trained).root / "artifacts/checkpoint"

    def content():
        return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}

    before = content()
    with bits._damaged(directory, directory / "metrics.json", kind, generator("bits")):
        assert content() != before
    assert content() == before


WRITING = disk_full.STAGES[1]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0, ""),
        (1, "Traceback (most recent call last):\nOSError: [Errno 28] No space left on device"),
        (1, "error: train: artifacts/train: something else"),
        (137, "error: train: artifacts/train: no space left: 0.0 MiB free"),
    ],
)
def test_a_full_disk_that_is_not_told_in_one_line_is_broken(code, said):
    tally = Tally()
    assert not disk_full._told(tally, "train", WRITING, code, said)
    good = "epoch 1/2\nerror: train: artifacts/train: no space left: 0.0 MiB free at /; make room"
    assert disk_full._told(Tally(), "train", WRITING, 1, good)


def test_debris_of_a_killed_stage_is_told(trained, copy_of):
    project = copy_of(trained)
    (project.root.parent / "tmp").mkdir()
    ours = kill_stage.Setting(project, kill_stage._kept(project), {}, b"")
    assert kill_stage._debris(ours, []) == []
    (project.root.parent / "tmp/left").mkdir(parents=True)
    (project.root / "artifacts/data/val/targets/label.npy.partial").touch()
    told = kill_stage._debris(ours, [])
    assert [fault.split(": ")[0] for fault in told] == [
        "left, missing or changed",
        "left in TMPDIR",
    ]


def test_a_checkpoint_written_onto_the_file_itself_is_found(tmp_path, monkeypatch):
    """Written twice, so that the file is bad for long enough to be hit."""

    def spoiled(root, *overrides):
        project = original(root, *overrides)
        file = project.root / "pipeline/files.py"
        text = file.read_text()
        slow = "path.write_bytes(partial.read_bytes()[:99]); __import__('time').sleep(0.1)"
        indent = re.search(r"^( *)written\.replace\(partial, path\)", text, re.MULTILINE)[1]
        line = f"{indent}written.replace(partial, path)"
        file.write_text(text.replace(line, f"{indent}{slow}\n{line}"))
        return project

    original = kill_write.ground.project
    monkeypatch.setattr("faults._ground.project", spoiled)
    assert kill_write.run(6, tmp_path).broken


def test_what_stands_for_a_command_is_left_until_its_group_is_killed(tmp_path):
    place = tmp_path / "project"
    (place / "pipeline").mkdir(parents=True)
    (place / "pipeline/lasts.py").write_text(LASTS)
    running = ground.started(Project(place), "python", "-m", "pipeline.lasts", fresh=False)
    while not running.said:
        assert ground.alive(running.process)
        time.sleep(0.01)
    number = int(running.said)
    assert number != running.process.pid
    assert number in [each.pid for each in ground.left(running.within, "pipeline.lasts")]
    assert number in [each.pid for each in ground.family(running.process)]
    ground.kill_group(running)
    assert ground.left(running.within, "pipeline.lasts") == []


NAMED = "error: train: rank 1 of 2 on here was killed by SIGKILL; its last words: none; run"


@pytest.mark.parametrize(
    ("said", "seconds", "lingers", "broken"),
    [
        (NAMED, 3.0, False, ""),
        ("error: train: it failed", 3.0, False, "no line names the rank"),
        (NAMED, 61.0, False, "it ended 61 s after the kill"),
        (NAMED, 3.0, True, "ranks are left"),
    ],
)
def test_a_lost_rank_that_is_not_named_in_time_or_leaves_others_is_told(
    tmp_path, monkeypatch, said, seconds, lingers, broken
):
    monkeypatch.setattr(kill_rank, "RANK", "http.server")
    (tmp_path / "log").write_text(said)
    command = [sys.executable, "-m", "http.server", "0", "--bind", "127.0.0.1"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    other = subprocess.Popen(command, cwd=tmp_path, **quiet)
    running, tally = ground.Running(other, tmp_path / "log", Project(tmp_path)), Tally()
    try:
        if not lingers:
            other.kill()
            other.wait()
        kill_rank._ended(tally, "ddp", running, other, seconds)
    finally:
        other.kill()
        other.wait()
    assert [broken in line for line in tally.broken] == ([True] if broken else [])
