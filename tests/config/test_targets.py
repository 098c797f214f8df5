"""Nothing is called, and no other package imported, that a `_target_` must not name."""

import dataclasses
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from pipeline.config.component import component
from pipeline.config.reading import Component
from pipeline.config.targets import Kind, check
from pipeline.errors import ParamsError
from pipeline.frameworks import pytorch
from pipeline.training.metrics import FUNCTION, metric
from testing.project import ROOT

NET = Kind(bases=(pytorch.BASES["net"],), **pytorch.PARTS)
OPTIMIZER = Kind(bases=(pytorch.BASES["optimizer"],), **pytorch.PARTS)


@pytest.mark.parametrize(
    "target",
    [
        *("os.system", "builtins.open", "shutil.copy", "joblib.load", "numpy.load", "open"),
        *("subprocess.run", "pathlib.Path.write_text", "pandas.read_pickle", "torch.load"),
        *("models.torch_mlp.torch.load", "models.torch_mlp.torch.os.system", "torch.nn.modules"),
        *("models.torch_mlp", "torch.optim.Adam", "torch.nn.init.eye_", "antigravity", "", 3),
        *("models.standardize.__builtins__", "models..os", "torch.nn.functional.F", "modelsx.y"),
        *("torch.nn.Module.__init__.__globals__", "pipeline.provenance.digest", "torch.hub.load"),
    ],
)
def test_what_is_no_net_is_refused_before_it_is_called(target, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    config = Component({"_target_": target, "command": f"touch {marker}"})
    with pytest.raises(ParamsError, match=r"^model\.net\._target_: "):
        component(config, "model.net", NET)
    assert not marker.exists()


@pytest.mark.parametrize(
    "target",
    ["os.system", "sklearn.utils.joblib.load", "sklearn.metrics.pairwise.sp.load", "numpy.load"],
)
def test_what_is_no_metric_is_refused(target) -> None:
    with pytest.raises(ParamsError, match=r"^train\.metrics\.mine\._target_: "):
        metric(Component({"_target_": target}), "mine", None)


def test_another_package_is_not_even_imported(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "hostile.py").write_text("raise SystemExit('ran')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ParamsError, match="found 'hostile.Net', expected something of models"):
        component(Component({"_target_": "hostile.Net"}), "model.net", NET)
    assert "hostile" not in sys.modules


def test_arguments_are_looked_at_too() -> None:
    hidden = {"_target_": "torch.nn.Sequential", "_args_": [{"_target_": "os.system", "x": "id"}]}
    with pytest.raises(ParamsError, match=r"^model\.net\._args_\[0\]\._target_: found 'os.system'"):
        component(Component(hidden), "model.net", NET)
    secret = {"_target_": "torch.optim.Adam", "lr": "${oc.env:HOME}"}
    with pytest.raises(ParamsError, match=r"^model\.optimizer\.lr: found .*oc\.env"):
        component(Component(secret), "model.optimizer", OPTIMIZER)


def test_what_is_asked_for_is_made() -> None:
    layers = [{"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}]
    net = component(Component({"_target_": "torch.nn.Sequential", "_args_": layers}), "net", NET)()
    assert isinstance(net[0], torch.nn.Linear)
    check({"_target_": "models.torch_cnn.TorchCNN"}, "model.net", NET)
    check({"_target_": "sklearn.metrics.f1_score", "average": "macro"}, "metric", FUNCTION)


def test_a_misspelt_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=r"but models\.torch_cnn has no TorchCN$"):
        check({"_target_": "models.torch_cnn.TorchCN"}, "model.net", NET)


BROKEN = {
    "def f(:\n": r"models/broken\.py:1: SyntaxError: ",
    "x = 1\n  y = 2\n": r"models/broken\.py:2: IndentationError: ",
    "\n\nimport not_there\n": r"models/broken\.py:3: ModuleNotFoundError: No module named 'not_the",
    "from torch import nothing_here\n": r"models/broken\.py:1: ImportError: ",
    "import models.torch_mlp\nclass Net(undefined):\n    pass\n": r"broken\.py:2: NameError: ",
    "def f():\n    return {}['k']\nf()\n": r"models/broken\.py:2: KeyError: ",
    "from .helper import x\n": r"models/helper\.py:2: ZeroDivisionError: division by zero",
}


@pytest.mark.parametrize("code", BROKEN)
def test_a_model_file_that_cannot_be_imported_is_told_by_its_line(code, tmp_path) -> None:
    """In a process of its own, whose models/ it is."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models/__init__.py").write_text("")
    (tmp_path / "models/torch_mlp.py").write_text("")
    (tmp_path / "models/helper.py").write_text("\nx = 1 / 0\n")
    (tmp_path / "models/broken.py").write_text(code)
    script = f"""
        import sys
        sys.path[:0] = ["", {str(ROOT)!r}]
        from pipeline.config.targets import Kind, check
        from pipeline.errors import ParamsError
        try:
            check({{"_target_": "models.broken.Net"}}, "model.net", Kind(packages=(), bases=(int,)))
        except ParamsError as refusal:
            print(refusal)
    """
    command = [sys.executable, "-P", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert re.match(rf"model\.net\._target_: .*{BROKEN[code]}", done.stdout), done.stdout
    assert done.stdout.count("\n") == 1 and done.stdout.endswith("; correct the file\n")


def test_a_model_that_git_does_not_track_is_told_in_an_experiments_copy(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine.py").write_text("")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(ParamsError, match="has no mine; models/mine.py lies in .* `git add models"):
        check({"_target_": "models.mine.Net"}, "model.net", NET)
    with pytest.raises(ParamsError, match="has no other$"):
        check({"_target_": "models.other.Net"}, "model.net", NET)


BERT = {
    "_target_": "transformers.BertForMaskedLM",
    "config": {"_target_": "transformers.BertConfig", "num_hidden_layers": 1},
}
FROM_CONFIG = {
    "_target_": "transformers.AutoModel.from_config",
    "config": BERT["config"],
}


@pytest.mark.parametrize("config", [BERT, FROM_CONFIG])
def test_a_library_that_is_listed_gives_nets_and_what_describes_them(config: dict) -> None:
    listed = dataclasses.replace(NET, libraries=("transformers",))
    check(config, "model.net", listed)
    with pytest.raises(ParamsError, match="or list its library in model.libraries"):
        check(config, "model.net", NET)


@pytest.mark.parametrize(
    "target", ["transformers.BertConfig", "transformers.torch.hub.load", "transformers.os.system"]
)
def test_what_a_listed_library_has_from_elsewhere_is_refused(target: str) -> None:
    """A configuration is none of its nets, and what it imports is none of its own."""
    listed = dataclasses.replace(NET, libraries=("transformers",))
    with pytest.raises(ParamsError, match=r"^model\.net\._target_: found transformers\."):
        check({"_target_": target}, "model.net", listed)
