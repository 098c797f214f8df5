"""MLmodel makes a directory an MLflow model as it lies, whoever wrote it; MLflow is not loaded.

It names the files that MLflow's own loaders take, so nothing of ours is on the path when MLflow
loads or serves the model. There is no uuid and no time in it: MLflow does without both, and the
same model gives the same bytes.

A request's body at /invocations gives each input by its name, rows first:
    {"inputs": {"pixels": [[0.0, 1.0], [2.0, 3.0]]}}
    {"instances": [{"pixels": [0.0, 1.0]}, {"pixels": [2.0, 3.0]}]}
Without ONNX, MLflow's PyTorch loader takes one array without a name: {"inputs": [[0.0, 1.0]]}.
"""

import json
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

# MLflow's default is CUDA first and a warning wherever there is none.
PROVIDERS = ["CPUExecutionProvider"]


def write(directory: Path, schema: dict[str, Any], formats: list[str]) -> None:
    """Only what `formats` can serve is claimed; with none of them MLflow says which it misses.

    Writes MLmodel and python_env.yaml. `schema` is the checkpoint's, with inputs and outputs.
    """
    content = {"flavors": flavors(schema, formats), "signature": signature(schema, formats)}
    (directory / "MLmodel").write_text(_yaml(content))
    environment = {"python": PYTHON, "dependencies": ["-r requirements.txt"]}
    (directory / "python_env.yaml").write_text(_yaml(environment))


def flavors(schema: Mapping[str, Any], formats: list[str]) -> dict[str, Any]:
    """ONNX serves if it is there: MLflow's PyTorch loader takes and gives one array only."""
    found: dict[str, Any] = {}
    if "onnx" in formats:
        found["python_function"] = _python_function("mlflow.onnx", "model.onnx")
        found["onnx"] = {
            "data": "model.onnx",
            "onnx_version": version("onnx"),
            "providers": PROVIDERS,
        }
    if "torch_export" in formats:
        found["pytorch"] = {"model_data": ".", "pytorch_version": version("torch")}
        if "onnx" not in formats and _single(schema):
            found["python_function"] = _python_function("mlflow.pytorch", ".")
    if "saved_model" in formats:
        found["tensorflow"] = {
            "saved_model_dir": "saved_model",
            "meta_graph_tags": ["serve"],
            "signature_def_key": "serving_default",
        }
        if "onnx" not in formats:
            found["python_function"] = _python_function("mlflow.tensorflow", ".")
    return found


def _python_function(loader: str, data: str) -> dict[str, Any]:
    return {
        "loader_module": loader,
        "data": data,
        "env": {"virtualenv": "python_env.yaml"},
        "python_version": PYTHON,
    }


def _single(schema: Mapping[str, Any]) -> bool:
    return len(schema["inputs"]) == 1 and len(schema["outputs"]) == 1


def signature(schema: Mapping[str, Any], formats: list[str]) -> dict[str, str]:
    """Any batch size; by name where the loader takes names."""
    named = bool({"onnx", "saved_model"} & set(formats)) or not _single(schema)
    return {side: json.dumps(tensors(schema[side], named)) for side in ("inputs", "outputs")}


def tensors(arrays: Mapping[str, Any], named: bool = True) -> list[dict[str, Any]]:
    """MLflow's tensor specs of arrays {name: {"dtype", "shape" of one row}}."""
    return [
        ({"name": name} if named else {})
        | {
            "type": "tensor",
            "tensor-spec": {
                "dtype": "str" if array["dtype"] == "string" else array["dtype"],
                "shape": [-1, *array["shape"]],
            },
        }
        for name, array in arrays.items()
    ]


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
