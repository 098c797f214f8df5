"""Weights that lie in other files are referred to there: external data with offset and length."""

from pathlib import Path
from typing import Any

from .._lookup import Lookup
from .._weight_files import weight_files
from . import FORMAT
from ._files import OVERFLOW

TINY = 1024  # bytes: below it a reference costs about as much as the weight
INLINE_LIMIT = 1_500_000_000  # bytes: a protobuf message ends at 2 GB
ALIGNED = 64


def refer(initializers: Any, directory: Path) -> None:
    """Replaces weights by references into files that hold them, or, where too much lies in none,
    into OVERFLOW, which is then written."""
    lookup = Lookup(directory, weight_files(FORMAT))
    left = []
    for value in initializers.values():
        if value.const_value.nbytes < TINY:
            continue
        place = lookup.find(value.const_value.tobytes())
        if place is None:
            left.append(value)
        else:
            _refer_to(value, *place)
    if sum(value.const_value.nbytes for value in left) > INLINE_LIMIT:
        _overflow(left, directory)


def _refer_to(value: Any, file: str, offset: int) -> None:
    import onnx_ir

    tensor = value.const_value
    value.const_value = onnx_ir.ExternalTensor(
        file, offset, tensor.nbytes, tensor.dtype, shape=tensor.shape, name=value.name
    )


def _overflow(values: list[Any], directory: Path) -> None:
    with (directory / OVERFLOW).open("wb") as file:
        for value in values:
            file.write(bytes(-file.tell() % ALIGNED))
            offset = file.tell()
            file.write(value.const_value.tobytes())
            _refer_to(value, OVERFLOW, offset)
