"""A TensorFlow checkpoint's index: which arrays it has, and where in its files of data each lies.

It is looked through before TensorFlow reads an array.
"""

import math
import re
import struct
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.formats._protobuf import Message, varint
from pipeline.formats.saved_model._index import MAGIC, table
from pipeline.text import escaped

from ._hdf5 import DAMAGE
from ._lazy_array import LazyArray

SUFFIX = ".index"
OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
TEXT, CHECKSUM, SLICES = 7, 4, 7
MOST_SHARDS = 1 << 16
DTYPES = {
    **dict(enumerate(("float32", "float64", "int32", "uint8", "int16", "int8"), 1)),
    8: "complex64",
    9: "int64",
    10: "bool",
    14: "bfloat16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    22: "uint32",
    23: "uint64",
}
"""By tensorflow.DataType."""


def is_index(path: Path) -> bool:
    """Returns whether it is a file that ends as a table of LevelDB's format does."""
    if not path.is_file() or path.stat().st_size < 8:
        return False
    with path.open("rb") as file:
        file.seek(-8, 2)
        return int.from_bytes(file.read(8), "little") == MAGIC


class Index:
    """The index of a checkpoint, looked through."""

    def __init__(self, path: Path):
        """Raises ValueError, LookupError or struct.error for what is none, or names an array that
        does not lie whole in its files; DataError for a file that is missing."""
        self.path, self.prefix = path, path.name.removesuffix(SUFFIX)
        rows = list(table(path))
        self.entries = {key.decode(): Message(value) for key, value in rows}
        if len(self.entries) < len(rows):
            raise ValueError("an array stands in it twice")
        header = self.entries.pop("")
        self.shards = header.integer(1)
        if header.integer(2) or not 0 < self.shards < MOST_SHARDS:
            raise ValueError(f"{self.shards} files of data, or of another byte order")
        sizes = [_size(self.data(number)) for number in range(self.shards)]
        for key, entry in self.entries.items():
            _demand_whole(key, entry, sizes)
        if sum(entry.integer(5) for entry in self.entries.values()) > sum(sizes):
            raise ValueError("its arrays declare more than its files hold")

    def data(self, number: int) -> Path:
        """Returns one of its files of data."""
        return self.path.with_name(f"{self.prefix}.data-{number:05}-of-{self.shards:05}")

    def tensors(self) -> dict[str, LazyArray]:
        """Returns the numbers by key; texts are tables of words, which are not taken from here."""
        opened: list[Any] = []
        numbers = {k: e for k, e in self.entries.items() if e.integer(1) != TEXT}
        return {
            key: LazyArray(
                _shape(entry), _dtype(entry.integer(1)), partial(self._read, key, opened)
            )
            for key, entry in numbers.items()
        }

    def _read(self, key: str, opened: list[Any]) -> np.ndarray:
        """Reads an array with TensorFlow, which compares its checksum. Raises DataError."""
        from pipeline.frameworks._keras_import import tf

        try:
            if not opened:
                opened.append(tf.train.load_checkpoint(str(self.path.with_name(self.prefix))))
            return np.asarray(opened[0].get_tensor(key))
        except (*DAMAGE, tf.errors.OpError) as fault:
            said = escaped(" ".join(str(fault).split())[:200])
            raise DataError(
                f"{self.path}: {escaped(key[:200])} is damaged ({said}); get it again"
            ) from None

    def objects(self) -> bytes:
        """Returns the description of the objects, which lies among the data as a text. Raises
        ValueError, or DataError where there is none."""
        entry = self.entries.get(OBJECTS)
        if entry is None:
            raise DataError(
                f"{self.path}: it names arrays and no objects, as TensorFlow 1 did, expected what "
                "tf.train.Checkpoint writes; save the model as .weights.h5"
            )
        with self.data(entry.integer(3)).open("rb") as file:
            file.seek(entry.integer(4))
            content = file.read(entry.integer(5))
        length, at = varint(content, 0)
        if at + CHECKSUM + length != len(content):
            raise ValueError("the list of objects is not whole")
        return content[at + CHECKSUM :]


def _size(path: Path) -> int:
    if not path.is_file():
        raise DataError(f"{path}: missing, expected it beside its index; copy the whole folder")
    return path.stat().st_size


def _shape(entry: Message) -> tuple[int, ...]:
    return tuple(each.integer(1) for shape in entry.all(2) for each in shape.all(2))


def _demand_whole(key: str, entry: Message, sizes: list[int]) -> None:
    """Raises ValueError unless an array is of numbers or texts and lies whole in its file."""
    dtype, offset, size = entry.integer(1), entry.integer(4), entry.integer(5)
    if dtype != TEXT:
        if dtype not in DTYPES or SLICES in entry.numbers():
            raise ValueError(f"{key} is of kind {dtype} or in slices, expected numbers")
        shape = _shape(entry)
        if min(shape, default=0) < 0 or math.prod(shape) * _dtype(dtype).itemsize != size:
            raise ValueError(f"{key} declares the shape {shape} and stores {size} bytes")
    if not 0 <= offset <= offset + size <= sizes[entry.integer(3)]:
        raise ValueError(f"{key} of {size} bytes is not whole in the files of data")


def _dtype(number: int) -> Any:
    if DTYPES[number] == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(DTYPES[number])


FAULTS = (*DAMAGE, struct.error)
"""What is raised for an index that is not laid out as it has to be."""
LATEST = re.compile(r'^model_checkpoint_path: "([^"\n]+)"$', re.MULTILINE)


def latest(folder: Path) -> str:
    """Returns the name of the index that the folder's file `checkpoint` says is the latest; ""
    where there is no such file."""
    said = folder / "checkpoint"
    if not said.is_file() or said.stat().st_size > 1 << 20:
        return ""
    match = LATEST.search(said.read_text(errors="replace"))
    return Path(match[1]).name + SUFFIX if match else ""


def indices(path: Path) -> Mapping[str, Path]:
    """Returns the indices in a folder by name, or the index that the path is."""
    if path.is_dir():
        return {each.name: each for each in sorted(path.glob(f"*{SUFFIX}")) if is_index(each)}
    return {path.name: path} if is_index(path) else {}
