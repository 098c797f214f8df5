"""A work tree with params for a command, in which nothing has run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.params import TrainParams
from pipeline.config.reading import read
from pipeline.config.yaml_text import dump_yaml
from testing.project import ROOT

Command = Callable[..., TrainParams]


@pytest.fixture
def command_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Writes mine.py, and params with which it is the command; keys of `train` by name."""
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    (tmp_path / "artifacts/train").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)

    def command(script: str, text: str = "python mine.py {output}", **changes: object):
        (tmp_path / "mine.py").write_text(script)
        values = interpolated(compose_conf(ROOT / "conf", ["train=command"]))
        values["train"] |= {"command": text, **changes}
        (tmp_path / "params.yaml").write_text(dump_yaml(values))
        return read(TrainParams, values)

    return command
