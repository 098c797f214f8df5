"""What came of a pickle that was opened in a confined process: tensors, names and plain values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.text import escaped
from pipeline.untrusted import documents

from . import _torch_file
from ._averages import AVERAGES, completed
from ._safetensors_file import mapped, places
from .contract import Foreign

TITLE = "folder that --trust-pickle made of a pickle"
GIVES = "weights"
FILES = ("weights.safetensors", "checkpoint.json")
LONGEST = 64 << 20
WEIGHTS = "weights/"


def recognizes(path: Path) -> bool:
    """Returns whether it is a folder with the two files that are made of a pickle."""
    return path.is_dir() and all((path / name).is_file() for name in FILES)


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    with _torch_file.reading(path, TITLE):
        tensors = {name: mapped(place) for name, place in places(path / FILES[0])[0].items()}
        content = documents.read_json(path / FILES[1], LONGEST)
        if not isinstance(content, dict) or not isinstance(content.get("hyperparameters"), dict):
            raise ValueError(f"{FILES[1]} is not as it is written")
        weights = {
            name.removeprefix(WEIGHTS): each
            for name, each in tensors.items()
            if name.startswith(WEIGHTS)
        }
        others, notes = _others(content.get("others", []), tensors, weights)
        optimizer = _built(content.get("optimizer"), tensors)
        epoch, lacking = content.get("epoch"), content.get("lacking") or []
        named = escaped(", ".join(map(str, lacking[:5])))[:200]
        nowhere = f"Nowhere found, and not needed for the names of tensors: {named}."
        return Foreign(
            framework="pytorch",
            weights=weights,
            others=others,
            optimizer=optimizer,
            scheduler=None if optimizer is None else _built(content.get("scheduler"), tensors),
            epoch=epoch if type(epoch) is int and 0 <= epoch < 1 << 31 else None,
            hyperparameters=content["hyperparameters"],
            notes=(
                f"It was a pickle of a {str(content.get('class'))[:200]}, sha256 "
                f"{str(content.get('sha256'))[:64]}, opened in a confined process because somebody "
                "said to trust it.",
                *([nowhere] if lacking else []),
                *notes,
            ),
        )


def _others(
    words: Any, tensors: Mapping[str, Any], weights: Mapping[str, Any]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Returns the sets beside the weights by their words, and notes. Raises ValueError."""
    if not isinstance(words, list) or not all(isinstance(each, str) for each in words):
        raise ValueError(f"{FILES[1]} is not as it is written")
    sets: dict[str, dict[str, Any]] = {}
    notes = []
    for number, word in enumerate(words):
        head = f"others/{number}/"
        own = {n.removeprefix(head): each for n, each in tensors.items() if n.startswith(head)}
        sets[word] = completed(own, weights)
        what = "an average of the weights" if AVERAGES.search(word) else "tensors"
        shown = escaped(word)[:200]
        notes.append(
            f"{shown!r} holds {what} ({len(own)}), and is left; model.weights_of: {shown} takes it "
            "instead."
        )
    return sets, notes


def name_origin(path: Path, digest: str) -> None:
    """Writes the digest of the pickle that the folder was made of beside its other values."""
    place = path / FILES[1]
    content = documents.read_json(place, LONGEST) | {"sha256": digest}
    place.write_text(json.dumps(content))


def _built(tree: Any, tensors: Any) -> Any:
    """Returns the value that a tree describes. Raises one of UNREADABLE for another."""
    if tree is None:
        return None
    ((kind, value),) = tree.items()
    if kind == "mapping":
        return {key: _built(each, tensors) for key, each in value}
    if kind in ("list", "tuple"):
        parts = [_built(each, tensors) for each in value]
        return tuple(parts) if kind == "tuple" else parts
    if kind == "tensor":
        return tensors[value]
    if kind != "value" or isinstance(value, dict | list):
        raise ValueError(f"a {kind!r:.50} in a tree")
    return value
