"""TensorFlow Serving looks for numbered folders with a SavedModel each; what goes in and out stands
in the SavedModel."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORMAT = "saved_model"
FOLDER = "saved_model"


def files(
    complete_model: Path, schema: Mapping[str, Any], name: str, version: int, batch: int
) -> Mapping[str, Path | str]:
    if batch:
        raise ValueError("TensorFlow Serving is told of batches where it is started, not here")
    source = complete_model / FOLDER
    every = sorted(path for path in source.rglob("*") if path.is_file())
    return {f"{name}/{version}/{path.relative_to(source).as_posix()}": path for path in every}


def start(folder: Path, name: str) -> str:
    words = f"--rest_api_port=8501 --model_name={name} --model_base_path={folder.resolve() / name}"
    return f"tensorflow_model_server {words}"
