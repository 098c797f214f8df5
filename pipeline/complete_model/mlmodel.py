"""MLmodel makes a directory an MLflow model as it lies, whoever wrote it; MLflow is not loaded.

It names the files that MLflow's own loaders take, so nothing of ours is on the path when MLflow
loads or serves the model. There is no uuid and no time in it: MLflow does without both, and the
same model gives the same bytes.

A request's body at /invocations is JSON and gives each input by its name, rows first, as
serving_input_example.json does:
    {"inputs": {"pixels": [[0.0, 1.0], [2.0, 3.0]]}}
    {"instances": [{"pixels": [0.0, 1.0]}, {"pixels": [2.0, 3.0]}]}
    {"dataframe_split": {"columns": ["pixels"], "data": [[[0.0, 1.0]], [[2.0, 3.0]]]}}
Without ONNX, MLflow's PyTorch loader takes one array without a name: {"inputs": [[0.0, 1.0]]}.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.formats import declared, serving
from pipeline.formats.contract import Flavor

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

ENVIRONMENT, CONDA = "python_env.yaml", "conda.yaml"
EXAMPLE, REQUEST = "input_example.json", "serving_input_example.json"
FILES = ("MLmodel", ENVIRONMENT, CONDA, EXAMPLE, REQUEST)

WITHOUT_EXAMPLE = ("MLmodel", ENVIRONMENT)
"""Those of FILES that complete models had at first."""

SERVER = ("mlflow-skinny", "numpy", "pandas")
"""What the loaders and MLflow's server themselves need; skinny is MLflow without its store."""


def write(
    directory: Path,
    schema: dict[str, Any],
    formats: Sequence[str],
    example: Mapping[str, np.ndarray],
) -> None:
    """Writes FILES. Only what `formats` can serve is claimed; with none of them MLflow itself says
    what it misses.

    `schema` is the checkpoint's, with inputs and outputs; `example` is that of examples/one.npz.
    """
    claimed = flavors(schema, formats)
    content = {
        "flavors": claimed,
        "saved_input_example_info": {
            "artifact_path": EXAMPLE,
            "serving_input_path": REQUEST,
            "type": "ndarray",
        },
        "signature": signature(schema, formats),
    }
    (directory / "MLmodel").write_text(_yaml(content))
    needed = needs(schema, formats)
    (directory / ENVIRONMENT).write_text(_yaml({"python": PYTHON, "dependencies": needed}))
    (directory / CONDA).write_text(_yaml(_conda(needed)))
    rows = [_plain(example[f"input.{name}"]) for name in schema["inputs"]]
    named = dict(zip(schema["inputs"], rows, strict=True)) if _named(schema, formats) else rows[0]
    (directory / EXAMPLE).write_text(json.dumps(named) + "\n")
    (directory / REQUEST).write_text(json.dumps({"inputs": named}) + "\n")


def write_without_example(directory: Path, schema: dict[str, Any], formats: Sequence[str]) -> None:
    """Writes WITHOUT_EXAMPLE, as a complete model had them before it had an input example: served
    by all that requirements.txt lists."""
    claimed = flavors(schema, formats)
    if "python_function" in claimed:
        claimed["python_function"]["env"] = {"virtualenv": ENVIRONMENT}
    content = {"flavors": claimed, "signature": signature(schema, formats)}
    (directory / "MLmodel").write_text(_yaml(content))
    environment = {"python": PYTHON, "dependencies": ["-r requirements.txt"]}
    (directory / ENVIRONMENT).write_text(_yaml(environment))


def needs(schema: Mapping[str, Any], formats: Sequence[str]) -> list[str]:
    """Returns what must be installed to serve it. Serving takes one runtime; requirements.txt,
    which names what every format takes, would install them all."""
    server = _server(schema, formats)
    needed = sorted([*SERVER, *([server.runtime] if server else [])])
    return [f"{name}=={_version(name)}" for name in needed]


def _conda(needed: list[str]) -> dict[str, Any]:
    return {
        "name": "mlflow-env",
        "channels": ["conda-forge"],
        "dependencies": [f"python={PYTHON}", "pip", {"pip": needed}],
    }


def _version(distribution: str) -> str:
    """Returns a version without a build's own mark (+cpu), which no index has."""
    return version(distribution).partition("+")[0]


def _plain(rows: np.ndarray) -> list[Any]:
    """Returns the shortest numbers that are these in their own dtype; MLflow reads null as NaN."""
    if rows.dtype.kind == "f":
        numbers = rows.astype(str).astype(float)
        rows = np.where(np.isnan(numbers), None, numbers)  # type: ignore[call-overload]
    values: list[Any] = rows.tolist()
    return values


def flavors(schema: Mapping[str, Any], formats: Sequence[str]) -> dict[str, Any]:
    """Returns what MLmodel claims, in the order in which it stands there."""
    by_name: dict[str, Any] = {}
    server = _server(schema, formats)
    for each in _flavors(formats):
        function = {"python_function": _python_function(each)} if each == server else {}
        own = {each.name: dict(each.content)}
        by_name |= function | own if each.takes_names and each.first == 0 else own | function
    return by_name


def _flavors(formats: Sequence[str]) -> list[Flavor]:
    served = [serving(name).flavor() for name in formats if declared(name).serves]
    return sorted(served, key=lambda each: each.first)


def _server(schema: Mapping[str, Any], formats: Sequence[str]) -> Flavor | None:
    """Returns the first format that takes these inputs; None where a loader takes and gives one
    array only."""
    able = (each for each in _flavors(formats) if each.takes_names or _single(schema))
    return next(able, None)


def _python_function(flavor: Flavor) -> dict[str, Any]:
    """Returns the flavor `python_function`. Both environments are named: without conda's MLflow
    3.17 ends uv with a KeyError, without the other a Dockerfile starts from another image."""
    return {
        "loader_module": flavor.loader,
        "data": flavor.data,
        "env": {"conda": CONDA, "virtualenv": ENVIRONMENT},
        "python_version": PYTHON,
    }


def _single(schema: Mapping[str, Any]) -> bool:
    return len(schema["inputs"]) == 1 and len(schema["outputs"]) == 1


def _named(schema: Mapping[str, Any], formats: Sequence[str]) -> bool:
    """Returns whether inputs go by name: a loader takes names, or there is more than one input or
    output."""
    return any(each.takes_names for each in _flavors(formats)) or not _single(schema)


def signature(schema: Mapping[str, Any], formats: Sequence[str]) -> dict[str, str]:
    """Returns MLflow's signature, for any number of rows; by name where the loader takes names."""
    named = _named(schema, formats)
    return {side: json.dumps(tensors(schema[side], named)) for side in ("inputs", "outputs")}


def tensors(arrays: Mapping[str, Any], named: bool = True) -> list[dict[str, Any]]:
    """Returns MLflow's tensor specs of arrays {name: {"dtype", "shape" of one row}}."""
    return [
        ({"name": name} if named else {})
        | {
            "type": "tensor",
            "tensor-spec": {
                "dtype": "str" if array["dtype"] == "string" else array["dtype"],
                "shape": [-1, *(size if isinstance(size, int) else -1 for size in array["shape"])],
            },
        }
        for name, array in arrays.items()
    ]


def _yaml(content: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
