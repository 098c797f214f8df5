"""`auto` as train.threads is a number wherever params are written."""

import shutil
from pathlib import Path

import pytest

from pipeline.config import machine
from pipeline.config.merge import composed, merge
from pipeline.config.params import Params
from pipeline.config.reading import read
from pipeline.errors import ParamsError
from testing.project import ROOT

FILE = "train/default.yaml"


@pytest.fixture
def conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The options, on a machine of three processors."""
    monkeypatch.setattr(machine, "processors", lambda: 3)
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


def test_on_the_command_line_it_is_this_machines(conf: Path) -> None:
    values, _ = composed(conf, ["train.threads=auto"])
    assert values["train"]["threads"] == 3
    read(Params, values)


def test_in_params_yaml_it_is_this_machines_and_stays(conf: Path) -> None:
    current, last = merge(conf, None, None)
    current["train"]["threads"] = "auto"
    merged, last = merge(conf, current, last)
    assert merged["train"]["threads"] == 3
    again, _ = merge(conf, merged, last)
    assert again == merged


def test_another_machine_leaves_what_conf_was_composed_to(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is part of the bits, and nothing trains again for a clone."""
    text = (conf / FILE).read_text()
    (conf / FILE).write_text(text.replace("threads: 1", "threads: auto"))
    merged, last = merge(conf, None, None)
    assert merged["train"]["threads"] == 3
    monkeypatch.setattr(machine, "processors", lambda: 8)
    again, _ = merge(conf, merged, last)
    assert again == merged


def test_any_other_text_is_refused(conf: Path) -> None:
    values, _ = composed(conf, ["train.threads=all"])
    with pytest.raises(ParamsError, match=r"^train\.threads: found 'all', expected "):
        read(Params, values)


def test_they_are_the_processors_that_this_process_may_use() -> None:
    assert 1 <= machine.processors() <= 100_000
