"""The weights in a folder of Hugging Face's, in one file or several, as they are named there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.untrusted import documents

from . import _torch_file
from ._safetensors_file import mapped, places
from ._tensors import Tensors, said_places, tensors_of
from .lazy_mapping import LazyMapping

FILES = ("model.safetensors", "pytorch_model.bin")
"""What the weights are called, the one that is taken where both are there first; several have an
index beside them."""
INDEX = ".index.json"
OTHERS = {"tf_model.h5": "TensorFlow's", "flax_model.msgpack": "Flax's", "model.onnx": "ONNX's"}
LONGEST_INDEX = 64 << 20


def are_there(folder: Path) -> bool:
    """Returns whether a folder has weights under one of the names that transformers gives them."""
    return any((folder / f"{name}{more}").is_file() for name in FILES for more in ("", INDEX))


def weights(folder: Path, notes: list[str]) -> Mapping[str, Any]:
    """Returns the tensors, mapped. Raises DataError, one line, or one of UNREADABLE."""
    there = [name for name in FILES if any((folder / f"{name}{m}").is_file() for m in ("", INDEX))]
    if not there:
        others = [f"{name}, {whose}" for name, whose in OTHERS.items() if (folder / name).is_file()]
        raise DataError(
            f"{folder}: no weights of PyTorch{f', but {others[0]}' if others else ''}; expected "
            f"{' or '.join(FILES)}: load it with transformers, and save it with save_pretrained"
        )
    name = there[0]
    if len(there) > 1:
        notes.append(f"It has its weights twice; those in {name} are taken.")
    if (folder / name).is_file():
        return _read(folder / name, notes)
    return _of_index(folder, name, notes)


def _of_index(folder: Path, name: str, notes: list[str]) -> Mapping[str, Any]:
    path = folder / f"{name}{INDEX}"
    content = documents.read_json(path, LONGEST_INDEX)
    shards = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(shards, dict) or not shards:
        raise DataError(f"{path}: no weight_map, expected the file of each tensor by name")
    result: dict[str, Any] = {}
    for shard in sorted(set(map(str, shards.values()))):
        place = folder / shard
        if Path(shard).name != shard or shard in (".", ".."):
            raise DataError(f"{path}: names {shard[:100]!r}, expected files beside it")
        if not place.is_file():
            raise DataError(f"{place}: missing, though {path.name} names it; copy it, too")
        read = _read(place, notes)
        named = {key for key, where in shards.items() if where == shard}
        if differing := sorted(named ^ read.keys()):
            there = "lacks" if differing[0] in named else "has"
            raise DataError(
                f"{place}: {there} {differing[0][:200]}, other than {path.name} says; copy the "
                "whole folder again"
            )
        result |= {name: (read, name) for name in read}
    return LazyMapping(result, lambda place: place[0][place[1]])


def _read(path: Path, notes: list[str]) -> Mapping[str, Any]:
    with _torch_file.reading(path, "file of weights"):
        if path.suffix == ".safetensors":
            return LazyMapping(places(path)[0], mapped)
        file, left = _torch_file.opened(path), list[str]()
        tensors = Tensors(file)
        state = tensors.within(file.pickle.value)
        if not isinstance(state, Mapping):
            raise ValueError("no tensors by name")
        result = tensors_of(state, left)
        notes += [*(f"{name} is no tensor, and is left." for name in left)]
        notes += said_places(tensors.places)
        return result


def config(folder: Path) -> dict[str, Any]:
    """Returns what config.json says. Raises DataError, one line."""
    path = folder / "config.json"
    try:
        content = documents.read_json(path, LONGEST_INDEX)
    except (ValueError, OSError) as fault:
        raise DataError(
            f"{path}: {' '.join(str(fault).split())[:200]}; expected the configuration of a net, "
            "as save_pretrained writes it"
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: {json.dumps(content)[:50]}, expected a mapping")
    return content
