"""The program: check.js and what it reads numpy's files with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.runtimes import _files, _npm
from pipeline.runtimes.contract import Place

NAME = "onnx_node"
HERE = Path(__file__).with_name("program")


def find() -> Place:
    return _npm.find(NAME, HERE)


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    return _files.of(NAME, HERE, _files.JAVASCRIPT)


def build(source: Path, target: Path) -> list[str]:
    return []


def run(source: Path, target: Path) -> list[str]:
    return ["node", str(source / "check.js")]


def card() -> str:
    return "cd runtimes/onnx_node\nnpm ci --ignore-scripts\nnode check.js"
