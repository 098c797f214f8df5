"""The program: lower.py makes model.pte of model.pt2 where it is built, and check.cpp runs it."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.runtimes import _compiler, _files, _pytorch
from pipeline.runtimes.contract import Place

NAME = "executorch_cpp"
build, run = _compiler.build, _compiler.run
HERE = Path(__file__).with_name("program")


INSTALLED = Path(sys.prefix) / "python" / NAME
"""Where scripts/install_runtimes installs requirements.txt, without what that asks for: it would
bring packages along that others import where they are there."""


def find() -> Place:
    torch = Path(_compiler.find("g++", "torch", "TORCH").environment["TORCH"])
    install = "scripts/install_runtimes"
    place = _compiler.find("g++", "executorch", "EXECUTORCH", install, INSTALLED)
    packages = Path(place.environment["EXECUTORCH"]).parent
    place = _pytorch.with_python(place, torch.parent, packages)
    return replace(place, environment={**place.environment, "PYTHONPATH": str(packages)})


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    shared = _files.of(NAME, schema, HERE, _compiler.SHARED)
    return {**shared, "model.h": _pytorch.ports(NAME, directory, schema)}


def card(directory: Path) -> str:
    return f"make -C runtimes/{NAME}"
