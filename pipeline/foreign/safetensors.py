"""Tensors in the format safetensors, in one file or in several with an index beside them; and the
several files of torch.save that have such an index."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.text import escaped
from pipeline.untrusted import documents, limits

from . import state_dict
from ._safetensors_file import Place, has_header, mapped, places
from .contract import Foreign
from .lazy_mapping import LazyMapping

TITLE = "safetensors"
GIVES = "weights"
SUFFIX, INDEX = ".safetensors", ".safetensors.index.json"
TORCH_FILE, TORCH_INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
OTHERS = ("config.json", ".metadata", "adapter_config.json")
"""Folders with these are kinds of their own."""
UNPICKLED = frozenset({"weights.safetensors", "checkpoint.json"})
"""What is made of a pickle that somebody said to trust, likewise."""
BESIDE = {"optimizer": "optimizer.bin", "schedule": "scheduler.bin"}
"""What accelerate's save_state writes beside the weights."""


def recognizes(path: Path) -> bool:
    """Returns whether it is such a file, whole or damaged, or a folder of them that no other kind
    has."""
    if path.is_dir():
        there = {each.name for each in path.iterdir()}
        named = there & {TORCH_INDEX, TORCH_FILE} or any(n.endswith((SUFFIX, INDEX)) for n in there)
        return bool(named) and not there & set(OTHERS) and not there >= UNPICKLED
    return path.is_file() and has_header(path)


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    if not path.is_dir():
        there, said = places(path)
        return _opened({name: _bring(place) for name, place in there.items()}, said, ())
    index = _index(path)
    if index is not None and index.name == TORCH_INDEX:
        return _of_torch(path, _shards(index), index)
    if index is None and not _files(path):
        return _of_torch(path, [TORCH_FILE], None)
    return _of_folder(path, index)


def _opened(
    weights: Mapping[str, Callable[[], Any]],
    said: Mapping[str, str],
    notes: tuple[str, ...],
    folder: Path | None = None,
) -> Foreign:
    tied = {key for key, value in said.items() if value in weights and key not in weights}
    known = {key: value for key, value in said.items() if key != "format" and key not in tied}
    beside = [_beside(folder / name, what) for what, name in BESIDE.items()] if folder else []
    optimizer, scheduler = [state for state, _ in beside] or [None, None]
    return Foreign(
        framework="pytorch",
        weights=LazyMapping(weights, lambda bring: bring()),
        optimizer=optimizer,
        scheduler=None if optimizer is None else scheduler,
        hyperparameters=known,
        notes=(*notes, *(note for _, its in beside for note in its)),
    )


def _of_folder(folder: Path, index: Path | None) -> Foreign:
    files = [folder / name for name in _shards(index)] if index else _files(folder)
    weights: dict[str, Callable[[], Any]] = {}
    said: dict[str, str] = {}
    home: dict[str, str] = {}
    for file in files:
        there, its = places(_there(file))
        said |= its
        for name, place in there.items():
            _demand_once(folder, name, home, file)
            weights[name] = _bring(place)
    if index is not None:
        _demand_as_indexed(index, home)
    return _opened(weights, said, (), folder)


def _of_torch(folder: Path, files: list[str], index: Path | None) -> Foreign:
    """Opens files of torch.save, each with a part of the tensors."""
    weights: dict[str, Callable[[], Any]] = {}
    home: dict[str, str] = {}
    notes: dict[str, None] = {}
    for name in files:
        part = state_dict.read(_there(folder / name))
        notes |= dict.fromkeys(part.notes)
        for each in part.weights:
            _demand_once(folder, each, home, folder / name)
            weights[each] = _later(part.weights, each)
    if index is not None:
        _demand_as_indexed(index, home)
    return _opened(weights, {}, tuple(notes), folder)


def _beside(path: Path, what: str) -> tuple[Any, list[str]]:
    """Returns a state that accelerate wrote beside the weights, and notes on it."""
    return state_dict.state_of(path, what) if path.is_file() else (None, [])


def _later(values: Mapping[str, Any], name: str) -> Callable[[], Any]:
    return lambda: values[name]


def _bring(place: Place) -> Callable[[], Any]:
    return lambda: mapped(place)


def _files(folder: Path) -> list[Path]:
    """Returns the files of a folder without an index, by name."""
    return sorted(each for each in folder.iterdir() if each.name.endswith(SUFFIX))


def _index(folder: Path) -> Path | None:
    names = sorted(each.name for each in folder.iterdir() if each.name.endswith(INDEX))
    if len(names) > 1:
        raise DataError(f"{folder}: found {' and '.join(names)}, expected one index; keep one")
    if not names and (folder / TORCH_INDEX).is_file() and not _files(folder):
        names = [TORCH_INDEX]
    return folder / names[0] if names else None


def _shards(index: Path) -> list[str]:
    return sorted(set(_homes(index).values()))


def _homes(index: Path) -> dict[str, str]:
    """Returns the file of each tensor, as the index says."""
    try:
        listing = documents.read_json(index, limits.LISTING)
        homes = listing["weight_map"] if isinstance(listing, dict) else None
        if not isinstance(homes, dict) or not homes:
            raise ValueError("expected a weight_map")
        for name in homes.values():
            if not isinstance(name, str) or "/" in name or "\\" in name or name in ("", ".", ".."):
                raise ValueError(f"a file {str(name)[:100]!r}, expected one beside it")
    except (ValueError, KeyError, OSError) as fault:
        raise DataError(
            f"{index}: a damaged index ({escaped(str(fault))[:200]}); copy it again"
        ) from None
    return homes


def _there(path: Path) -> Path:
    """Raises DataError where a file is missing: a shard, or what a link leads to."""
    if not path.is_file():
        raise DataError(f"{path}: missing, expected a file with a part of the tensors; copy it too")
    return path


def _demand_once(folder: Path, name: str, home: dict[str, str], file: Path) -> None:
    if name in home:
        raise DataError(
            f"{folder}: {home[name]} and {file.name} both hold {escaped(name)[:200]}, expected "
            "each tensor in one file; take one of them out of the folder"
        )
    home[name] = file.name


def _demand_as_indexed(index: Path, home: Mapping[str, str]) -> None:
    homes = _homes(index)
    if odd := next((n for n in {**homes, **home} if homes.get(n) != home.get(n)), None):
        raise DataError(
            f"{index}: says that {escaped(odd)[:200]} is in {homes.get(odd, 'no file')}, found it "
            f"in {home.get(odd, 'no file')}; the files are not those of the index: copy them again"
        )
