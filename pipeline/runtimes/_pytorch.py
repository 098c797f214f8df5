"""What programs have in common that Python makes of `model.pt2` where they are built."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.formats.torch_export.tensors import signature
from pipeline.runtimes import _compiler
from pipeline.runtimes.contract import Place


def with_python(place: Place, *packages: Path) -> Place:
    """Returns a place in which this Python runs with what is installed in it, and with packages
    that lie elsewhere."""
    return replace(
        place,
        environment={**place.environment, "PYTHON": sys.executable},
        readable=[*place.readable, *packages, Path(sys.prefix), Path(sys.base_prefix)],
    )


def ports(name: str, directory: Path, schema: Mapping[str, Any]) -> str:
    """Returns model.h. Raises ValueError for a program of other names, or of one that is no text of
    C's."""
    names = signature(directory)
    for side in ("inputs", "outputs"):
        if sorted(names[side]) != sorted(schema[side]):
            raise ValueError(
                f"{name}: found {side} {names[side]} in model.pt2, expected {list(schema[side])}"
            )
    return _compiler.ports(names["inputs"], names["outputs"])
