"""Keras' own archive, `.keras`: configuration, weights as HDF5, and the vocabularies of layers.

The configuration is read as JSON alone, to tell what it says; no layer is made of it.
"""

import json
import shutil
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.frameworks._config_state import values

from . import _hdf5
from ._keras_config import code_notes, compiled
from ._keras_weights import naming, of_net, of_optimizer
from ._lazy_array import LazyArray, words
from .contract import Foreign

TITLE = "Keras archive (.keras)"
GIVES = "weights"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
VOCABULARY = "/vocabulary.txt"
BEGINS = (b"PK\3\4", b"metadata.json", b"config.json", b"model.weights.h5")
EXPANSION, FLOOR = 16, 1 << 20
"""Members may unpack to so many times the file's size, and so many bytes in any case."""
LARGEST_TEXT = 1 << 25
LOCAL_HEADER = 30


def recognizes(path: Path) -> bool:
    """Returns whether it is a zip archive with Keras' members, or begins as one that was cut
    off."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(64)
    if not start.startswith(BEGINS[0]):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return {CONFIG, WEIGHTS} <= set(archive.namelist())
    except (*_hdf5.DAMAGE, zipfile.BadZipFile, NotImplementedError):
        return start[LOCAL_HEADER:].startswith(BEGINS[1:])


def read(path: Path) -> Foreign:
    """Opens the archive. Raises DataError, one line."""
    try:
        with _hdf5.one_line(path), zipfile.ZipFile(path) as archive:
            return _read(path, archive)
    except (zipfile.BadZipFile, NotImplementedError, zlib.error) as fault:
        raise DataError(
            f"{path}: no whole zip archive ({fault}), expected one that Keras wrote; get it again"
        ) from None


def _read(path: Path, archive: zipfile.ZipFile) -> Foreign:
    _demand_no_bomb(path, archive)
    config, metadata = _json(archive, CONFIG, path), _json(archive, METADATA, path)
    said = compiled(config.get("compile_config"))
    root, size = _weights(path, archive)
    arrays = _hdf5.arrays(root, path, size)
    version = metadata.get("keras_version")
    version = version if isinstance(version, str) else None
    return Foreign(
        framework="keras",
        weights={**of_net(arrays), **_vocabularies(path, archive), **_settings(config)},
        naming=f"{naming(root, arrays, version)}_and_assets",
        optimizer=of_optimizer(arrays, said.optimizer, said.settings),
        versions={"keras": version} if version else {},
        hyperparameters=said.hyperparameters,
        notes=(*said.notes, *code_notes(config)),
    )


def _demand_no_bomb(path: Path, archive: zipfile.ZipFile) -> None:
    size, members = path.stat().st_size, archive.infolist()
    unpacked = sum(each.file_size for each in members)
    if unpacked > EXPANSION * size + FLOOR or sum(each.compress_size for each in members) > size:
        raise DataError(
            f"{path}: its members declare {unpacked} bytes in a file of {size}, expected no more "
            f"than {EXPANSION} times as many; save the model again"
        )
    if len({each.filename for each in members}) < len(members):
        raise DataError(f"{path}: a member stands in it twice, expected each once; get it again")


def _json(archive: zipfile.ZipFile, member: str, path: Path) -> dict[str, Any]:
    """Returns what a member holds, {} where there is none."""
    if member not in archive.namelist():
        return {}
    content = parse(_text(archive, member, path).encode(), f"{path}: {member}")
    return content if isinstance(content, dict) else {}


def parse(content: bytes, where: str) -> Any:
    """Returns what JSON holds. Raises DataError, one line, for what is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as fault:
        said = " ".join(str(fault).split())[:200]
        raise DataError(f"{where}: no JSON ({said}), expected what Keras writes") from None


def _text(archive: zipfile.ZipFile, member: str, path: Path) -> str:
    size = archive.getinfo(member).file_size
    if size > LARGEST_TEXT:
        raise DataError(f"{path}: {member} has {size} bytes, expected at most {LARGEST_TEXT}")
    return archive.read(member).decode()


def _weights(path: Path, archive: zipfile.ZipFile) -> tuple[Any, int]:
    """Returns the HDF5 file and its size; it lies as it is in the archive, or is
    unpacked into a file that has no name; its checksum is that of the archive."""
    info = archive.getinfo(WEIGHTS)
    if info.compress_type != zipfile.ZIP_STORED:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (open as long as its arrays are)
        with archive.open(info) as packed:
            shutil.copyfileobj(packed, file, 1 << 20)
        return _hdf5.opened(file), info.file_size
    with archive.open(info) as member:
        while member.read(1 << 20):  # the last one compares the checksum
            pass
    with path.open("rb") as raw:
        raw.seek(info.header_offset)
        header = raw.read(LOCAL_HEADER)
    lengths = (int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
    start = info.header_offset + LOCAL_HEADER + sum(lengths)
    return _hdf5.opened(_hdf5.Window(path, start, info.file_size)), info.file_size


def _settings(config: Any) -> dict[str, LazyArray]:
    """Returns what layers learnt or were given that lies in the configuration alone."""
    return {name: words(value) for name, _, _, value in values(config) if value is not None}


def _vocabularies(path: Path, archive: zipfile.ZipFile) -> dict[str, LazyArray]:
    """Returns the words that layers learnt, by the names of their members."""
    return {
        name: words(_text(archive, name, path).replace("\r\n", "\n").split("\n"))
        for name in archive.namelist()
        if name.startswith("assets/") and name.endswith(VOCABULARY)
    }
