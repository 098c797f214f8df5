"""What a file holds, as arrays by name, whatever it is packed in; nothing is run from it."""

import csv
import io
import pickle
import struct
import tarfile
import tokenize
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import formats as known
from pipeline.files import temporary_folder
from pipeline.formats.contract import Place
from pipeline.formats.places import within
from pipeline.untrusted import arrays, documents, limits

Arrays = dict[str, np.ndarray]


def tensors(directory: Path, file: str) -> Arrays | None:
    """Returns a file's tensors; None for a container that nothing here can look into."""
    for read in (_by_ending, _by_format):
        try:
            result = read(directory, file)
        except UNREADABLE:
            continue
        if result:
            return result
    return None


def _by_ending(directory: Path, file: str) -> Arrays:
    read = READERS.get(Path(file).suffix)
    return read(directory / file) if read else {}


def _by_format(directory: Path, file: str) -> Arrays:
    result: Arrays = {}
    for name in formats(directory, file):
        result |= {f"{name}: {key}": array for key, array in _of_format(directory, name).items()}
    return result


def formats(directory: Path, file: str) -> list[str]:
    """Returns the formats in `directory` that `file` is a part of."""
    names = []
    for name in known.names():
        main = known.declared(name).file
        if (directory / main).is_file():
            files = {main, *(place[0] for place in _places(directory, name).values())}
            if file in files or _contents(file, main):
                names.append(name)
    return names


def _contents(file: str, main: str) -> bool:
    """Returns whether it is another graph or table of contents in the folder of a format's main
    file."""
    folder = Path(main).parts[0]
    return main != folder and file.startswith(f"{folder}/") and file.endswith(GRAPHS)


def _places(directory: Path, name: str) -> dict[str, Place]:
    """Returns where weights and the optimizer's state lie; what lies in a file that is read by its
    ending is left to that, which knows names and dtypes."""
    places = within(known.loader(name).weights(directory), directory)
    if known.declared(name).promises.trainable:
        slots = known.training_loader(name).optimizer_state(directory)
        unread = {k: p for k, p in slots.items() if Path(p[0]).suffix not in READERS}
        places |= {f"optimizer/{k}": place for k, place in within(unread, directory).items()}
    return places


def _of_format(directory: Path, name: str) -> Arrays:
    """Returns arrays of one dimension, for a place knows no shape."""
    return {
        key: np.memmap(directory / file, dtype, "r", offset, (nbytes // np.dtype(dtype).itemsize,))
        if nbytes
        else np.empty(0, dtype)
        for key, (file, offset, nbytes, dtype) in _places(directory, name).items()
    }


def _npy(path: Path) -> Arrays:
    return {"": np.load(path, mmap_mode="r", allow_pickle=False)}


def _npz(path: Path) -> Arrays:
    return arrays.read(path, packed=True)


def _torch(path: Path) -> Arrays:
    import torch

    saved = torch.load(path, map_location="cpu", weights_only=True)
    return dict(_leaves(saved, "", torch))


def _leaves(value: Any, name: str, torch: Any) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, torch.Tensor):
        plain = value.detach()
        narrow = plain.dtype.is_floating_point and plain.element_size() < 4
        yield name, (plain.float() if narrow else plain).numpy()  # widening keeps every value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, f"{name}/{key}" if name else str(key), torch)
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from _leaves(each, f"{name}/{index}", torch)
    else:
        yield name, _scalar(value)


def _tar(path: Path) -> Arrays:
    """Returns what a model that is trained on keeps after an epoch: a format's files."""
    with temporary_folder() as scratch, tarfile.open(path, "r:") as archive:
        if sum(member.size for member in archive) > path.stat().st_size:
            raise ValueError("members larger than the archive")
        archive.extractall(scratch, filter="data")
        members: Arrays = {}
        for member in sorted(p for p in scratch.rglob("*") if p.is_file()):
            name = member.relative_to(scratch).as_posix()
            inner = tensors(scratch, name) or {"": np.asarray(member.read_bytes())}
            members |= {f"{name}: {key}": np.array(array) for key, array in inner.items()}
        return members


def _json(path: Path) -> Arrays:
    return dict(_values(documents.read_json(path, limits.LISTING), ""))


def _values(value: Any, name: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _values(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _values(each, f"{name}[{index}]")
    else:
        yield name, _scalar(value)


def _scalar(value: Any) -> np.ndarray:
    number = isinstance(value, int | float | bool | str)
    return np.asarray(value if number else repr(value))


def _csv(path: Path) -> Arrays:
    """Returns an array for each column; of numbers where every cell is one."""
    text = documents.read_text(path, limits.LISTING)
    header, *rows = csv.reader(io.StringIO(text, newline=""))
    columns: Arrays = {}
    for name, *cells in zip(header, *rows, strict=False):
        try:
            columns[name] = np.asarray(cells, np.float64)
        except ValueError:
            columns[name] = np.asarray(cells)
    return columns


def _text(path: Path) -> Arrays:
    """Returns the lines of a text, a vocabulary's for instance, as elements."""
    return {"": np.asarray(documents.read_text(path, limits.LISTING).splitlines())}


READERS: dict[str, Callable[[Path], Arrays]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".pt": _torch,
    ".tar": _tar,
    ".json": _json,
    ".csv": _csv,
    ".txt": _text,
}
GRAPHS = (".pb", ".index", ".onnx")
UNREADABLE = (
    *(ValueError, KeyError, RuntimeError, OSError, struct.error, pickle.UnpicklingError),
    *(zipfile.BadZipFile, tarfile.TarError, csv.Error, SyntaxError, tokenize.TokenError),
    *(MemoryError, RecursionError, TypeError, AttributeError, arrays.ForeignArrays),
)
"""What a reader raises for a file that is not of its kind."""
