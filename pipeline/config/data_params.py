"""The section `data` of params.yaml: the raw file, what becomes of its columns, the splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config.media_params import Audio, Image
from pipeline.config.reading import Component, Range
from pipeline.errors import ParamsError


@dataclass(frozen=True, kw_only=True)
class Input:
    source: str | tuple[str, ...]
    """Column, list of columns or range such as "pixel_{0..63}"; in an .npz the array's name.
    "all but the target" is each column that nothing else names, in the file's order."""
    shape: tuple[int, ...]
    """Of one row, without the batch dimension; () is a scalar."""
    dtype: Literal["float32", "float64", "int64", "uint8", "string"]
    image: Image | None = None
    """How the files that the column names are decoded, where they are images."""
    audio: Audio | None = None
    """How the files that the column names are decoded, where they are sounds."""


@dataclass(frozen=True, kw_only=True)
class Target:
    source: str | tuple[str, ...]
    """As an input's: what the model is to answer."""
    classes: Annotated[int, Range(least=2)] | tuple[str, ...] | None = None
    """Of a label: their number (labels are 0 to classes - 1) or their names; null for numbers."""
    shape: tuple[int, ...] = ()
    """Of one row, as an input's."""
    dtype: Literal["float32", "float64", "int64", "uint8"] | None = None
    """Null is int64 for labels and float32 for numbers."""
    image: Image | None = None
    """How the files that the column names are decoded, where they are images."""
    audio: Audio | None = None
    """How the files that the column names are decoded, where they are sounds."""

    def __post_init__(self) -> None:
        names = self.classes if isinstance(self.classes, tuple) else ()
        if self.classes is not None and self.number is not None and self.number < 2:
            raise ParamsError(f"data.targets: classes: found {list(names)}, expected two at least")
        if repeated := [name for name in names if names.count(name) > 1]:
            raise ParamsError(f"data.targets: classes: found {repeated[0]!r} twice; name each once")

    @property
    def number(self) -> int | None:
        """Returns how many classes there are; None for numbers."""
        return len(self.classes) if isinstance(self.classes, tuple) else self.classes


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
    file: str | None
    """Below data/: .csv, .parquet, .npz or .npy, a folder or pattern (`parts/*.parquet`) of many
    that are read as one in the order of their names, or a folder of images or sounds."""
    rows: Component | None
    """In place of a file: a function of data/<name>.py that yields rows, dicts by column."""
    inputs: Mapping[str, Input]
    """The model's inputs by name, in the order of its call."""
    targets: Mapping[str, Target]
    """What the model is to answer, by name; a model that learns from its inputs alone has none."""
    id: str | tuple[str, ...] | None
    """Column whose values must differ, or columns that together must; none is an input."""
    ignore: tuple[str, ...]
    """Columns, or ranges of them, that are not read."""
    split: Split

    def __post_init__(self) -> None:
        if (self.file is None) == (self.rows is None):
            found = "nothing" if self.file is None else "data.file and data.rows"
            raise ParamsError(f"data.file: found {found}, expected data.file or data.rows")
