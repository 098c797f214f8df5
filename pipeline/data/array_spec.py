"""An array of `prepare`'s output: the columns it is made of, and what its values may be."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pipeline.data import precision
from pipeline.data.lists import Lists, Template
from pipeline.data.tables import Array, Kind
from pipeline.data.times import Clock


@dataclass(frozen=True, kw_only=True)
class ArraySpec:
    """An array of the output has its columns side by side, reshaped to `shape` a row."""

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    """numpy's name; "string" as long as nobody knows the longest text."""
    kind: Kind = "number"
    classes: int | None = None
    """Labels are 0 to classes - 1."""
    is_target: bool = False
    clock: Clock | None = None
    """Counts times."""
    names: tuple[str, ...] | None = None
    """Texts that become their place in this list; of a label, or of a category."""
    most_names: int | None = None
    """How many are learnt where `names` is not known yet: the most frequent of the training rows.
    What is not among them becomes the number behind the last."""
    optional: bool = False
    """Whether a value may be missing: NaN, or for a category the number behind the last."""

    row: tuple[int | str, ...] = ()
    """The shape of a row where dimensions of it vary; `shape` is then what it has beside them."""
    encode: Callable[[Array], Lists] | None = None
    """Makes ids of texts."""

    def with_text_length(self, longest: int) -> "ArraySpec":
        """Returns a spec that can be memory-mapped: each text takes the place of the longest."""
        return replace(self, dtype=f"<U{longest}") if self.dtype == "string" else self

    @property
    def dimensions(self) -> tuple[str, ...]:
        """Returns the dimensions that vary, in the order of the row's shape."""
        return tuple(size for size in self.row if isinstance(size, str))

    @property
    def template(self) -> Template:
        """Returns the shape of a row, with None for each size that varies."""
        return tuple(size if isinstance(size, int) else None for size in self.row)

    @property
    def has_other(self) -> bool:
        """Returns whether there is a number for what is none of the names."""
        return self.most_names is not None or self.optional

    def limits(self) -> tuple[int, int]:
        if self.classes is not None:
            return 0, self.classes - 1
        return int(np.iinfo(self.dtype).min), int(np.iinfo(self.dtype).max)

    def too_coarse(self, rounded: float) -> str:
        """Returns what is said of a whole number that the dtype rounds to `rounded`."""
        most = precision.largest_exact(self.dtype)
        way_out = "subtract an offset from the column"
        if not self.is_target:
            other = "declare float64" if self.dtype == "float32" else "declare int64"
            way_out = f"{other}, or {way_out}"
        kept_to = f"a whole number that {self.dtype} keeps, as it does all to {most}"
        return f"{kept_to} (it would be {rounded:.0f}); {way_out}"

    def expected(self, value: float) -> str:
        if self.classes is not None:
            return f"a label, 0 to {self.classes - 1}; correct it or its target's classes"
        if not math.isfinite(value):
            return "a finite number; fill it in or drop the row; an input may say missing: mean"
        if self.dtype.startswith("float"):
            largest = np.finfo(self.dtype).max
            return f"at most {largest:.3g} ({self.dtype}); correct it or choose another dtype"
        least, most = self.limits()
        return f"a whole number, {least} to {most} ({self.dtype}); correct it or the dtype"
