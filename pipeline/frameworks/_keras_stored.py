"""The arrays of a checkpoint and of a training, one in memory at a time."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from . import _npz

NOT_ARRAYS = frozenset({"epochs", "class_weights"})
"""What a checkpoint has beside the state."""


class StoredArrays(Mapping[str, np.ndarray]):
    """The state in an open .npz; an array is read, or mapped, when it is asked for."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __getitem__(self, name: str) -> np.ndarray:
        return _npz.read(self._file, name)

    def __iter__(self) -> Iterator[str]:
        return (name for name in self._file.files if name not in NOT_ARRAYS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def shape(arrays: Mapping[str, np.ndarray], name: str) -> tuple[int, ...]:
    """Returns an array's shape; of one that is stored nothing else is read."""
    if not isinstance(arrays, StoredArrays):
        return arrays[name].shape
    return _npz.header(arrays._file, name).shape


class Value:
    """A variable that becomes an array where one is asked for, as by numpy.savez."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self._variable.numpy(), dtype)
