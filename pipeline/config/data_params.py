"""The section `data` of params.yaml: the raw file, what becomes of its columns, the splits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pipeline.config.bounds import Range
from pipeline.config.csv_params import Csv
from pipeline.config.media_params import Audio, Image
from pipeline.config.reading import Component
from pipeline.config.text_params import Tokenizer
from pipeline.errors import ParamsError

MASK = "mask of "
"""Begins the source of an input that says where rows are padded."""

IGNORED = -100
"""Of labels: torch's losses pass over it, and so do metrics over all that is below 0."""


def names_in(shape: tuple[int | str, ...]) -> tuple[str, ...]:
    """Returns the names in a shape: the dimensions that vary."""
    return tuple(size for size in shape if isinstance(size, str))


@dataclass(frozen=True, kw_only=True)
class Dimension:
    """A dimension that varies from row to row."""

    least: Annotated[int, Range(least=1)]
    most: Annotated[int, Range(least=2)]

    def __post_init__(self) -> None:
        if self.least >= self.most:
            raise ParamsError(
                f"data.dimensions: found least {self.least} and most {self.most}, expected bounds "
                "that differ; a size that does not vary is a number in the shape"
            )


@dataclass(frozen=True, kw_only=True)
class Input:
    source: str | tuple[str, ...]
    """Column, list of columns or range such as "pixel_{0..63}"; in an .npz the array's name.
    "all but the target" is each column that nothing else names, in the file's order, and "mask of
    length" is 1 where a row has values along the dimension `length`, and 0 where it is padded;
    "mask of height and width" says it of both."""
    shape: tuple[int | str, ...]
    """Of one row, without the batch dimension; () is a scalar. A name is a dimension that varies
    from row to row, within the bounds that data.dimensions has for it."""
    dtype: Literal["float32", "float64", "int64", "uint8", "string"]
    image: Image | None = None
    """How the files that the column names are decoded, where they are images."""
    audio: Audio | None = None
    """How the files that the column names are decoded, where they are sounds."""
    pad: float | int | None = None
    """Fills a batch up where a row is shorter than its longest; null is 0, or what the tokenizer
    has for it."""
    tokenizer: Tokenizer | None = None
    """Makes ids of a text, which is then of the shape [<dimension>] and the dtype int64."""
    time: str | None = None
    """How dates and times become numbers: seconds, hours, "days since 2020-01-01"."""
    categories: tuple[str, ...] | Annotated[int, Range(least=1)] | None = None
    """Texts that become whole numbers, int64: each its place in this list; or how many are learnt,
    the most frequent of the training rows first. What is none of these becomes the number behind
    the last; with a list that is an error, but for a missing one."""
    missing: Literal["mean", "median", "most_frequent", "keep"] | float | None = None
    """What the model puts in the place of a NaN: learnt from the training rows, or this number, or
    nothing (keep: the net sees NaN). Null is an error. Of categories: keep, which counts it as
    none of these; of a text: keep, which is the empty one."""

    def demand(self, key: str) -> None:
        """Raises ParamsError for settings that do not go together."""
        nan_stays = self.missing in (None, "keep")
        if self.categories is not None and (self.dtype != "int64" or self.time or not nan_stays):
            problem = f"{key}.categories: they are numbered: expected dtype int64 and no time"
            raise ParamsError(f"{problem}, and missing, if it is set, keep")
        if isinstance(self.categories, tuple) and len(set(self.categories)) < len(self.categories):
            raise ParamsError(f"{key}.categories: one is there twice; name each once")
        is_text = self.tokenizer is not None or (self.dtype == "string" and not self.categories)
        if is_text and not nan_stays:
            raise ParamsError(
                f"{key}.missing: found {self.missing!r} for texts, expected keep: the empty text "
                "is a value to the net, or to the tokenizer; or fill the column"
            )
        is_float = self.dtype.startswith("float")
        if self.missing is not None and not (self.categories or is_text or is_float):
            raise ParamsError(
                f"{key}.missing: found {self.missing!r} for {self.dtype}, which has no NaN; "
                "set dtype to float32, or to categories"
            )
        if self.missing not in (None, "keep") and self.dimensions:
            raise ParamsError(
                f"{key}.missing: found {self.missing!r} where {self.dimensions[0]} varies; "
                "expected keep, or a shape of numbers"
            )
        if self.time and self.dtype == "string":
            raise ParamsError(f"{key}.time: found with dtype string, expected that of a number")

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Returns the dimensions that vary, in the order of the shape."""
        return names_in(self.shape)

    @property
    def masks(self) -> tuple[str, ...]:
        """Returns the dimensions that this is the mask of; none where it is no mask."""
        is_mask = isinstance(self.source, str) and self.source.startswith(MASK)
        return tuple(str(self.source).removeprefix(MASK).split(" and ")) if is_mask else ()


@dataclass(frozen=True, kw_only=True)
class Target:
    source: str | tuple[str, ...]
    """As an input's: what the model is to answer."""
    classes: Annotated[int, Range(least=2)] | tuple[str, ...] | None = None
    """Of a label: their number (labels are 0 to classes - 1) or their names; null for numbers."""
    shape: tuple[int | str, ...] = ()
    """Of one row, as an input's."""
    pad: float | int | None = None
    """As an input's; null is -100 for labels, which torch's losses pass over, and 0 for numbers."""
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
    def dimensions(self) -> tuple[str, ...]:
        """Returns the dimensions that vary, in the order of the shape."""
        return names_in(self.shape)

    @property
    def padded_with(self) -> float:
        """Returns what fills a row up."""
        default = 0 if self.classes is None else IGNORED
        return default if self.pad is None else self.pad

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Returns the names of the classes, where they have some."""
        return self.classes if isinstance(self.classes, tuple) else None

    @property
    def number(self) -> int | None:
        """Returns how many classes there are; None for numbers."""
        return len(self.classes) if isinstance(self.classes, tuple) else self.classes


@dataclass(frozen=True, kw_only=True)
class By:
    """A column names each row's split; a value for each is the split's name unless set."""

    column: str
    train: str = "train"
    val: str = "val"
    test: str = "test"


@dataclass(frozen=True, kw_only=True)
class Split:
    val: Annotated[float, Range(above=0, below=1)] | None
    """Fraction of the rows that chooses the epoch; of the rows that are drawn, where `by` or a file
    names others."""
    test: Annotated[float, Range(above=0, below=1)] | None
    """Fraction of the rows that is looked at once, at the end. The rest trains."""
    seed: Annotated[int, Range(least=0)] | None
    """Of the drawing."""
    by: By | None
    """Column that says which split a row is in. A split that it does not name is drawn from the
    rows of train."""
    group: str | tuple[str, ...] | None
    """Column or columns: rows that have the same there are in one split."""
    time: str | None
    """Column by which train has the earliest rows and test the latest; rows of one time are in one
    split."""

    def __post_init__(self) -> None:
        if (self.val or 0) + (self.test or 0) >= 1:
            raise ParamsError("data.split: val + test leave no rows to train; lower one of them")
        if self.group and self.time:
            raise ParamsError("data.split: found group and time, expected one of them; drop one")


@dataclass(frozen=True, kw_only=True)
class Files:
    """Each split's own file, folder or pattern; one that is not named is drawn from train."""

    train: str
    val: str | None = None
    test: str | None = None

    def named(self) -> dict[int, str]:
        """Returns the files that are named, by the index of their split."""
        files = enumerate((self.train, self.val, self.test))
        return {index: file for index, file in files if file is not None}


@dataclass(frozen=True, kw_only=True)
class Data:
    name: str
    file: str | Files | None
    """Below data/: .csv, .parquet, .npz or .npy, a folder or pattern (`parts/*.parquet`) of many
    that are read as one in the order of their names, or a folder of images or sounds; or each
    split's own, {train: …, val: …, test: …}."""
    rows: Component | None
    """In place of a file: a function of data/<name>.py that yields rows, dicts by column."""
    made_up: bool
    """Whether the rows are made up, so that no metric is claimed."""
    inputs: Mapping[str, Input]
    """The model's inputs by name, in the order of its call."""
    targets: Mapping[str, Target]
    """What the model is to answer, by name; a model that learns from its inputs alone has none."""
    id: str | tuple[str, ...] | None
    """Column whose values must differ, or columns that together must; none is an input."""
    dimensions: Mapping[str, Dimension]
    """The bounds of dimensions that vary from row to row, by name."""
    ignore: tuple[str, ...]
    """Columns, or ranges of them, that are not read."""
    csv: Csv | None
    split: Split
    """Rows are drawn at random, each class alike, unless `by`, `group` or `time` is set."""

    def __post_init__(self) -> None:
        if (self.file is None) == (self.rows is None):
            given = "nothing" if self.file is None else "data.file and data.rows"
            raise ParamsError(f"data.file: found {given}, expected data.file or data.rows")
        if isinstance(self.file, Files) and self.split.by:
            raise ParamsError(
                "data.split.by: found one, but data.file names each split's own file; drop one"
            )
        for name, entry in self.inputs.items():
            entry.demand(f"data.inputs.{name}")
