"""The section `data` of params.yaml: the raw file, what becomes of its columns, the splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config.reading import Range


@dataclass(frozen=True, kw_only=True)
class Input:
    source: str | tuple[str, ...]
    """Column, list of columns or range such as "pixel_{0..63}"; in an .npz the array's name.
    "all but the target" is each column that nothing else names, in the file's order."""
    shape: tuple[int, ...]
    """Of one row, without the batch dimension; () is a scalar."""
    dtype: Literal["float32", "float64", "int64", "uint8", "string"]


@dataclass(frozen=True, kw_only=True)
class Target:
    source: str
    """Column, or in an .npz the array, that is predicted."""
    classes: Annotated[int, Range(least=2)] | None
    """Labels are 0 to classes - 1; null for regression."""


@dataclass(frozen=True, kw_only=True)
class Split:
    val: Annotated[float, Range(above=0, below=1)]
    """Fraction of the rows that chooses the epoch."""
    test: Annotated[float, Range(above=0, below=1)]
    """Fraction of the rows that is looked at once, at the end. The rest trains."""
    seed: Annotated[int, Range(least=0)]


@dataclass(frozen=True, kw_only=True)
class Data:
    name: str
    file: str
    """Below data/: .csv, .parquet or .npz."""
    inputs: Mapping[str, Input]
    """The model's inputs by name, in the order of its call."""
    target: Target
    id: str | tuple[str, ...] | None
    """Column whose values must differ, or columns that together must; none is an input."""
    ignore: tuple[str, ...]
    """Columns, or ranges of them, that are not read."""
    split: Split
