"""`model.keras`: Keras' own archive, with the optimizer's state; no complete model for classes of
one's own, whose source it takes to load.

What `Model.save` writes is packed anew without the time of day and without addresses of objects, so
that the same model gives the same bytes. Nothing in it is compressed, so what it unpacks to is as
large as the file.
"""

import importlib
import importlib.util
import json
import math
import re
import struct
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]


FILE = "model.keras"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMBER = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets(/\w[\w.\- ]*)+")
KERAS = re.compile(
    r"keras(\.src)?(\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics"
    r"|models|ops|optimizers|quantizers|random|regularizers)(\.\w+)*)?"
)
CONSTANTS = {f"__{kind}__" for kind in ("keras_tensor", "tensor", "numpy", "tuple", "bytes")}
CONSTANTS |= {"__ellipsis__", "__slice__", "__complex__"}
CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}
NAMED = re.compile(r"([\w.-]+>)?[A-Za-z_]\w*")  # behind the package that it is registered under
FUNCTIONS = {"", "builtins"} | {
    f"keras.{each}"
    for each in ("activations", "initializers", "losses", "metrics", "ops", "regularizers")
}
REACHING = re.compile(r"(de)?serialize|get|(load|save)_\w+|custom_gradient|\w*map|\w*scan|\w+_loop")
# Limits of what is read before anything is known of it.
JSON_LIMIT, TABLE_LIMIT, DEPTH, LARGEST = 1 << 25, 1 << 24, 200, 1 << 31
JSON_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
# Records of a zip archive: its end, the same for 64 bits, where that lies, one member, and again.
END, END64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
LOCATOR, ENTRY = struct.Struct("<4sLQL"), struct.Struct("<4s6H3L5H2L")
LOCAL, WIDE = struct.Struct("<4s5H3L2H"), 0xFFFFFFFF
EPOCH = (1980, 1, 1, 0, 0, 0)


def export(model: "keras.Model", inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes architecture, weights, compile configuration and optimizer state.

    ValueError in one line when the model does not fit, or does not come back as it was.
    """
    path = directory / FILE
    signature = {"inputs": list(inputs), "outputs": outputs}
    try:
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            model.save(Path(scratch) / FILE)
            known = dict(_known(model))
            _pack(Path(scratch) / FILE, path, signature, known)
        _check_archive(path)
        _check_return(model, path, known)
    except (NotImplementedError, TypeError, AttributeError, ValueError) as error:
        path.unlink(missing_ok=True)
        raise ValueError(
            f"keras_archive: this model does not fit: {_in_one_line(error)}"
        ) from error


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Imports the modules of `needs`; ModuleNotFoundError where they are not to be had."""
    import tensorflow as tf

    model = load_model(directory)
    signature = _json(directory / FILE, METADATA)["signature"]

    def predict(inputs: Arrays) -> Arrays:
        tensors = {name: tf.constant(inputs[name]) for name in signature["inputs"]}
        found = model(tensors if len(tensors) > 1 else next(iter(tensors.values())), training=False)
        return _named(found, signature["outputs"])

    return predict


def load_model(directory: Path) -> "keras.Model":
    """As it was saved: compiled, with the optimizer's state, for training on."""
    import keras

    _check_archive(directory / FILE)
    loaded: keras.Model = keras.saving.load_model(
        directory / FILE, custom_objects=_imported(directory / FILE), safe_mode=True
    )
    return loaded


def needs(directory: Path) -> list[str]:
    """The classes and functions, `module.name` each, that it takes besides Keras; loads nothing."""
    named = _json(directory / FILE, METADATA)["custom_objects"].values()
    return sorted(f"{module}.{name}" for module, name in named)


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """By their path in the HDF5 file, which lies as it is in the archive; the optimizer's left out.

    Read through h5py, which Keras requires.
    """
    import h5py

    path = directory / FILE
    with zipfile.ZipFile(path) as archive, h5py.File(archive.open(WEIGHTS), "r") as file:
        start = _start(path, archive.getinfo(WEIGHTS))
        return {
            name: (FILE, start + data.id.get_offset(), data.id.get_storage_size(), _kind(data))
            for name, data in _datasets(file)
            if data.size and not name.startswith("optimizer/")
        }


def card(inputs: list[str], outputs: list[str]) -> str:
    """Imports the classes that are not Keras' own from where the file says they were."""
    named = ", ".join(f'"{name}": tensorflow.constant(example["input.{name}"])' for name in inputs)
    given = f"{{{named}}}" if len(inputs) > 1 else f'example["input.{inputs[0]}"]'
    return (
        "import importlib, json, keras, numpy, tensorflow, zipfile\n"
        'example = numpy.load("examples/one.npz")\n'
        f'about = json.loads(zipfile.ZipFile("{FILE}").read("{METADATA}"))\n'
        'needed = about["custom_objects"].items()  # their source must be importable\n'
        "own = {k: getattr(importlib.import_module(m), name) for k, (m, name) in needed}\n"
        f'model = keras.saving.load_model("{FILE}", custom_objects=own)\n'
        f"outputs = model({given}, training=False)"
    )


def _named(found: Any, outputs: list[str]) -> Arrays:
    if isinstance(found, dict):
        found = [found[name] for name in outputs]
    values = found if isinstance(found, list | tuple) else [found]
    arrays = [np.asarray(each) for each in values]
    arrays = [np.char.decode(a.astype("S"), "utf-8") if a.dtype.hasobject else a for a in arrays]
    return dict(zip(outputs, arrays, strict=True))


def _in_one_line(error: BaseException) -> str:
    """Keras wraps the cause in everything that it was about to make."""
    innermost = re.split(r"(?:Exception|Error) encountered[\w ]*: ", str(error))[-1]
    return " ".join(innermost.split("Full object config")[0].split())[:400]


def _pack(saved: Path, path: Path, signature: dict[str, Any], known: dict[str, Any]) -> None:
    """Members in order of name, stored, at a fixed date; JSON without time and addresses."""
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        config = json.loads(old.read(CONFIG))
        about = {
            "keras_version": json.loads(old.read(METADATA))["keras_version"],
            "signature": signature,
            "custom_objects": dict(_foreign(config, known)),
        }
        for name in sorted(each for each in old.namelist() if not each.endswith("/")):
            ours = {METADATA: about, CONFIG: _renumbered(config, {})}
            content = _dump(ours[name]) if name in ours else old.read(name)
            new.writestr(zipfile.ZipInfo(name, EPOCH), content)


def _dump(value: Any) -> bytes:
    return json.dumps(value).encode()


def _renumbered(value: Any, numbers: dict[int, int]) -> Any:
    """`shared_object_id` is an address: objects are numbered as they are met."""
    if isinstance(value, list):
        return [_renumbered(each, numbers) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: numbers.setdefault(each, len(numbers))
        if key == "shared_object_id"
        else _renumbered(each, numbers)
        for key, each in value.items()
    }


def _check_return(model: "keras.Model", path: Path, known: dict[str, Any]) -> None:
    """Loads it with the classes at hand: Keras writes what it cannot read back."""
    import keras

    found = keras.saving.load_model(path, custom_objects=known, safe_mode=True)
    for kept, loaded in zip(_state(model), _state(found), strict=True):
        if not np.array_equal(np.asarray(kept.value), np.asarray(loaded.value)):
            raise ValueError(f"the weight {kept.path} comes back with other values")


def _state(model: "keras.Model") -> list[Any]:
    return [*model.weights, *(model.optimizer.variables if model.compiled else [])]


def _known(model: "keras.Model") -> Iterator[tuple[str, Any]]:
    """Classes and functions of one's own that the model is made of, by Keras' names for them."""
    import keras

    config = getattr(model, "_compile_config", None)
    parts = [*model._flatten_layers(), *_leaves(getattr(config, "config", {}))]
    for part in [each for whole in parts for each in (whole, *_kept(whole))]:
        kind = part if hasattr(part, "__name__") else type(part)
        if kind.__module__.split(".")[0] not in ("keras", "builtins", "tensorflow"):
            yield keras.saving.get_registered_name(kind), kind


def _kept(part: Any) -> list[Any]:
    """What a layer or loss keeps: functions, and objects that know how to describe themselves."""
    kept = getattr(part, "__dict__", {}).values()
    return [each for each in kept if callable(each) or hasattr(each, "get_config")]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list | tuple):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _leaves(each)
    elif value is not None:
        yield value


def _imported(path: Path) -> dict[str, Any]:
    named = _json(path, METADATA)["custom_objects"].items()
    return {key: _import(module, name, path) for key, (module, name) in named}


def _import(module: str, name: str, path: Path) -> Any:
    """A class of Keras' kinds or a function, as the module itself defines it. ValueError for any
    other, for Python's own modules, and for one that lies beside the file that names it."""
    top = module.partition(".")[0]
    spec = None if top in sys.modules else importlib.util.find_spec(top)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec else []
    beside = any(Path(p).resolve().is_relative_to(path.parent.resolve()) for p in places if p)
    wrong = top in sys.stdlib_module_names or beside
    found = None if wrong else getattr(importlib.import_module(module), name)
    if isinstance(found, types.FunctionType):
        fits = found.__globals__.get("__name__") == module  # what it says itself can be changed
    else:
        fits = hasattr(found, "from_config") and getattr(found, "__module__", "") == module
    if not fits:
        raise ValueError(
            f"{path}: names {module}.{name}, which is no class for Keras and no function of that "
            "module; do not load it"
        )
    return found


def _foreign(config: Any, known: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """What the configuration names and is not Keras': its name there -> (module, name).

    Keras does not write the module of a function, nor that of a class in `__main__`.
    """
    for each in _configs(config):
        function = each["class_name"] == "function"
        key = each.get("config") if function else each.get("registered_name")
        if key in known:
            kind = known[key]
            if kind.__module__ == "__main__" or "." in kind.__qualname__:
                raise ValueError(
                    f"{kind.__qualname__} of {kind.__module__} cannot be imported by its name, "
                    "expected it at the top of a module"
                )
            yield key, (kind.__module__, kind.__name__)


def _configs(value: Any) -> Iterator[dict[str, Any]]:
    """Every entry that Keras would make an object of."""
    if isinstance(value, dict):
        if isinstance(value.get("class_name"), str):
            yield value
        for each in value.values():
            yield from _configs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _configs(each)


def screen(directory: Path) -> None:
    """ValueError for what would run, be read from elsewhere, unpack to more than the file, or take
    the source of somebody's own classes: a file that is not trusted must not say what is imported.

    Keras is not loaded. How much memory layers take, and how long they compute, cannot be told.
    """
    path = directory / FILE
    try:
        _check_archive(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: damaged ({error}); do not load it") from error
    named = needs(directory)
    if named:
        raise ValueError(
            f"{path}: names {', '.join(named)[:200]} to be imported, expected Keras' own classes "
            "alone; load it only where you trust whoever wrote it"
        )


def _check_archive(path: Path) -> None:
    """All of `screen` but the classes that are not Keras' own."""
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError(f"{path}: not a .keras archive; export it again")
        _check_members(path)
        _check_metadata(_json(path, METADATA), path)
        _check_config(_json(path, CONFIG), path)
        _check_weights(path)
    except (KeyError, TypeError, AttributeError, IndexError, RuntimeError, OSError) as error:
        raise ValueError(
            f"{path}: not laid out as it is written here ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}); do not load it"
        ) from error


def _check_members(path: Path) -> None:
    members = _members(path)
    for name in members:
        if not MEMBER.fullmatch(name):
            raise ValueError(
                f"{path}: member {name!r} is none of Keras', expected {CONFIG}, {METADATA}, "
                f"{WEIGHTS} and assets; do not load it"
            )
    if not {CONFIG, METADATA, WEIGHTS} <= set(members):
        raise ValueError(f"{path}: malformed archive, expected each of Keras' members once")


def _members(path: Path) -> dict[str, tuple[int, int]]:
    """(offset, size) of each member. ValueError unless every reader must find the same ones: stored
    one behind the other from the first byte on, then the table, told of once, and nothing else.
    """
    try:
        with path.open("rb") as file:
            start, size, count = _table(file, path.stat().st_size)
            file.seek(start)
            found = list(_entries(file, file.read(size), count, start))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: malformed archive ({error}); do not load it") from error
    if len(dict(found)) < len(found):
        raise ValueError(f"{path}: malformed archive, expected each member once; do not load it")
    return dict(found)


def _table(file: IO[bytes], total: int) -> tuple[int, int, int]:
    """Where the table starts, its size and its number of entries, as the end of the file says."""
    file.seek(max(0, total - END.size - LOCATOR.size - END64.size))
    tail = file.read()
    mark, disk, first, here, count, size, start, comment = END.unpack(tail[-END.size :])
    fine = mark == b"PK\5\6" and not (disk or first or comment) and here == count
    behind = total - END.size
    if tail[-END.size - LOCATOR.size :][:4] == b"PK\6\7":
        behind -= LOCATOR.size + END64.size
        locator = LOCATOR.unpack(tail[-END.size - LOCATOR.size : -END.size])
        told = zip((count, size, start), (0xFFFF, WIDE, WIDE), strict=True)
        mark, length, _, _, disk, first, here, count, size, start = END64.unpack(tail[: END64.size])
        fine &= locator == (b"PK\6\7", 0, behind, 1)
        fine &= (mark, length, disk, first, here) == (b"PK\6\6", END64.size - 12, 0, 0, count)
        real = zip(told, (count, size, start), strict=True)
        fine &= all(each in (value, limit) for (each, limit), value in real)
    if not fine or start + size != behind or size > TABLE_LIMIT:
        raise struct.error("its table is not where its end says, or too large")
    return start, size, count


def _entries(
    file: IO[bytes], table: bytes, count: int, end: int
) -> Iterator[tuple[str, tuple[int, int]]]:
    at = behind = 0
    for _ in range(count):
        mark, _, _, flags, method, _, _, crc, *sizes = ENTRY.unpack_from(table, at)
        packed, size, length, extra, comment, disk, _, _, offset = sizes
        at += ENTRY.size
        name, more = table[at : at + length], table[at + length : at + length + extra]
        at += length + extra
        size, packed, offset = _wide(more, [size, packed, offset])
        file.seek(offset)
        local = LOCAL.unpack(file.read(LOCAL.size))
        same = (local[0], local[2], local[3], file.read(local[-2])) == (
            b"PK\3\4",
            flags,
            method,
            name,
        )
        strange = mark != b"PK\1\2" or comment or disk or flags & ~0x808 or offset != behind
        if strange or not same or method or packed != size:
            raise struct.error(
                f"member {name.decode(errors='replace')!r} is compressed or told of differently"
            )
        start = offset + LOCAL.size + local[-2] + local[-1]
        behind = start + size
        if flags & 8:
            file.seek(behind)
            behind += _descriptor(file.read(24), crc, size)
        yield name.decode("utf-8" if flags & 0x800 else "ascii"), (start, size)
    if at != len(table) or behind != end:
        raise struct.error("something lies between its members")


def _wide(extra: bytes, values: list[int]) -> list[int]:
    """What 32 bits do not hold stands in field 1, the only one allowed."""
    wide = values.count(WIDE)
    if not wide and not extra:
        return values
    kind, size, *found = struct.unpack(f"<HH{wide}Q", extra)
    if (kind, size) != (1, 8 * wide):
        raise struct.error("its table has fields that readers take differently")
    return [found.pop(0) if each == WIDE else each for each in values]


def _descriptor(rest: bytes, crc: int, size: int) -> int:
    """How long the record behind a member is that repeats its size."""
    if rest == struct.pack("<4sL2Q", b"PK\7\x08", crc, size, size):
        return 24
    if size < WIDE and rest[:16] == struct.pack("<4s3L", b"PK\7\x08", crc, size, size):
        return 16
    raise struct.error("a member's size is told twice and differently")


def _check_metadata(about: Any, path: Path) -> None:
    named = [part for pair in about["custom_objects"].values() for part in pair]
    names = [*about["signature"]["inputs"], *about["signature"]["outputs"], *named]
    if not all(isinstance(each, str) for each in names):
        raise ValueError(f"{path}: {METADATA} holds other than names; do not load it")


def _check_config(config: Any, path: Path) -> None:
    """Held even where the process allows Keras unsafe modes: nothing here asks for them."""
    _check_numbers(config, path)
    for each in _configs(config):
        kind, module = each["class_name"], str(each.get("module") or "")
        inner = each.get("config")
        function = kind == "function"
        name = inner if function else inner.get("name", "") if isinstance(inner, dict) else ""
        code = kind in CODE or (kind.startswith("__") and kind not in CONSTANTS)
        builtin = module == "builtins" and not function and kind not in CONSTANTS
        stray = module.split(".")[0] == "keras" and not KERAS.fullmatch(module)
        stray |= function and (module not in FUNCTIONS or not NAMED.fullmatch(str(name)))
        stray |= function and bool(REACHING.fullmatch(str(name)))
        stray |= bool(KERAS.fullmatch(module)) and kind[:1].islower() and not function
        if code or builtin or stray:
            raise ValueError(
                f"{path}: {module}.{kind} {name!r} is Python code or no part of a model, expected "
                "layers and functions by name; write a layer class in place of Lambda"
            )
        if isinstance(inner, dict):
            _check_vocabulary(inner, path)


def _check_numbers(value: Any, path: Path, key: str = "") -> None:
    """No size that memory cannot hold, by one number alone."""
    if isinstance(value, dict):
        for name, each in value.items():
            _check_numbers(each, path, name)
    elif isinstance(value, list):
        for each in value:
            _check_numbers(each, path, key)
    elif isinstance(value, int) and abs(value) > LARGEST and "seed" not in key:
        raise ValueError(f"{path}: {key} is {value} in {CONFIG}, expected at most {LARGEST}")


def _check_vocabulary(inner: dict[str, Any], path: Path) -> None:
    if isinstance(inner.get("vocabulary"), str):
        raise ValueError(
            f"{path}: {inner.get('name')!r} reads its vocabulary from {inner['vocabulary']!r}, "
            "expected the words themselves; give vocabularies as lists"
        )


def _check_weights(path: Path) -> None:
    """HDF5 can compress, point into other files and into itself, and declare what is not there."""
    import h5py

    size = _members(path)[WEIGHTS][1]
    with zipfile.ZipFile(path) as archive, h5py.File(archive.open(WEIGHTS), "r") as file:
        for name, data in _datasets(file):
            plain = data.chunks is None and not data.external and not data.is_virtual
            if not plain or data.dtype.hasobject:
                raise ValueError(f"{path}: {name} in {WEIGHTS} is packed or lies elsewhere")
            stored, count = data.id.get_storage_size(), math.prod(data.shape or ())
            if data.shape is None or stored != count * data.dtype.itemsize or stored > size:
                raise ValueError(
                    f"{path}: {name} in {WEIGHTS} declares {data.shape} and stores {stored} bytes; "
                    "do not load it"
                )


def _datasets(group: Any) -> Iterator[tuple[str, Any]]:
    """Every dataset by its path; ValueError for a link that is none of the file's own, and where
    something is met twice: groups could go round in a circle."""
    import h5py

    met, waiting = set(), [("", group)]
    while waiting:
        prefix, item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in met or not isinstance(item, h5py.Dataset | h5py.Group):
            raise ValueError(f"{FILE}: {prefix!r} in {WEIGHTS} is met twice or no array")
        met.add(address)
        if isinstance(item, h5py.Dataset):
            yield prefix, item
            continue
        inner = []
        for name in item:
            where = f"{prefix}/{name}" if prefix else name
            if not isinstance(item.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{FILE}: {where} in {WEIGHTS} is a link to somewhere else")
            inner.append((where, item[name]))
        waiting += reversed(inner)


def _kind(data: Any) -> str:
    """What numpy lacks is given as unsigned integers of its size."""
    return str(data.dtype.name) if data.dtype.kind in "fiubc" else f"uint{8 * data.dtype.itemsize}"


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Data lies behind a local header: 30 bytes, then name and padding of the lengths it gives."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        return info.header_offset + 30 + int(sum(struct.unpack("<HH", file.read(4))))


def _json(path: Path, member: str) -> Any:
    """ValueError for what is no JSON, or would fill the memory or the stack."""
    start, size = _members(path)[member]
    where, depth = f"{path}: {member}", 0
    if size > JSON_LIMIT:
        raise ValueError(f"{where}: {size} bytes of JSON, expected at most {JSON_LIMIT}")
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(size)
    for mark in re.findall(rb"[\[{\]}]", JSON_STRING.sub(b"", content)):
        depth += 1 if mark in b"[{" else -1
        if depth > DEPTH:
            raise ValueError(f"{where}: nested more than {DEPTH} deep; do not load it")
    try:
        return json.loads(content.decode())
    except ValueError as error:
        raise ValueError(f"{where}: no JSON that can be read: {error}") from error
