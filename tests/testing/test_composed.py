"""What Hydra has composed once is given again, and only that."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from omegaconf import DictConfig

from testing.preloaded import composed
from testing.project import ROOT


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The overrides that came to Hydra itself."""
    came: list[list[str]] = []
    plainly = hydra.compose

    def compose(name: str, overrides: list[str], return_hydra_config: bool) -> DictConfig:
        came.append(overrides)
        return plainly(name, overrides, return_hydra_config)

    monkeypatch.setattr(hydra, "compose", compose)
    composed.once(tmp_path / "composed")
    yield came


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    return tmp_path / "conf"


def made_of(conf: Path, *overrides: str) -> Any:
    with hydra.initialize_config_dir(str(conf), version_base="1.3"):
        return hydra.compose("config", overrides=[*overrides], return_hydra_config=True)


def test_it_is_what_hydra_composes_and_composed_once(
    asked: list[list[str]], conf: Path, tmp_path: Path
) -> None:
    first = made_of(conf, "train.lr=0.5")
    second = made_of(shutil.copytree(conf, tmp_path / "other"), "train.lr=0.5")
    assert first == second and first.train.lr == 0.5
    assert first.hydra.runtime.choices == second.hydra.runtime.choices
    assert asked == [["train.lr=0.5"]]
    first.train.lr = 1.0
    assert made_of(conf, "train.lr=0.5").train.lr == 0.5


@pytest.mark.parametrize(
    "change",
    [
        lambda conf: (conf / "train/default.yaml").write_text("lr: 3.0\n"),
        lambda conf: (conf / "config.yaml").open("a").write("\nmore: 1\n"),
        lambda conf: (conf / "train/more.yaml").write_text("lr: 3.0\n"),
    ],
)
def test_other_files_are_composed(
    asked: list[list[str]], conf: Path, change: Callable[[Path], object]
) -> None:
    made_of(conf)
    change(conf)
    made_of(conf)
    assert asked == [[], []]


def test_what_hangs_on_more_than_its_files_is_composed_each_time(
    asked: list[list[str]], conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("1", "2"):
        monkeypatch.setenv("TESTED", value)
        assert made_of(conf, "+more=${oc.env:TESTED}").more == value
    assert len(asked) == 2


def test_a_fault_is_told_each_time(asked: list[list[str]], conf: Path) -> None:
    for _ in range(2):
        with pytest.raises(hydra.errors.HydraException):
            made_of(conf, "train.no_such_key=1")
    assert len(asked) == 2
