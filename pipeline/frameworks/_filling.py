"""What stands for a missing value, by input, and training rows as the net gets to see them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

KEEP = "keep"


def fillings(inputs: Mapping[str, Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Returns what fills each element of a row, for the inputs of a schema that have it."""
    return {
        name: np.array(spec["missing"], spec["dtype"])
        for name, spec in inputs.items()
        if spec.get("missing", KEEP) != KEEP
    }


def filled(arrays: Mapping[str, Any], fills: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the arrays, rows first, with those that have a filling filled as they are read."""
    return {n: Filled(each, fills[n]) if n in fills else each for n, each in arrays.items()}


class Filled:
    """An array of rows that is filled where it is indexed, so that no split is held whole."""

    def __init__(self, rows: Any, fill: np.ndarray):
        self.rows, self.fill = rows, fill
        self.shape, self.dtype, self.ndim = rows.shape, rows.dtype, len(rows.shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any) -> np.ndarray:
        values = np.asarray(self.rows[rows])
        return np.where(np.isnan(values), self.fill, values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)
