"""What a float keeps of a number: float32 all whole numbers to 2**24, float64 to 2**53."""

from collections.abc import Iterator, Mapping

import numpy as np

from pipeline.data.tables import EXACT, Array

STEPS = 256
"""Fewer values than this between a column's least and greatest, and it is told."""


def largest_exact(dtype: str) -> int:
    return int(2 ** (np.finfo(dtype).nmant + 1))


def rounded(values: Array, cast: Array) -> Array:
    """Returns where a whole number became another in a float dtype.

    Beyond 2**53 a float says no longer which whole number is meant, an integer does.
    """
    if values.dtype == object:
        pairs = zip(values, cast.tolist(), strict=True)
        exact = [
            int(rounding) != value if isinstance(value, int) else False for value, rounding in pairs
        ]
        floats = np.array([0.0 if isinstance(value, int) else value for value in values])
        return np.array(exact, bool) | rounded(floats, np.where(exact, 0, cast))
    if values.dtype.kind == "f":
        size = np.abs(values)
        whole = (size > largest_exact(cast.dtype.name)) & (size <= EXACT) & (values % 1 == 0)
        result: Array = whole & (cast.astype(values.dtype) != values)
        return result
    return _more_bits(values, largest_exact(cast.dtype.name))


def _more_bits(values: Array, limit: int) -> Array:
    """Returns where an integer has more bits, from its first to its last 1, than a float keeps."""
    if values.dtype.itemsize < 4:
        return np.zeros(values.shape, bool)
    size = values if values.dtype.kind == "u" else np.abs(values.astype(np.int64)).view(np.uint64)
    size = size.astype(np.uint64, copy=False)
    if size.max(initial=0) <= limit:
        return np.zeros(values.shape, bool)
    lowest = size & (~size + np.uint64(1))
    result: Array = size // np.maximum(lowest, np.uint64(1)) > np.uint64(limit)
    return result


class Spread:
    """A spread knows the least and the greatest value of each column that becomes float32, and how
    many of its values become 0."""

    def __init__(self) -> None:
        self._bounds: dict[str, tuple[float, float]] = {}
        self._vanished: dict[str, float] = {}

    def add(self, columns: Mapping[str, Array], dtype: str) -> None:
        if dtype != "float32":
            return
        for name, values in columns.items():
            if values.dtype.kind != "f" or not (values := values[~np.isnan(values)]).size:
                continue
            low, high = self._bounds.get(name, (np.inf, -np.inf))
            bounds = min(low, float(values.min())), max(high, float(values.max()))
            self._bounds[name] = bounds
            with np.errstate(all="ignore"):
                gone = (values != 0) & (values.astype(np.float32) == 0)
            if gone.any():
                self._vanished.setdefault(name, float(values[gone][0]))

    def warnings(self) -> Iterator[str]:
        """Yields a line for each column of which float32 keeps too little."""
        for name, (low, high) in self._bounds.items():
            steps = (high - low) / float(np.spacing(np.float32(max(abs(low), abs(high)))))
            if 0 < steps < STEPS:
                number = f"{steps:.0f} values" if steps >= 1 else "no values"
                yield (
                    f"column {name!r}: float32 tells {number} apart from {low!r} to {high!r}; "
                    "declare float64, or subtract an offset from the column"
                )
        for name, value in self._vanished.items():
            yield (
                f"column {name!r}: values as small as {value!r} become 0 in float32; "
                "declare float64, or scale the column"
            )
