"""How far `torch.save(model)` falls short, shown."""

import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from testing.formats import FOLDER
from testing.formats import form as plugin
from tests.formats.conftest import Case, pixels

form = plugin("torch_pickle")

LOAD = """
import pathlib, sys
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
form.load(pathlib.Path(sys.argv[2]))
"""


def test_without_the_source_it_does_not_load(exported: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", LOAD, FOLDER / "torch_pickle", exported / "mlp"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No module named 'models'" in done.stderr


def test_it_does_not_claim_otherwise() -> None:
    assert not form.FORMAT.promises.code_free
    assert not form.FORMAT.promises.safe_to_load
    assert "source" in form.FORMAT.promises.note
    assert "trust" in form.FORMAT.promises.note


def test_the_bytes_do_not_depend_on_the_directory(cases: dict[str, Case], tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        form.export(cases["cnn"].model, pixels(5), ["logits"], tmp_path / name)
    for file in (form.FILE, form.INDEX):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_model_that_cannot_be_pickled_is_refused(tmp_path: Path) -> None:
    class Local(nn.Module):
        pass

    with pytest.raises(ValueError, match="cannot be pickled"):
        form.export(Local().eval(), pixels(5), ["logits"], tmp_path)
    assert not list(tmp_path.iterdir())
