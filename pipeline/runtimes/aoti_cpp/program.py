"""The program: compile.py makes C++ of model.pt2 where it is built, and check.cpp runs it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.runtimes import _compiler, _files, _pytorch
from pipeline.runtimes.contract import Place

NAME = "aoti_cpp"
build, run = _compiler.build, _compiler.run
HERE = Path(__file__).with_name("program")


def find() -> Place:
    place = _compiler.find("g++", "torch", "TORCH")
    return _pytorch.with_python(place, Path(place.environment["TORCH"]).parent)


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    shared = _files.of(NAME, schema, HERE, _compiler.SHARED)
    return {**shared, "model.h": _pytorch.ports(NAME, directory, schema)}


def card(directory: Path) -> str:
    return f"make -C runtimes/{NAME}"
