"""What the stage `train` writes of a Keras model after each epoch: arrays in an .npz, whose names
are the framework's own."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import DataError
from pipeline.frameworks import _npz
from pipeline.text import escaped

from ._averages import TRAINED
from ._keras_weights import state
from ._lazy_array import LazyArray, words
from .contract import Foreign

TITLE = "checkpoint of a Keras training of this pipeline (.npz)"
GIVES = "weights"
BEGINS, LOCAL_HEADER = b"PK\3\4", 30
EPOCHS, SUFFIX = "epochs", ".npy"
NET, OF_OPTIMIZER, OPTIMIZER = "net/", f"{TRAINED}/", "optimizer/"
LEARNT = ("vocabulary/", "boundaries/")
"""What layers learnt and hold in no variable: matched by the name alone."""
LARGEST_WORDS = 1 << 25
COUNTED = re.compile(r"_\d+$")
DAMAGE = (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, KeyError)


def recognizes(path: Path) -> bool:
    """Returns whether it is an .npz with the weights of a net and the epochs behind them, or begins
    as one that was cut off."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(64)
    if not start.startswith(BEGINS):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGE:
        return start[LOCAL_HEADER:].startswith(f"{EPOCHS}{SUFFIX}".encode())
    return EPOCHS + SUFFIX in names and any(name.startswith(NET) for name in names)


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    try:
        _demand_stored(path)
        file = np.load(path, allow_pickle=False)
        arrays = {name: _array(file, name) for name in file.files}
        epoch = int(np.asarray(arrays.pop(EPOCHS)))
    except DAMAGE as fault:
        said = escaped(" ".join(str(fault).split())[:200])
        raise DataError(
            f"{path}: damaged ({said}), expected what `train` wrote; take an earlier epoch's"
        ) from None
    learnt = {name: each for name, each in arrays.items() if name.startswith(LEARNT)}
    trained = _below(OF_OPTIMIZER, arrays)
    return Foreign(
        framework="keras",
        weights=_below(NET, arrays) | learnt,
        others={TRAINED: trained | learnt} if trained else {},
        optimizer_of=TRAINED if trained else None,
        optimizer=_optimizer(_below(OPTIMIZER, arrays)),
        epoch=epoch,
    )


def _demand_stored(path: Path) -> None:
    """Raises ValueError where a member is packed, stands in it twice, or is damaged."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = [each.filename for each in members]
        packed = [each for each in members if each.compress_type != zipfile.ZIP_STORED]
        if packed or sum(each.file_size for each in members) > path.stat().st_size:
            raise ValueError("a member is packed")
        if len(set(names)) < len(names) or not all(name.endswith(SUFFIX) for name in names):
            raise ValueError("a member stands in it twice, or is no array")
        if name := archive.testzip():
            raise ValueError(f"the checksum of {name} is another")


def _array(file: Any, name: str) -> LazyArray:
    header = _npz.header(file, name)
    if header.dtype.hasobject:
        raise ValueError(f"{name} holds objects")
    if not name.startswith(LEARNT):
        return LazyArray(header.shape, header.dtype, lambda: _npz.read(file, name))
    if file.zip.getinfo(name + SUFFIX).file_size > LARGEST_WORDS:
        raise ValueError(f"{name} has more than {LARGEST_WORDS} bytes")
    return words(file[name].tolist())


def _below(head: str, arrays: dict[str, LazyArray]) -> dict[str, LazyArray]:
    """Returns those whose names begin so, without that."""
    return {name[len(head) :]: each for name, each in arrays.items() if name.startswith(head)}


def _optimizer(arrays: dict[str, LazyArray]) -> dict[str, Any] | None:
    """Returns the state as the framework takes it: its variables stand in the optimizer's order, by
    paths that begin with its name."""
    if not arrays:
        return None
    name = next(iter(arrays)).partition("/")[0]
    return state(list(arrays.values()), COUNTED.sub("", name), {})
