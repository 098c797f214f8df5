"""Refuses a folder that could do more than compute, before TensorFlow loads it.

A SavedModel's graph can read and write files, print, and call into Python. What may stand in it is
listed: fields.txt, values.txt, operators.txt, attributes.txt and checkpoint.txt.
"""

import json
import struct
from pathlib import Path
from typing import Any

from ._files import FOLDER, INDEX, MEMBERS, SIGNATURE, read_graphs, read_signature
from ._screen_messages import check_messages
from ._screen_nodes import check_nodes
from ._screen_objects import check_objects
from ._screen_saver import Saver
from ._screen_variables import check_variables

LIMITS = {"saved_model.pb": 1 << 30, INDEX: 1 << 26, SIGNATURE: 1 << 20}
"""In bytes, of files that are read before anything is known of them."""
MALFORMED = (
    *(LookupError, TypeError, AttributeError, struct.error, RecursionError),
    *(UnicodeDecodeError, json.JSONDecodeError),
)


def screen(directory: Path) -> None:
    """Raises ValueError unless the folder holds known plain files, its graph nothing but what is
    listed, and each variable as many bytes as its shape says.

    It takes TensorFlow's messages alone, and restores and runs nothing. How long a loop goes on,
    and how much memory operators take, cannot be known.
    """
    folder = directory / FOLDER
    _check_files(folder)
    content = read_graphs(folder)
    if len(content.meta_graphs) != 1:
        raise ValueError(f"{folder}: found {len(content.meta_graphs)} graphs, expected one")
    (graph,) = content.meta_graphs
    try:
        check_objects(graph, folder)
        check_nodes(graph, Saver(graph, folder), folder)
        check_messages(content, folder)
        _check_signature(read_signature(directory))
        check_variables(folder)
    except MALFORMED as error:
        raise ValueError(f"{folder}: {type(error).__name__}: {error}; do not load it") from error


def _check_files(folder: Path) -> None:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    paths = {name: path for name, path in paths.items() if path.is_symlink() or not path.is_dir()}
    plain = all(path.is_file() and not path.is_symlink() for path in paths.values())
    if folder.is_symlink() or not plain or set(paths) != MEMBERS:
        wrong = sorted(set(paths) ^ MEMBERS) or sorted(map(str, paths.values()))
        raise ValueError(f"{folder}: found {wrong} amiss, expected plain files {sorted(MEMBERS)}")
    for name, limit in LIMITS.items():
        if paths[name].stat().st_size > limit:
            raise ValueError(f"{folder}: {name} is larger than {limit} bytes; do not load it")


def _check_signature(signature: Any) -> None:
    names = [*signature["inputs"], *signature["outputs"]]
    names += signature.get("training", {}).get("seeds", [])
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f"{SIGNATURE} holds other than names")
