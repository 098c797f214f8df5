"""`model.keras`: Keras' own archive, with the optimizer's state; no complete model for classes of
one's own, whose source it takes to load.

What `Model.save` writes is packed anew without the time of day and without addresses of objects, so
that the same model gives the same bytes. Nothing in it is compressed, so what it unpacks to is as
large as the file.
"""

import importlib
import json
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import keras

Arrays = dict[str, np.ndarray]

PROMISES = {
    "code_free": False,
    "safe_to_load": False,
    "trainable": False,
    "same_bytes": True,
    "runtimes": ["keras"],
    "note": "Loads without source only if every class in it is Keras' own: the modules of others, "
    "which the file names, are imported and so run. The optimizer is in it, dropout's seed state "
    "is not, so that training on, with the source at hand, ends otherwise.",
}
FRAMEWORKS = ("keras",)
REQUIRES = ("keras", "tensorflow", "numpy")
AFTER: tuple[str, ...] = ()

FILE = "model.keras"
CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
MEMBER = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets(/\w[\w.\- ]*)+")
KERAS = re.compile(
    r"keras(\.src)?(\.(activations|constraints|dtype_policies|initializers|layers|losses|metrics"
    r"|models|ops|optimizers|quantizers|random|regularizers)(\.\w+)*)?"
)
CONSTANTS = {f"__{kind}__" for kind in ("keras_tensor", "tensor", "numpy", "tuple", "bytes")}
CONSTANTS |= {"__ellipsis__", "__slice__", "__complex__"}
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
        refuse_code(path)
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

    refuse_code(directory / FILE)
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
    return {key: getattr(importlib.import_module(module), name) for key, (module, name) in named}


def _foreign(config: Any, known: dict[str, Any]) -> Iterator[tuple[str, tuple[str, str]]]:
    """What the configuration names and is not Keras': its name there -> (module, name).

    Keras does not write the module of a function, nor that of a class in `__main__`.
    """
    for each in _configs(config):
        function = each["class_name"] == "function"
        key = each["config"] if function else each.get("registered_name")
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
        if isinstance(value.get("class_name"), str) and "config" in value:
            yield value
        for each in value.values():
            yield from _configs(each)
    elif isinstance(value, list):
        for each in value:
            yield from _configs(each)


def refuse_code(path: Path) -> None:
    """ValueError for what Keras would run, read from elsewhere, or unpack to more than the file.

    Modules that the configuration names are not refused: see `needs`.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a .keras archive; export it again")
    with zipfile.ZipFile(path) as archive:
        _check_members(archive, path)
    _check_config(_json(path, CONFIG), path)
    _check_weights(path)


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    infos = archive.infolist()
    for info in infos:
        plain = info.compress_type == zipfile.ZIP_STORED and info.file_size == info.compress_size
        if not MEMBER.fullmatch(info.orig_filename) or not plain:
            raise ValueError(
                f"{path}: member {info.orig_filename!r} is compressed or none of Keras', expected "
                f"{CONFIG}, {METADATA}, {WEIGHTS} and assets, stored; do not load it"
            )
    names = {info.filename for info in infos}
    large = sum(info.file_size for info in infos) > path.stat().st_size
    if len(names) < len(infos) or large or not {CONFIG, METADATA, WEIGHTS} <= names:
        raise ValueError(f"{path}: malformed archive, expected each of Keras' members once")


def _check_config(config: Any, path: Path) -> None:
    for each in _configs(config):
        kind, module = each["class_name"], each.get("module") or ""
        code = kind in ("Lambda", "__lambda__")
        special = kind.startswith("__") and kind not in CONSTANTS
        builtin = module == "builtins" and kind != "function" and kind not in CONSTANTS
        stray = module.split(".")[0] == "keras" and not KERAS.fullmatch(module)
        if code or special or builtin or stray:
            name = each["config"].get("name", "") if isinstance(each["config"], dict) else ""
            raise ValueError(
                f"{path}: {module}.{kind} {name!r} is Python code or no part of a model, expected "
                "layers and functions by name; write a layer class in place of Lambda"
            )
        _check_vocabulary(each, path)


def _check_vocabulary(config: dict[str, Any], path: Path) -> None:
    inner = config["config"]
    if isinstance(inner, dict) and isinstance(inner.get("vocabulary"), str):
        raise ValueError(
            f"{path}: {inner.get('name')!r} reads its vocabulary from {inner['vocabulary']!r}, "
            "expected the words themselves; give vocabularies as lists"
        )


def _check_weights(path: Path) -> None:
    """HDF5 can compress, and can point into other files."""
    import h5py

    with zipfile.ZipFile(path) as archive, h5py.File(archive.open(WEIGHTS), "r") as file:
        for name, data in _datasets(file):
            plain = data.chunks is None and not data.external and not data.is_virtual
            if not plain or data.dtype.hasobject:
                raise ValueError(f"{path}: {name} in {WEIGHTS} is packed or lies elsewhere")


def _datasets(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every dataset by its path; ValueError for a link that is none of the file's own."""
    import h5py

    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{FILE}: {prefix}{name} in {WEIGHTS} is a link to somewhere else")
        item = group[name]
        if isinstance(item, h5py.Dataset):
            yield f"{prefix}{name}", item
        else:
            yield from _datasets(item, f"{prefix}{name}/")


def _kind(data: Any) -> str:
    """What numpy lacks is given as unsigned integers of its size."""
    return str(data.dtype.name) if data.dtype.kind in "fiubc" else f"uint{8 * data.dtype.itemsize}"


def _start(path: Path, info: zipfile.ZipInfo) -> int:
    """Data lies behind a local header: 30 bytes, then name and padding of the lengths it gives."""
    with path.open("rb") as file:
        file.seek(info.header_offset + 26)
        return info.header_offset + 30 + int(sum(struct.unpack("<HH", file.read(4))))


def _json(path: Path, member: str) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read(member))
