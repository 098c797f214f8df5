"""MLflow serves a complete model as it lies, from the registry or a directory, without our code."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faults._server import free_port
from pipeline.complete_model import mlmodel
from testing import preloaded
from testing.project import ROOT, TINY, Project

BIN = Path(sys.executable).parent
UNDER_TEST = ("registered digits", "parcels", "parcels without ONNX")
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Served:
    uri: str
    directory: Path
    environ: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    text: str

    def outputs(self, name: str) -> np.ndarray:
        assert self.status == 200, self.text
        return np.asarray(json.loads(self.text)["predictions"][name])


@pytest.fixture(scope="module")
def registered(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """A PyTorch model with one input, served by onnxruntime, as the pipeline registers it."""
    project = Project(tmp_path_factory.mktemp("digits") / "project")
    shutil.copytree(trained.root, project.root, symlinks=True)
    settings = ("export.attempt=[onnx]", "verify.checks=[integrity]", "tracking.register=digits")
    project.params(*TINY, *settings)
    for name in ("export-complete", "verify", "log-to-mlflow"):
        project.stage(name)
    return Served(
        uri="models:/digits@verified",
        directory=project.root / "artifacts/complete-model",
        environ={"MLFLOW_TRACKING_URI": f"sqlite:///{project.root}/mlflow.db"},
    )


EXPORT = """
import json, sys
from pathlib import Path
import numpy as np
import tensorflow as tf
from models.keras_text_tabular import keras_text_tabular
from pipeline.complete_model import mlmodel
from pipeline.formats import exporter

directory, formats = Path(sys.argv[1]), sys.argv[2:]
rng = np.random.default_rng(0)
words = {name: rng.choice(["Egret", "Oslo", "über"], 7) for name in ("carrier", "town", "service")}
inputs = {**words, "numbers": rng.normal(5, 3, (7, 3)).astype(np.float32)}
model = keras_text_tabular([*words], "numbers", columns=3, tokens=8, units=16, classes=2)
for name, rows in inputs.items():
    kind = "lookup" if name in words else "normalization"
    model.get_layer(f"{name}_{kind}").adapt(rows)
for name in formats:
    exporter(name).export(model, inputs, ["probabilities"], directory)
answers = model({name: tf.constant(rows) for name, rows in inputs.items()}).numpy()
(directory / "examples").mkdir()
for batch, count in {"one": 1, "seven": 7}.items():
    arrays = {f"input.{name}": rows[:count] for name, rows in inputs.items()}
    np.savez(directory / f"examples/{batch}.npz", **arrays, **{
        "output.probabilities": answers[:count]})
schema = {"inputs": {name: {"dtype": "string", "shape": []} for name in words},
          "outputs": {"probabilities": {"dtype": "float32", "shape": [2]}}}
schema["inputs"]["numbers"] = {"dtype": "float32", "shape": [3]}
mlmodel.write(directory, schema, formats, np.load(directory / "examples/one.npz"))
"""


def parcels(directory: Path, *formats: str) -> Path:
    """A Keras model of three texts and some numbers, as its formats write it."""
    done = preloaded.run("keras", ROOT, "-c", EXPORT, str(directory), *formats)
    assert done.returncode == 0, done.stderr
    return directory


@pytest.fixture(scope="module", params=UNDER_TEST)
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Served:
    """Without ONNX TensorFlow serves, as it does what ONNX cannot hold."""
    if request.param == "registered digits":
        found: Served = request.getfixturevalue("registered")
        return found
    held = ["saved_model"] if "without" in request.param else ["saved_model", "onnx"]
    directory = parcels(tmp_path_factory.mktemp("parcels"), *held)
    return Served(uri=str(directory), directory=directory, environ={})


def alone(more: Mapping[str, str]) -> dict[str, str]:
    """An environment in which nothing of this repository is found."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
    return {**kept, **quiet, **more, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@contextlib.contextmanager
def serving(served: Served, folder: Path) -> Iterator[str]:
    """The address of `mlflow models serve`, run in `folder`, where its log is."""
    port = free_port()
    command = ["mlflow", "models", "serve", "-m", served.uri, "--env-manager", "local"]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=folder,
            env=alone(served.environ),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server, folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.2)
    pytest.fail(f"no answer from {url}; ended with {server.poll()}:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def address(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("nothing of ours")
    with serving(served, folder) as url:
        started = (folder / "log").read_text()
        alarming = [word for word in ("WARNING mlflow", "Traceback") if word in started]
        assert not alarming, started
        yield url


@pytest.fixture
def ask(address: str) -> Callable[[Any], Answer]:
    """Posts a body, as JSON unless it is bytes."""

    def post(body: Any) -> Answer:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        header = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/invocations", content, header)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return Answer(status=answer.status, text=answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(status=error.code, text=error.read().decode())

    return post


def example(directory: Path, batch: str) -> tuple[Arrays, str, np.ndarray]:
    """Inputs by name, the output's name, and what the trained model answered."""
    arrays = np.load(directory / f"examples/{batch}.npz")
    inputs = {name[6:]: arrays[name] for name in arrays if name.startswith("input.")}
    [output] = [name[7:] for name in arrays if name.startswith("output.")]
    return inputs, output, arrays[f"output.{output}"]


def repeated(array: np.ndarray, rows: int) -> np.ndarray:
    return array[np.resize(np.arange(len(array)), rows)]


def bodies(columns: Mapping[str, list[Any]]) -> dict[str, dict[str, Any]]:
    """The same rows in each way that MLflow's server knows."""
    rows = [list(row) for row in zip(*columns.values(), strict=True)]
    records = [dict(zip(columns, row, strict=True)) for row in rows]
    return {
        "inputs": {"inputs": dict(columns)},
        "instances": {"instances": records},
        "dataframe_split": {"dataframe_split": {"columns": list(columns), "data": rows}},
        "dataframe_records": {"dataframe_records": records},
    }


def test_rows_of_any_number_in_any_body_get_the_trained_models_answers(
    served: Served, ask: Callable[[Any], Answer]
) -> None:
    inputs, output, expected = example(served.directory, "seven")
    for rows in (1, 3, 100):
        columns = {name: repeated(array, rows).tolist() for name, array in inputs.items()}
        for kind, body in bodies(columns).items():
            answer = ask(body).outputs(output)
            wanted = repeated(expected, rows)
            np.testing.assert_allclose(answer, wanted, atol=1e-5, err_msg=f"{kind} {rows}")


def test_the_example_beside_the_model_is_a_request_that_works(
    served: Served, ask: Callable[[Any], Answer]
) -> None:
    _, output, expected = example(served.directory, "one")
    answer = ask((served.directory / mlmodel.REQUEST).read_bytes())
    np.testing.assert_allclose(answer.outputs(output), expected, atol=1e-5)


def test_whole_numbers_do_where_the_model_takes_floats(
    served: Served, ask: Callable[[Any], Answer]
) -> None:
    inputs, output, _ = example(served.directory, "seven")
    whole = {k: v.astype(int) if v.dtype.kind == "f" else v for k, v in inputs.items()}
    floats = {k: v.astype(float) if v.dtype.kind == "i" else v for k, v in whole.items()}
    of_floats = ask({"inputs": {k: v.tolist() for k, v in floats.items()}}).outputs(output)
    for kind, body in bodies({k: v.tolist() for k, v in whole.items()}).items():
        np.testing.assert_array_equal(ask(body).outputs(output), of_floats, err_msg=kind)


def test_what_mlflow_converts_before_any_model_sees_it_is_what_the_readme_says(
    served: Served, ask: Callable[[Any], Answer]
) -> None:
    """Nothing in a model that has a signature can tell; the day this fails, the README is wrong."""
    inputs, output, _ = example(served.directory, "seven")
    columns = {name: array.tolist() for name, array in inputs.items()}
    numbers = next(name for name, rows in columns.items() if isinstance(rows[0], list))
    as_they_are = ask({"inputs": columns}).outputs(output)
    as_texts = columns | {numbers: [[str(x) for x in row] for row in columns[numbers]]}
    np.testing.assert_array_equal(ask({"inputs": as_texts}).outputs(output), as_they_are)
    with_null = columns | {numbers: [[None, *row[1:]] for row in columns[numbers]]}
    assert ask({"inputs": with_null}).status == 200


Change = Callable[[list[list[float]]], Any]
WRONG: dict[str, tuple[Change, tuple[str, str]]] = {
    "text": (lambda rows: [["dark"] * len(row) for row in rows], ("dark", "'float32'")),
    "short": (lambda rows: [row[:-1] for row in rows], ("does not match expected shape", "shape")),
    "deep": (lambda rows: [[row] for row in rows], ("does not match expected shape", "scalar")),
    "ragged": (lambda rows: [rows[0][:-1], *rows[1:]], ("inhomogeneous shape", "uniform length")),
    "no list": (lambda rows: [row[0] for row in rows], ("expected shape", "contains scalar")),
    "objects": (lambda rows: [[{}] * len(row) for row in rows], ("'dict'", "not supported")),
    "no rows": (lambda _: [], ("shape", "missing inputs")),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_values_get_a_400_that_says_what_is_wrong(
    served: Served, ask: Callable[[Any], Answer], kind: str
) -> None:
    """First as arrays, then as a data frame; each is read by code of its own."""
    change, messages = WRONG[kind]
    columns = {k: v[:3].tolist() for k, v in example(served.directory, "seven")[0].items()}
    numbers = next(name for name, rows in columns.items() if isinstance(rows[0], list))
    columns[numbers] = change(columns[numbers])
    if kind == "no rows":
        columns = {name: [] for name in columns}
    found = bodies(columns)
    for body, message in zip(("inputs", "dataframe_records"), messages, strict=True):
        answer = ask(found[body])
        assert answer.status == 400 and message in answer.text, (body, answer)
        assert "Traceback" not in answer.text


def test_a_column_that_is_missing_or_misnamed_gets_a_400_that_names_it(
    served: Served, ask: Callable[[Any], Answer]
) -> None:
    inputs, _, _ = example(served.directory, "seven")
    for name in inputs:
        others = {k: v.tolist() for k, v in inputs.items() if k != name}
        for body in bodies({**others, "colour": inputs[name].tolist()}).values():
            answer = ask(body)
            assert answer.status == 400 and "Traceback" not in answer.text
            assert f"missing inputs ['{name}']" in answer.text, answer
            assert "extra inputs: ['colour']" in answer.text, answer


def test_a_column_too_many_is_left_aside(served: Served, ask: Callable[[Any], Answer]) -> None:
    """MLflow's way with every model: a line in the server's log, not a refusal."""
    inputs, output, expected = example(served.directory, "seven")
    columns = {k: v.tolist() for k, v in inputs.items()} | {"colour": ["red"] * 7}
    for body in bodies(columns).values():
        np.testing.assert_allclose(ask(body).outputs(output), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "valid JSON"),
        (b'{"inputs": ', "valid JSON"),
        (b"\xff\xfe", "valid JSON"),
        (b"[]", "Received a list"),
        (b"{}", "exactly one of the input fields"),
        (b'{"pixels": [[1.0]]}', "exactly one of the input fields"),
        (b'{"inputs": {}, "instances": []}', "exactly one of the input fields"),
        (b'{"inputs": {}}', "missing inputs"),
        (b'{"dataframe_split": {}}', "must have 'data' field"),
        (b'{"dataframe_split": {"columns": ["colour"], "data": [[1]]}}', "missing inputs"),
    ],
)
def test_a_body_that_is_no_request_gets_a_400_that_says_so(
    ask: Callable[[Any], Answer], body: bytes, message: str
) -> None:
    answer = ask(body)
    assert answer.status == 400 and message in answer.text, answer
    assert "Traceback" not in answer.text


LOAD = """
import importlib.util, json, sys
import mlflow.models, mlflow.pyfunc, numpy
uri, examples = sys.argv[1:]
assert importlib.util.find_spec("models") is None
sys.modules["pipeline"] = None
arrays = numpy.load(examples)
given = {name[6:]: arrays[name] for name in arrays if name.startswith("input.")}
answers = mlflow.pyfunc.load_model(uri).predict(given)
info = mlflow.models.get_model_info(uri)
example = mlflow.models.Model.load(uri).load_input_example(uri)
print(json.dumps({
    "answers": {name: answer.tolist() for name, answer in answers.items()},
    "example": {name: rows.tolist() for name, rows in example.items()},
    "dtypes": {name: rows.dtype.kind for name, rows in example.items()},
    "signature": info.signature.inputs.input_names(), "info": info.saved_input_example_info,
    "loaded": [name for name in ("torch", "tensorflow") if name in sys.modules],
}))
"""


def test_pyfunc_answers_the_same_and_shows_the_example(registered: Served, tmp_path: Path) -> None:
    """By the registry's alias, and without the framework that the model was made with."""
    inputs, output, expected = example(registered.directory, "seven")
    first, _, _ = example(registered.directory, "one")
    done = subprocess.run(
        ["python", "-c", LOAD, registered.uri, registered.directory / "examples/seven.npz"],
        cwd=tmp_path,
        env=alone(registered.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(found["answers"][output], expected, atol=1e-5)
    assert found["example"] == {name: array.tolist() for name, array in first.items()}
    assert found["signature"] == list(inputs) and set(found["dtypes"].values()) == {"f"}
    assert found["info"]["serving_input_path"] == mlmodel.REQUEST
    assert found["loaded"] == []


@pytest.mark.skipif(not (BIN / "uv").exists(), reason="uv is not beside this Python")
def test_an_environment_made_from_the_artifact_alone_predicts(
    registered: Served, tmp_path: Path
) -> None:
    """A real one, of what python_env.yaml lists: light, since PyTorch is not needed to serve."""
    script = (
        "import mlflow.models, sys; model, request, output = sys.argv[1:]; mlflow.models.predict("
        "model, input_path=request, env_manager='uv', output_path=output)"
    )
    request = registered.directory / mlmodel.REQUEST
    done = subprocess.run(
        ["python", "-c", script, registered.uri, request, tmp_path / "answer.json"],
        cwd=tmp_path,
        env=alone(registered.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert " + onnxruntime==" in done.stdout and " + torch==" not in done.stdout
    _, output, expected = example(registered.directory, "one")
    answer = json.loads((tmp_path / "answer.json").read_text())["predictions"][output]
    np.testing.assert_allclose(answer, expected, atol=1e-5)
