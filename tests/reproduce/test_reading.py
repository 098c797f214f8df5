"""What looks into a stranger's files is a process that can do nothing else."""

import os
from pathlib import Path

import pytest

from pipeline.errors import CannotRun
from pipeline.reproduce import reading
from pipeline.reproduce.compare import measure_all
from pipeline.sandbox import launcher

CONFINED = pytest.mark.skipif(bool(launcher.lacking()), reason="this system cannot confine")


def test_it_answers_what_a_function_of_ours_says(tmp_path: Path) -> None:
    for side, value in (("a", "1"), ("b", "2")):
        (tmp_path / side).mkdir()
        (tmp_path / side / "x.json").write_text(f'{{"loss": {value}}}')
    places = [tmp_path / "a", tmp_path / "b"]
    (answer,) = reading.call(measure_all, [["x.json"], *map(str, places)], places)
    assert (answer["tensor"], answer["recorded"], answer["rebuilt"]) == ("loss", "1", "2")


@CONFINED
def test_it_reads_what_it_was_given_and_writes_nowhere(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SECRET", "told")
    (tmp_path / "given").mkdir()
    assert reading.call(os.listdir, [str(tmp_path / "given")], [tmp_path / "given"]) == []
    assert reading.call(os.getenv, ["SECRET"], []) is None
    for function, arguments in (
        (os.listdir, [str(tmp_path)]),
        (os.mkdir, [str(tmp_path / "mark")]),
        (os.mkdir, [str(tmp_path / "given/mark")]),
        (os.kill, [os.getpid(), 0]),
        (os.listdir, [str(Path.home())]),
    ):
        with pytest.raises(CannotRun, match="PermissionError"):
            reading.call(function, arguments, [tmp_path / "given"])
    assert reading.call(os.system, [f"echo > {tmp_path}/mark"], []) != 0
    assert not (tmp_path / "mark").exists()


def test_an_end_without_an_answer_is_one_line() -> None:
    with pytest.raises(CannotRun, match="^reading it ended with ") as raised:
        reading.call(os.abort, [], [])
    assert "\n" not in str(raised.value)
    with pytest.raises(CannotRun, match="not JSON serializable"):
        reading.call(os.urandom, [2], [])
