"""The program: check.py, which starts MLflow's server for the directory and asks it."""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.runtimes import _files
from pipeline.runtimes.contract import SEARCHED, NotHere, Place

NAME = "mlflow"
HERE = Path(__file__).with_name("program")
REFUSED = Path(__file__).with_name("refused")
"""What is imported in the place of this package, which the program must do without."""
TAKES = ("mlflow", "uvicorn", "pandas", "onnxruntime")
"""Modules without which MLflow's server does not start, or not with ONNX."""


def find() -> Place:
    folders = [_folder(module) for module in TAKES]
    return Place(
        environment={
            "PATH": f"{Path(sys.executable).parent}:{SEARCHED}",
            "PYTHONPATH": str(REFUSED),
        },
        readable=[REFUSED, *folders, Path(sys.prefix), Path(sys.base_prefix)],
        serves=True,
    )


def _folder(module: str) -> Path:
    """Returns where a module and those that were installed with it lie. Raises NotHere."""
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise NotHere(f"{module} is not installed; install it: pip install mlflow onnxruntime")
    return Path(spec.origin).parents[1]


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    return _files.of(NAME, schema, HERE)


def build(source: Path, target: Path) -> list[str]:
    return []


def run(source: Path, target: Path) -> list[str]:
    return [sys.executable, "-B", str(source / "check.py")]


def card(directory: Path) -> str:
    return f"python runtimes/{NAME}/check.py"
