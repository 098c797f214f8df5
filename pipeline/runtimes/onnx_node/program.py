"""The program: check.js and what it reads numpy's files with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import runtimes
from pipeline.runtimes import _files, _npm
from pipeline.runtimes.contract import Place

NAME = "onnx_node"
TRAINS = "node check.js --train  # the steps that the source took on, with onnx_train/"
HERE = Path(__file__).with_name("program")


def find() -> Place:
    return _npm.find(NAME, HERE)


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    return _files.javascript(NAME, schema, directory, HERE)


def build(source: Path, target: Path) -> list[str]:
    return []


def run(source: Path, target: Path) -> list[str]:
    return ["node", str(source / "check.js")]


def card(directory: Path) -> str:
    lines = ["cd runtimes/onnx_node", "npm ci --ignore-scripts", "node check.js"]
    return "\n".join([*lines, *([TRAINS] if runtimes.trains(NAME, directory) else [])])
