"""What every file in pipeline/formats keeps to, whatever it holds."""

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from pipeline import formats
from pipeline.formats.contract import Format, Promises
from pipeline.sandbox.worker.perturbation import altered, largest, perturb
from testing import preloaded
from testing.contracts import broken
from testing.formats import FOLDER, SPARED
from testing.formats import form as plugin
from testing.project import ROOT
from tests.formats.conftest import (
    FORMATS,
    MODELS,
    TRAINS_ONLY,
    Cases,
    Exported,
    holds,
    in_order,
    pixels,
    trained,
)

CODE_FREE = [name for name in FORMATS if plugin(name).FORMAT.promises.code_free]
SAME_BYTES = [
    name for name in FORMATS if plugin(name).FORMAT.promises.same_bytes and name not in TRAINS_ONLY
]
TORCH = [name for name in FORMATS if "pytorch" in plugin(name).FORMAT.frameworks]
KERAS = [name for name in FORMATS if "keras" in plugin(name).FORMAT.frameworks]
PAIRS = [(f, m) for f in FORMATS for some in MODELS.values() for m in some if holds(f, m)]
TELLTALE = "telltale_folder"

every_format = pytest.mark.parametrize("form", FORMATS)
every_pair = pytest.mark.parametrize(("form", "model"), PAIRS)

PARTS = {
    "export": "Exporter",
    "load": "Loader",
    "train": "TrainingLoader",
    "screen": "Screen",
    "card": "Card",
    "serving": "Serving",
}

IN_A_CLEAN_PROCESS = """
import sys, pathlib
import numpy as np
given = sys.argv[1:]
for path, directory in zip(given[::2], map(pathlib.Path, given[1::2])):
    sys.path.append(str(pathlib.Path(path).parents[1]))
    from form import Form
    form = Form(pathlib.Path(path).name)
    example = np.load(directory / "examples/one.npz")
    inputs = {k[6:]: example[k] for k in example.files if k.startswith("input.")}
    for name, found in form.load(directory)(inputs).items():
        np.testing.assert_allclose(found, example["output." + name], rtol=1e-3)
assert not {name.split(".")[0] for name in sys.modules} & {"models", "pipeline", "tests"}
print("loaded", len(given) // 2)
"""

IN_ANOTHER_PLACE = """
import pathlib, sys
import numpy as np, torch
from telltale_models.torch_cnn import TorchCNN
out, paths = pathlib.Path(sys.argv[1]), sys.argv[2:]
model = TorchCNN(4, 10, 0.3)
model.load_state_dict(torch.load(out / "weights.pt"))
for path in paths:
    sys.path.append(str(pathlib.Path(path).parents[1]))
    from form import Form
    form = Form(pathlib.Path(path).name)
    form.export(model.eval(), {"pixels": np.ones((9, 64), np.float32)}, ["logits"], out)
"""

KERAS_IN_ANOTHER_PLACE = """
import pathlib, sys
sys.path.insert(0, ".")
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
from testing.keras_models import built, inputs
out, rows, *paths = sys.argv[1:]
out = pathlib.Path(out)
if rows == "9":
    built("functional")  # another history of the process
for name in ("custom", "strings", "functional")[:: 1 if rows == "9" else -1]:
    (out / name).mkdir()
    model = built(name)
    for path in paths:
        sys.path.append(str(pathlib.Path(path).parents[1]))
        from form import Form
        form = Form(pathlib.Path(path).name)
        form.export(model, inputs(name, int(rows)), ["probabilities"], out / name)
"""


def run(script: str, *arguments: object, cwd: Path, **environment: str) -> str:
    command = [sys.executable, "-c", SPARED + script, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@every_format
def test_it_declares_what_it_promises_and_has_the_parts_for_it(form: str) -> None:
    found = formats.declared(form)
    assert isinstance(found, Format) and isinstance(found.promises, Promises)
    assert "\n" not in found.promises.note
    assert set(found.after) <= set(FORMATS) - {form}
    assert set(found.frameworks) <= set(MODELS) and found.frameworks and found.requires
    assert found.file.partition("/")[0] in found.entries
    assert found.promises.trainable is (found.continuation is not None)
    assert not found.promises.safe_to_load or found.screens
    wanted = {"export", "load", "card"}
    wanted |= {"train"} if found.promises.trainable else set()
    wanted |= {"screen"} if found.screens else set()
    wanted |= {"serving"} if found.serves else set()
    parts = {path.stem for path in (FOLDER / form).glob("[!_]*.py")}
    assert parts & {"export", "load", "card", "train", "screen", "serving"} == wanted


def test_the_type_checker_holds_every_part_to_its_contract(tmp_path: Path) -> None:
    lines = ["from pipeline.formats import changes, contract"]
    for form in FORMATS:
        for part, protocol in PARTS.items():
            if (FOLDER / form / f"{part}.py").is_file():
                lines.append(f"from pipeline.formats.{form} import {part} as {form}_{part}")
                trains = formats.declared(form).promises.trainable and part in ("export", "card")
                held_to = f"contract.{'Training' if trains else ''}{protocol}"
                if part == "load" and formats.declared(form).loads_changed:
                    held_to = "changes.ChangedLoader"
                lines.append(f"_{form}_{part}: {held_to} = {form}_{part}")
    lines.append("_no_loader: contract.Loader = contract")
    assert broken(lines, tmp_path) == lines[-1:]


@every_format
def test_it_imports_nothing_of_ours_but_what_lies_beside_it(form: str) -> None:
    for path in (FOLDER / form).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = {alias.name.split(".")[0] for alias in node.names}
                assert not names & {"models", "pipeline", "tests", "testing", "formats"}, path
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                top = str(node.module).split(".")[0]
                assert top not in {"models", "pipeline", "tests", "testing", "formats"}, path
            elif isinstance(node, ast.ImportFrom):
                public = r"(changes|contract|dimensions|places|programs|tolerance)$|_\w+"
                shared = node.level == 2 and re.match(public, node.module or "")
                assert node.level == 1 or shared, f"{path}: line {node.lineno}"


def reached(part: Path) -> set[Path]:
    """Modules of formats/ that a part imports, at the top or late, and those that they import."""
    modules: set[Path] = set()
    waiting = [part]
    while waiting:
        path = waiting.pop()
        if path in modules or not path.is_file():
            continue
        modules.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                named = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
                waiting += [named.with_suffix(".py"), *(named / f"{a.name}.py" for a in node.names)]
    return modules


@pytest.mark.parametrize("part", ["load", "train", "screen"])
@every_format
def test_a_part_that_reads_never_imports_what_writes(form: str, part: str) -> None:
    names = {path.stem for path in reached(FOLDER / form / f"{part}.py")}
    assert "export" not in names


@every_pair
def test_it_answers_as_the_model_does_for_any_number_of_rows(
    form: str, model: str, cases: Cases, exported: Exported
) -> None:
    predict = plugin(form).load(exported / model)
    for rows in (0, 1, 7, 4096):
        inputs = cases[model].inputs(rows)
        expected, found = cases[model].eager(inputs), predict(inputs)
        assert list(found) == list(expected)
        for name, array in found.items():
            assert (array.shape, array.dtype) == (expected[name].shape, expected[name].dtype)
            np.testing.assert_allclose(array, expected[name], rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(("form", "model"), [p for p in PAIRS if p[1] in MODELS["pytorch"]])
def test_the_weights_lie_where_it_says(
    form: str, model: str, cases: Cases, exported: Exported
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


@pytest.mark.parametrize(("form", "model"), [p for p in PAIRS if p[1] in MODELS["keras"]])
def test_a_changed_weight_of_keras_is_noticed(
    form: str, model: str, cases: Cases, exported: Exported, tmp_path: Path
) -> None:
    """Layouts differ: a changed byte where a format says a weight lies is refused or answers."""
    import tensorflow as tf

    directory, inputs = exported / model, cases[model].inputs(7)
    places = plugin(form).weights(directory)
    name = largest(places)
    perturb(places, directory, tmp_path / "copy", [name], unread=formats.unread(form))
    file, offset, nbytes, dtype = places[name]
    assert nbytes % np.dtype(dtype).itemsize == 0
    assert 0 < offset + nbytes <= (directory / file).stat().st_size
    assert not kinds(places) - {"f", "i", "u", "b"}
    try:
        found = plugin(form).load(tmp_path / "copy")(inputs)
    except (zipfile.BadZipFile, tf.errors.DataLossError):
        return
    expected = cases[model].eager(inputs)
    assert any(not np.allclose(found[key], expected[key], 1e-5, 1e-6) for key in expected)


@pytest.mark.parametrize(
    ("form", "model"), [(f, m) for f, m in PAIRS if plugin(f).FORMAT.loads_changed]
)
def test_with_changes_it_answers_as_a_copy_that_has_them(
    form: str, model: str, cases: Cases, exported: Exported, tmp_path: Path
) -> None:
    directory, inputs = exported / model, cases[model].inputs(7)
    places = plugin(form).weights(directory)
    name, strength = largest(places), 0.1
    before = {path: path.read_bytes() for path in directory.iterdir() if path.is_file()}
    changes = altered(places, directory, [name], strength)
    found = plugin(form).load_changed(directory, changes)(inputs)
    perturb(places, directory, tmp_path / "copy", [name], strength, formats.unread(form))
    copied = plugin(form).load(tmp_path / "copy")(inputs)
    own = plugin(form).load(directory)(inputs)
    assert all(np.array_equal(found[key], copied[key]) for key in copied)
    assert any(not np.array_equal(found[key], own[key]) for key in own)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize(
    ("form", "model"), [(f, m) for f, m in PAIRS if plugin(f).FORMAT.weight_files]
)
def test_its_weights_lie_in_the_files_that_others_may_refer_to(
    form: str, model: str, exported: Exported
) -> None:
    places = plugin(form).weights(exported / model).values()
    assert {place[0] for place in places} == set(plugin(form).FORMAT.weight_files)


def kinds(places: dict[str, tuple[str, int, int, str]]) -> set[str]:
    return {np.dtype(dtype).kind for _, _, _, dtype in places.values()}


@every_pair
def test_its_card_predicts(
    form: str, model: str, cases: Cases, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported / model)
    example = np.load("examples/one.npz")
    inputs = [key.removeprefix("input.") for key in example.files if key.startswith("input.")]
    scope: dict = {}
    exec(plugin(form).card(inputs, cases[model].outputs), scope)
    found = scope["outputs"] if isinstance(scope["outputs"], (tuple, list)) else [scope["outputs"]]
    for name, array in zip(cases[model].outputs, found, strict=True):
        np.testing.assert_allclose(np.asarray(array), example[f"output.{name}"], rtol=1e-4)


@pytest.mark.parametrize("form", TORCH)
def test_a_model_in_training_mode_is_refused(form: str, cases: Cases, tmp_path: Path) -> None:
    model = cases["cnn"].model
    model.features[1].train()
    try:
        with pytest.raises(ValueError, match="training mode"):
            plugin(form).export(model, pixels(5), ["logits"], tmp_path)
    finally:
        model.eval()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("framework", MODELS)
def test_the_code_free_ones_load_where_there_is_no_source(
    framework: str, exported: Exported, tmp_path: Path
) -> None:
    pairs = [(f, m) for f, m in PAIRS if f in CODE_FREE and m in MODELS[framework]]
    given = [each for f, m in pairs for each in (FOLDER / f, exported / m)]
    said = run(IN_A_CLEAN_PROCESS, *given, cwd=tmp_path, PYTHONPATH="")
    assert said.split()[-2:] == ["loaded", str(len(pairs))]


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
    order = in_order([name for name in SAME_BYTES if name in TORCH])
    for name in order:
        plugin(name).export(model, pixels(2), ["logits"], here)
    scripts = [FOLDER / name for name in order]
    words = ["-c", IN_ANOTHER_PLACE, str(there), *map(str, scripts)]
    done = preloaded.run("pytorch", sources, *words, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    files = sorted(path.name for path in here.iterdir())
    assert files == sorted({path.name for path in there.iterdir()} - {"weights.pt"})
    for name in files:
        content = (there / name).read_bytes()
        assert content == (here / name).read_bytes(), name
        for trace in (b"telltale", b"TorchCNN", b"ChannelGate", b"site-packages", b"self.", b".py"):
            assert trace not in content, (name, trace)


def test_another_process_elsewhere_writes_the_same_bytes_of_keras_models(tmp_path: Path) -> None:
    """Neither is the tests' own, whose history may be in the last bit of what is trained there; one
    begins with its imports done."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, place, rows in ((here, "first", 2), (there, TELLTALE, 9)):
        sources = tmp_path / place
        (sources / "testing").mkdir(parents=True)
        shutil.copy(ROOT / "testing/keras_models.py", sources / "testing/keras_models.py")
        folder.mkdir()
        scripts = [FOLDER / form for form in in_order([f for f in SAME_BYTES if f in KERAS])]
        words = list(map(str, (folder, rows, *scripts)))
        if rows == 2:
            code = ["-c", KERAS_IN_ANOTHER_PLACE, *words]
            done = preloaded.run("keras", sources, *code, PYTHONPATH="")
            assert done.returncode == 0, done.stderr
        else:
            own = {"PYTHONHASHSEED": "9", "PYTHONPATH": ""}
            run(KERAS_IN_ANOTHER_PLACE, *words, cwd=sources, **own)
    files = sorted(path.relative_to(here) for path in here.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(there) for p in there.rglob("*") if p.is_file())
    different = [
        path for path in files if (here / path).read_bytes() != (there / path).read_bytes()
    ]
    assert not different
    for path in files:
        traces = [b"telltale", b"site-packages", b"/tmp", str(ROOT).encode()]
        if path.name != "model.keras":  # names the modules of its classes
            traces += [b"keras_models", b".py"]
        content = (there / path).read_bytes()
        assert not [(path, trace) for trace in traces if trace in content]


@pytest.mark.parametrize(
    ("form", "unread"),
    [
        ("torch_export", {"optimizer.pt", "model.onnx", "onnx_train/state.json"}),
        ("onnx", {"optimizer.pt", "onnx_train/state.json"}),
        ("onnx_train", {"model.onnx"}),
    ],
)
def test_what_predicting_does_not_read_is_told_by_those_that_hold_it(
    form: str, unread: set[str]
) -> None:
    files = ("model.pt2", "optimizer.pt", "model.onnx", "onnx_train/state.json", "schema.json")
    assert set(filter(formats.unread(form), files)) == unread
