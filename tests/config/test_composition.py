"""conf/ composes, or says in one line what is wrong."""

import shutil
from pathlib import Path

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.errors import ParamsError
from testing.project import ROOT


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    return Path(shutil.copytree(ROOT / "conf", tmp_path / "conf"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epohcs=3", "train.epohcs: no such key; did you mean epochs? allowed: epochs,"),
        ("model=torch_mpl", "model=torch_mpl: no such option; did you mean torch_mlp? allowed: "),
        ("modle=torch_mlp", "modle"),
        ("train.lr=[", "train.lr=[: no viable alternative"),
        ("train.lr=${oc.env:HOME}", "expected a value that is the same everywhere"),
        ("data.file=???", "data.file: mandatory value not given"),
        ("train.lr=${train.nothing}", "nothing"),
    ],
)
def test_what_cannot_be_composed_is_refused_in_one_line(conf, override, said):
    with pytest.raises(ParamsError) as refusal:
        interpolated(compose_conf(conf, [override]))
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)
