"""Keras 3's weights alone, `.weights.h5`; or in several files with an index, `.weights.json`."""

import re
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.text import escaped

from . import _hdf5
from ._keras_weights import OLD, naming, of_net, of_optimizer, usual
from ._lazy_array import LazyArray
from .contract import Foreign
from .keras_archive import parse

TITLE = "Keras weights (.weights.h5)"
GIVES = "weights"
LARGEST_INDEX = 1 << 25
GROUP = "vars"
COUNTED = re.compile(r"_\d+$")


def recognizes(path: Path) -> bool:
    """Returns whether it is such a file, whole or damaged, or such an index or a folder with
    one."""
    if _hdf5.begins_hdf5(path):
        return layout(path) in ("weights", "damaged")
    index = index_of(path)
    return index is not None and bool(_shards(index))


def read(path: Path) -> Foreign:
    """Opens the file, or all that the index names. Raises DataError, one line."""
    index = index_of(path)
    if index == path:
        raise DataError(
            f"{path}: an index, whose weights lie in other files, expected the folder with all of "
            f"them; name {path.parent}"
        )
    with _hdf5.one_line(path):
        files = [path] if index is None else _demanded(index)
        arrays: dict[str, LazyArray] = {}
        optimizer: str | None = None
        words = ""
        for file in files:
            root = _hdf5.opened(_hdf5.Window(file))
            own = _hdf5.arrays(root, file, file.stat().st_size)
            if both := sorted(set(own) & set(arrays)):
                raise DataError(f"{file}: {escaped(both[0][:200])} is in another shard, too")
            arrays |= own
            words = words or naming(root, own, None)
            optimizer = optimizer or _optimizer(root)
    return Foreign(
        framework="keras",
        weights=of_net(arrays),
        naming=words,
        optimizer=of_optimizer(arrays, optimizer, {}),
    )


def layout(path: Path) -> str:
    """Returns which of Keras' layouts a file of HDF5 has: "legacy", "weights", "other" or, where it
    cannot be opened, "damaged"."""
    try:
        with _hdf5.opened(_hdf5.Window(path)) as file:
            if {"layer_names", "layer_names0", "model_config"} & set(file.attrs):
                return "legacy"
            if "model_weights" in file:
                return "legacy"
            return "weights" if file.visit(_is_group_of_variables) else "other"
    except _hdf5.DAMAGE:
        return "damaged"


def _is_group_of_variables(name: str | bytes) -> bool | None:
    path = name if isinstance(name, str) else name.decode(errors="replace")
    parts = usual(path).split("/")
    return True if parts[-1] == GROUP or OLD in path else None


def _optimizer(root: Any) -> str | None:
    """Returns what the optimizer is called, which is its class in snake case unless somebody named
    it."""
    group = root.get("optimizer/vars")
    name = _hdf5.text(group, "name") if group is not None else None
    return COUNTED.sub("", name) if name else None


def index_of(path: Path) -> Path | None:
    """Returns the index that the path is, or the only one in a folder."""
    if path.is_dir():
        indices = [each for each in sorted(path.glob("*.json")) if _shards(each)]
        return indices[0] if len(indices) == 1 else None
    is_text = path.is_file() and path.stat().st_size <= LARGEST_INDEX
    if not is_text:
        return None
    with path.open("rb") as file:
        return path if file.read(1) == b"{" else None


def _shards(index: Path) -> dict[str, list[str]]:
    """Returns the files in which each group of variables lies; {} for another's index."""
    if not index.is_file() or index.stat().st_size > LARGEST_INDEX:
        return {}
    try:
        content = parse(index.read_bytes(), str(index))
    except DataError:
        return {}
    places = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(places, dict):
        return {}
    lists = {k: v if isinstance(v, list) else [v] for k, v in places.items()}
    every = [name for names in lists.values() for name in names]
    fits = all(isinstance(name, str) and name.endswith(".h5") for name in every)
    return lists if fits else {}


def _demanded(index: Path) -> list[Path]:
    """Returns the shards. Raises DataError for one that is missing, or does not lie beside it."""
    names = sorted({name for names in _shards(index).values() for name in names})
    for name in names:
        if Path(name).name != name or not _hdf5.begins_hdf5(index.parent / name):
            raise DataError(
                f"{index}: {escaped(name[:200])} is missing beside it, or no HDF5; expected all "
                f"of {len(names)} shards in one folder"
            )
    return [index.parent / name for name in names]
