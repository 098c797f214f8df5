"""MLflow itself loads and serves a directory that MLflow did not write."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import mlmodel

SCHEMA = {
    "inputs": {"pixels": {"dtype": "float32", "shape": [6]}},
    "outputs": {"logits": {"dtype": "float32", "shape": [3]}},
    "target": {"dtype": "int64", "classes": 3},
}
TWO = SCHEMA | {"inputs": {name: {"dtype": "float32", "shape": [2, 3]} for name in ("a", "b")}}
NAMED, UNNAMED = ["torch_export", "onnx"], ["torch_export"]
PIXELS = np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6)


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With ONNX, its weights in model.pt2; in a directory with a space and an umlaut."""
    return make(tmp_path_factory.mktemp("modell für mlflow"), NAMED)


@pytest.fixture(scope="module")
def unnamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("torch"), UNNAMED)


def make(directory: Path, formats: list[str]) -> Path:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(6, 3).eval()
    example = torch.from_numpy(PIXELS)
    rows = ({0: torch.export.Dim("rows")},)
    content = io.BytesIO()
    torch.export.save(torch.export.export(model, (example,), dynamic_shapes=rows), content)
    (directory / "model.pt2").write_bytes(content.getvalue())
    if "onnx" in formats:
        exported = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            verbose=False,
            input_names=["pixels"],
            output_names=["logits"],
            dynamic_shapes=rows,
        )
        write_onnx(exported.model_proto, directory)
    (directory / "requirements.txt").write_text("torch\nnumpy\nonnxruntime\n")
    np.save(directory / "logits.npy", model(example).detach().numpy())
    mlmodel.write(directory, SCHEMA, formats)
    return directory


def write_onnx(model: Any, directory: Path) -> None:
    """Weights are named by their place in model.pt2."""
    import onnx

    weights = (directory / "model.pt2").read_bytes()
    for tensor in model.graph.initializer:
        place = {"location": "model.pt2", "offset": weights.index(tensor.raw_data)}
        place["length"] = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
    onnx.save(model, directory / "model.onnx")


def expected(directory: Path) -> np.ndarray:
    return np.load(directory / "logits.npy")


def predict(directory: Path, data: Any) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(directory)).predict(data)


def test_pyfunc_takes_inputs_by_name_at_any_batch_size(named: Path) -> None:
    for rows in (1, 5):
        given = predict(named, {"pixels": PIXELS[:rows]})
        assert list(given) == ["logits"]
        np.testing.assert_allclose(given["logits"], expected(named)[:rows], atol=1e-6)
    many = predict(named, {"pixels": np.tile(PIXELS, (40, 1))})["logits"]
    np.testing.assert_allclose(many, np.tile(expected(named), (40, 1)), atol=1e-6)


def test_pyfunc_takes_a_data_frame_with_a_column_for_each_input(named: Path) -> None:
    import pandas as pd

    given = predict(named, pd.DataFrame({"pixels": list(PIXELS)}))
    np.testing.assert_allclose(given["logits"], expected(named), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pixel": PIXELS}, "pixels"),
        ({"pixels": PIXELS.astype(np.int64)}, "float32"),
        ({"pixels": PIXELS[:, :4]}, r"\(-1, 6\)"),
    ],
    ids=["name", "dtype", "shape"],
)
def test_a_wrong_input_is_refused_by_name_dtype_and_shape(
    named: Path, given: dict[str, np.ndarray], message: str
) -> None:
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException, match=message):
        predict(named, given)


def test_the_native_flavors_load(named: Path) -> None:
    import mlflow.onnx
    import mlflow.pytorch
    import torch

    module = mlflow.pytorch.load_model(str(named))
    np.testing.assert_array_equal(
        module(torch.from_numpy(PIXELS)).detach().numpy(), expected(named)
    )
    assert {tensor.dims[0] for tensor in mlflow.onnx.load_model(str(named)).graph.initializer}


def test_without_onnx_pyfunc_takes_one_array(unnamed: Path) -> None:
    np.testing.assert_array_equal(predict(unnamed, PIXELS), expected(unnamed))


def test_nothing_is_claimed_that_mlflow_cannot_load() -> None:
    assert mlmodel.flavors(SCHEMA, ["torch_pickle"]) == {}
    assert list(mlmodel.flavors(TWO, UNNAMED)) == ["pytorch"]
    assert list(mlmodel.flavors(TWO, NAMED)) == ["python_function", "onnx", "pytorch"]


def test_a_signature_names_the_inputs_where_the_loader_takes_names() -> None:
    spec = {"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 6]}}
    assert json.loads(mlmodel.signature(SCHEMA, NAMED)["inputs"]) == [{"name": "pixels"} | spec]
    assert json.loads(mlmodel.signature(SCHEMA, UNNAMED)["inputs"]) == [spec]


def test_two_writes_give_the_same_bytes_without_mlflow(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from pipeline import mlmodel; "
        "mlmodel.write(pathlib.Path(sys.argv[1]), eval(sys.argv[2]), ['onnx']); "
        "assert 'mlflow' not in sys.modules and 'torch' not in sys.modules"
    )
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", script, str(tmp_path / name), repr(SCHEMA)]
        subprocess.run(command, check=True, cwd=Path(__file__).parents[1])
    for name in ("MLmodel", "python_env.yaml"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.fixture(scope="module")
def served(named: Path) -> Iterator[Callable[[Any], tuple[int, Any]]]:
    """Posts a body to /invocations and gives status and answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow = Path(sys.executable).with_name("mlflow")
    command = [mlflow, "models", "serve", "-m", named, "--env-manager", "local"]
    environ = {**os.environ, "PATH": f"{mlflow.parent}:{os.environ['PATH']}"}
    server = subprocess.Popen(
        [*map(str, command), "-h", "127.0.0.1", "-p", str(port)],
        cwd=named,
        env=environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", server)
        yield lambda body: post(f"http://127.0.0.1:{port}/invocations", body)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"no answer from {url}; the server ended with {server.poll()}")


def post(url: str, body: Any) -> tuple[int, Any]:
    header = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), header)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": {"pixels": PIXELS.tolist()}},
        {"instances": [{"pixels": row} for row in PIXELS.tolist()]},
        {"dataframe_split": {"columns": ["pixels"], "data": [[row] for row in PIXELS.tolist()]}},
    ],
    ids=["inputs", "instances", "dataframe_split"],
)
def test_the_server_answers_with_the_models_outputs(
    served: Callable[[Any], tuple[int, Any]], named: Path, body: Any
) -> None:
    status, answer = served(body)
    assert status == 200
    np.testing.assert_allclose(answer["predictions"]["logits"], expected(named), atol=1e-6)


@pytest.mark.parametrize(
    "body",
    [
        {"inputs": {"pixel": PIXELS.tolist()}},
        {"inputs": {"pixels": PIXELS[:, :4].tolist()}},
        {"inputs": {"pixels": [["dark"] * 6]}},
        {"dataframe_split": {"columns": ["pixel"], "data": [[row] for row in PIXELS.tolist()]}},
        {"pixels": PIXELS.tolist()},
    ],
    ids=["name", "shape", "dtype", "column", "body"],
)
def test_the_server_answers_a_wrong_request_with_400(
    served: Callable[[Any], tuple[int, Any]], body: Any
) -> None:
    status, answer = served(body)
    assert status == 400
    assert answer["message"]
