"""What every file in pipeline/formats keeps to, whatever it holds."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.formats.conftest import FOLDER, FORMATS, MODELS, Case, in_order, pixels, plugin, trained

ROOT = FOLDER.parents[1]
CODE_FREE = [name for name in FORMATS if plugin(name).PROMISES["code_free"]]
SAME_BYTES = [name for name in FORMATS if plugin(name).PROMISES["same_bytes"]]
TELLTALE = "telltale_folder"

every_format = pytest.mark.parametrize("form", FORMATS)
every_model = pytest.mark.parametrize("model", MODELS)

IN_A_CLEAN_PROCESS = """
import importlib.util, sys, pathlib
import numpy as np
root, paths = pathlib.Path(sys.argv[1]), sys.argv[2:]
for path in paths:
    spec = importlib.util.spec_from_file_location("form", path)
    form = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(form)
    for directory in sorted(root.iterdir()):
        example = np.load(directory / "examples/one.npz")
        inputs = {k[6:]: example[k] for k in example.files if k.startswith("input.")}
        for name, found in form.load(directory)(inputs).items():
            np.testing.assert_allclose(found, example["output." + name], rtol=1e-3)
assert not {name.split(".")[0] for name in sys.modules} & {"models", "pipeline", "tests"}
print("loaded", len(paths))
"""

IN_ANOTHER_PLACE = """
import importlib.util, pathlib, sys
import numpy as np, torch
from telltale_models.torch_cnn import TorchCNN
out, paths = pathlib.Path(sys.argv[1]), sys.argv[2:]
model = TorchCNN(4, 10, 0.3)
model.load_state_dict(torch.load(out / "weights.pt"))
for path in paths:
    spec = importlib.util.spec_from_file_location("form", path)
    form = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(form)
    form.export(model.eval(), {"pixels": np.ones((9, 64), np.float32)}, ["logits"], out)
"""


def run(script: str, *arguments: object, cwd: Path, **environment: str) -> str:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@every_format
def test_it_says_what_it_promises(form: str) -> None:
    found = plugin(form)
    kinds = {key: type(value) for key, value in found.PROMISES.items()}
    truths = dict.fromkeys(("code_free", "safe_to_load", "trainable", "same_bytes"), bool)
    assert kinds == truths | {"runtimes": list, "note": str}
    assert "\n" not in found.PROMISES["note"]
    assert set(found.AFTER) <= set(FORMATS)
    assert found.REQUIRES


@every_format
def test_it_imports_nothing_of_ours(form: str) -> None:
    tree = ast.parse((FOLDER / f"{form}.py").read_text())
    names = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not {name.split(".")[0] for name in names} & {"", "models", "pipeline", "tests"}


@every_format
@every_model
def test_it_answers_as_the_model_does_for_any_number_of_rows(
    form: str, model: str, cases: dict[str, Case], exported: Path
) -> None:
    predict = plugin(form).load(exported / model)
    for rows in (0, 1, 7, 4096):
        inputs = cases[model].inputs(rows)
        expected, found = cases[model].eager(inputs), predict(inputs)
        assert list(found) == list(expected)
        for name, array in found.items():
            assert (array.shape, array.dtype) == (expected[name].shape, expected[name].dtype)
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


@every_format
@every_model
def test_the_weights_lie_where_it_says(
    form: str, model: str, cases: dict[str, Case], exported: Path
) -> None:
    places = plugin(form).weights(exported / model)
    state = cases[model].model.state_dict()
    used = {name for name in state if not name.endswith("num_batches_tracked")}
    assert used <= set(places)
    for name in used:
        file, offset, nbytes, dtype = places[name]
        content = (exported / model / file).read_bytes()[offset : offset + nbytes]
        expected = state[name].numpy()
        assert dtype == expected.dtype.name
        assert np.array_equal(np.frombuffer(content, dtype).reshape(expected.shape), expected)


@every_format
@every_model
def test_its_card_predicts(
    form: str, model: str, cases: dict[str, Case], exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported / model)
    example = np.load("examples/one.npz")
    inputs = [key.removeprefix("input.") for key in example.files if key.startswith("input.")]
    scope: dict = {}
    exec(plugin(form).card(inputs, cases[model].outputs), scope)
    found = scope["outputs"] if isinstance(scope["outputs"], (tuple, list)) else [scope["outputs"]]
    for name, array in zip(cases[model].outputs, found, strict=True):
        np.testing.assert_allclose(np.asarray(array), example[f"output.{name}"], rtol=1e-4)


@every_format
def test_a_model_in_training_mode_is_refused(
    form: str, cases: dict[str, Case], tmp_path: Path
) -> None:
    model = cases["cnn"].model
    model.features[1].train()
    try:
        with pytest.raises(ValueError, match="training mode"):
            plugin(form).export(model, pixels(5), ["logits"], tmp_path)
    finally:
        model.eval()
    assert not list(tmp_path.iterdir())


def test_the_code_free_ones_load_where_there_is_no_source(exported: Path, tmp_path: Path) -> None:
    paths = [FOLDER / f"{name}.py" for name in CODE_FREE]
    said = run(IN_A_CLEAN_PROCESS, exported, *paths, cwd=tmp_path, PYTHONPATH="")
    assert said.split() == ["loaded", str(len(CODE_FREE))]


def test_another_process_elsewhere_writes_the_same_bytes_and_leaves_no_trace_of_its_source(
    tmp_path: Path,
) -> None:
    import torch

    here, there, sources = (tmp_path / name for name in ("here", "there", TELLTALE))
    for folder in (here, there, sources / "telltale_models"):
        folder.mkdir(parents=True)
    for path in (ROOT / "models").glob("*.py"):
        text = path.read_text().replace("models.", "telltale_models.")
        (sources / "telltale_models" / path.name).write_text(text)
    from models.torch_cnn import TorchCNN

    model = trained(TorchCNN(4, 10, 0.3))
    torch.save(model.state_dict(), there / "weights.pt")
    order = in_order(SAME_BYTES)
    for name in order:
        plugin(name).export(model, pixels(2), ["logits"], here)
    scripts = [FOLDER / f"{name}.py" for name in order]
    run(IN_ANOTHER_PLACE, there, *scripts, cwd=sources, PYTHONHASHSEED="7", PYTHONPATH="")
    files = sorted(path.name for path in here.iterdir())
    assert files == sorted({path.name for path in there.iterdir()} - {"weights.pt"})
    for name in files:
        content = (there / name).read_bytes()
        assert content == (here / name).read_bytes(), name
        for trace in (b"telltale", b"TorchCNN", b"ChannelGate", b"site-packages", b"self.", b".py"):
            assert trace not in content, (name, trace)
