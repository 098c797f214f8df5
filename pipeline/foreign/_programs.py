"""A program that is complete already: what it says of itself, through the format that holds it."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pipeline import formats
from pipeline.errors import DataError

from .contract import Foreign

NONE = ("net", "loss", "augment", "optimizer", "scheduler")
"""Of the section `model`: a program has none of them that anybody could change."""
NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.\-]|^(?=[^A-Za-z_])")


def opened(path: Path, form: str, framework: Literal["pytorch", "keras"] | None) -> Foreign:
    """Reads what the program takes and answers. Raises DataError."""
    try:
        program = formats.adopter(form).describe(path)
    except ValueError as fault:
        raise DataError(f"{path}: {' '.join(str(fault).split())}") from None
    except OSError as fault:
        raise DataError(f"{path}: cannot be read: {fault.strerror or fault}") from None
    model: dict[str, Any] = dict.fromkeys(NONE)
    model |= {"name": "program", "program": form, "framework": framework, "formats": [form]}
    model["outputs"] = _outputs(program.outputs)
    return Foreign(
        framework=framework,
        weights={},
        program=program,
        versions=program.versions,
        model=model,
        notes=program.notes,
    )


def _outputs(names: Iterable[str]) -> list[str] | dict[str, str]:
    """Returns the names of the outputs, by names that files and parameters can have where the
    program's own are none."""
    own = {NOT_OF_A_NAME.sub("_", name): name for name in names}
    return list(own) if list(own) == list(own.values()) else own
