"""MLflow itself loads a directory that MLflow did not write; test_serving.py serves it."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.complete_model import mlmodel
from testing.project import ROOT

SCHEMA = {
    "inputs": {"pixels": {"dtype": "float32", "shape": [6]}},
    "outputs": {"logits": {"dtype": "float32", "shape": [3]}},
    "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3, "labels": None}},
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
    mlmodel.write(directory, SCHEMA, formats, {"input.pixels": PIXELS[:1]})
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
        "import pathlib, sys; import numpy; from pipeline.complete_model import mlmodel; "
        "example = {'input.pixels': numpy.linspace(-1, 1, 6, dtype=numpy.float32)[None]}; "
        "mlmodel.write(pathlib.Path(sys.argv[1]), eval(sys.argv[2]), ['onnx'], example); "
        "assert 'mlflow' not in sys.modules and 'torch' not in sys.modules"
    )
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        command = [sys.executable, "-c", script, str(tmp_path / name), repr(SCHEMA)]
        subprocess.run(command, check=True, cwd=ROOT)
    for name in mlmodel.FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_the_example_is_read_back_by_mlflow_as_the_very_numbers(tmp_path: Path) -> None:
    """The shortest digits of float32 are written, and what is no number comes back as none."""
    from mlflow.models import Model

    bits = np.random.default_rng(0).integers(0, 2**32, (200, 6), np.uint32).view(np.float32)
    bits[0, 0], bits[~np.isfinite(bits)] = np.float32(0.1), np.nan
    mlmodel.write(tmp_path, SCHEMA, NAMED, {"input.pixels": bits})
    found = Model.load(str(tmp_path)).load_input_example(str(tmp_path))["pixels"]
    assert found.dtype == np.float32 and np.isnan(found).any()
    np.testing.assert_array_equal(found, bits)
    written = (tmp_path / mlmodel.EXAMPLE).read_text()
    assert written.startswith('{"pixels": [[0.1, ') and "NaN" not in written
    request = json.loads((tmp_path / mlmodel.REQUEST).read_text())
    assert request == {"inputs": json.loads(written)}


def test_the_example_of_texts_and_of_an_input_without_a_name_is_read_back(
    tmp_path: Path, unnamed: Path
) -> None:
    from mlflow.models import Model

    schema = TWO | {"inputs": {"word": {"dtype": "string", "shape": []}, **TWO["inputs"]}}
    rows = {"word": np.array(["Zürich"]), **{n: np.ones((1, 2, 3), np.float32) for n in ("a", "b")}}
    mlmodel.write(tmp_path, schema, NAMED, {f"input.{name}": row for name, row in rows.items()})
    found = Model.load(str(tmp_path)).load_input_example(str(tmp_path))
    assert list(found) == list(rows)
    for name, row in rows.items():
        assert found[name].dtype == row.dtype
        np.testing.assert_array_equal(found[name], row)
    one = Model.load(str(unnamed)).load_input_example(str(unnamed))
    np.testing.assert_array_equal(one, PIXELS[:1])


@pytest.mark.parametrize(
    ("formats", "runtime"),
    [(NAMED, "onnxruntime"), (UNNAMED, "torch"), (["saved_model"], "tensorflow")],
)
def test_the_environment_holds_the_one_runtime_that_serves(
    tmp_path: Path, formats: list[str], runtime: str
) -> None:
    """As MLflow itself reads it, for uv and for conda."""
    from mlflow.utils.environment import _PythonEnv

    mlmodel.write(tmp_path, SCHEMA, formats, {"input.pixels": PIXELS[:1]})
    of_uv = _PythonEnv.from_yaml(tmp_path / mlmodel.ENVIRONMENT)
    of_conda = _PythonEnv.from_conda_yaml(tmp_path / mlmodel.CONDA)
    assert of_uv.dependencies == of_conda.dependencies and of_uv.python == of_conda.python
    named = [line.partition("==")[0] for line in of_uv.dependencies]
    assert sorted(named) == sorted([*mlmodel.SERVER, runtime])
