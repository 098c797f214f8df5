"""A folder of torch.distributed.checkpoint: what ranks saved together, each its own part, as FSDP
and others do."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from . import _torch_file
from ._averages import AVERAGES, TRAINED, completed
from ._plain import Plain
from ._shards import METADATA, Folder, Reader, Sharded, folder
from ._tensors import is_plain, said_places
from .contract import Foreign
from .lazy_mapping import LazyMapping

TITLE = "folder of torch.distributed.checkpoint"
GIVES = "weights"
MODELS = ("model", "state_dict", "model_state_dict", "net", "network", "module", "weights")
"""Keys that a model's tensors are saved under."""
OPTIMIZERS = ("optimizer", "optimizers", "optim", "optimizer_state_dict", "optimizer_states")
SCHEDULES = ("scheduler", "lr_scheduler", "schedulers", "lr_schedulers", "scheduler_state_dict")
Path_ = tuple[Any, ...]


def recognizes(path: Path) -> bool:
    """Returns whether it is a folder with metadata of torch.distributed.checkpoint."""
    return path.is_dir() and (path / METADATA).is_file()


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    with _torch_file.reading(path, TITLE):
        return _read(folder(path))


def _read(saved: Folder) -> Foreign:
    reader, notes = Reader(saved), list[str]()
    roots = _optimizers(saved.paths)
    own, others = _of_models(saved, roots, notes)
    optimizer = _optimizer(reader, roots, notes)
    rest = _rest(reader, roots)
    scheduler = next((rest.pop(key) for key in SCHEDULES if key in rest), None)
    if scheduler is not None and not is_plain(scheduler):
        notes.append("The schedule holds objects, which are not made, and is left.")
        scheduler = None
    plain = Plain()
    epoch = rest.pop("epoch", None)
    return Foreign(
        framework="pytorch",
        weights={name: reader.value(place) for name, place in own.items()},
        others={word: LazyMapping(names, reader.value) for word, names in others.items()},
        optimizer_of=TRAINED if TRAINED in others else None,
        optimizer=optimizer,
        scheduler=scheduler if optimizer is not None else None,
        epoch=epoch if type(epoch) is int and 0 <= epoch < 1 << 31 else None,
        hyperparameters=plain.of(rest),
        notes=(*notes, *said_places(reader.places)),
    )


def _optimizers(paths: Mapping[str, Path_]) -> list[Path_]:
    """Returns where the states of optimizers stood: what has groups of parameters."""
    roots = {
        path[: path.index("param_groups")] for path in paths.values() if "param_groups" in path
    }
    return sorted(roots, key=str)


def _of_models(
    saved: Folder, roots: list[Path_], notes: list[str]
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Returns the model's name of each of its tensors -> the folder's, and the same of each set of
    tensors beside them, by the word that takes it; the names of several models begin with where
    each of them stood."""
    paths = {
        name: path
        for name, path in saved.paths.items()
        if name in saved.tensors
        and not _below(path, roots)
        and not any(part in (*OPTIMIZERS, *SCHEDULES) for part in path[:-1])
    }
    parents = sorted(
        {path[: _key(path) + 1] for path in paths.values() if _key(path) >= 0}, key=str
    )
    models = [each for each in parents if not AVERAGES.search(_dotted(each))] or parents or [()]
    if len(models) > 1:
        notes.append(f"The weights are those under {', '.join(map(_dotted, models))}.")
    start = len(models[0]) if len(models) == 1 else 0
    own = {_dotted(p[start:]): name for name, p in paths.items() if _below_any(p, models)}
    if not own:
        raise ValueError("no tensors of a model")
    others: dict[str, dict[str, str]] = {}
    left: list[str] = []
    for name, path in paths.items():
        if _below_any(path, models):
            continue
        head = next((each for each in parents if path[: len(each)] == each), path[:1])
        if len(path) == len(head):
            left.append(name)
        else:
            word = _dotted(head[:-1] or head)
            others.setdefault(word, {})[_dotted(path[len(head) :])] = name
    if left:
        notes.append(f"{len(left)} tensors beside the model's are left: {', '.join(left[:5])}.")
    for word, names in others.items():
        what = "an average of the weights" if AVERAGES.search(word) else "tensors"
        notes.append(
            f"{word!r} holds {what} ({len(names)}), and is left; model.weights_of: {word} takes it "
            "instead."
        )
    return own, {word: completed(names, own) for word, names in others.items()}


def _below_any(path: Path_, heads: list[Path_]) -> bool:
    return any(path[: len(head)] == head for head in heads)


def _key(path: Path_) -> int:
    return next((i for i, part in enumerate(path[:-1]) if part in MODELS), -1)


def _below(path: Path_, roots: list[Path_]) -> bool:
    return any(path[: len(root)] == root for root in roots if root)


def _dotted(path: Path_) -> str:
    return ".".join(map(str, path))


def _optimizer(reader: Reader, roots: list[Path_], notes: list[str]) -> Any:
    """Returns the only optimizer's state, a parameter's of which is read when it is asked for."""
    if len(roots) != 1:
        if roots:
            notes.append(
                f"It has {len(roots)} optimizers, of which none is taken: a training has one."
            )
        return None
    (root,) = roots
    groups: dict[int, dict[str, Any]] = {}
    states: dict[Any, dict[str, str]] = {}
    odd = False
    for name, path in reader.folder.paths.items():
        kind, *rest = path[len(root) :] if path[: len(root)] == root else (None,)
        if kind == "param_groups" and len(rest) == 2 and type(rest[0]) is int:
            groups.setdefault(rest[0], {})[str(rest[1])] = reader.value(name)
        elif kind == "state" and len(rest) == 2:
            states.setdefault(rest[0], {})[str(rest[1])] = name
        else:
            odd |= kind in ("param_groups", "state")
    if odd or not is_plain(groups):
        notes.append("The optimizer's state is not as torch's optimizers have theirs; it is left.")
        return None
    numbers = {each for group in groups.values() for each in group.get("params", ())}
    states = {_number(key, numbers): names for key, names in states.items()}
    return {"state": States(reader, states), "param_groups": [groups[k] for k in sorted(groups)]}


def _number(key: Any, numbers: set[Any]) -> Any:
    """Returns the key as the groups have it: where parameters have numbers, it is saved as text."""
    is_text = isinstance(key, str) and key.isdecimal() and len(key) < 10
    return int(key) if is_text and key not in numbers and int(key) in numbers else key


class States(Mapping[Any, Any]):
    """An optimizer's slots by parameter, read when they are asked for."""

    def __init__(self, reader: Reader, names: Mapping[Any, Mapping[str, str]]) -> None:
        self._reader, self._names = reader, names

    def __getitem__(self, key: Any) -> dict[str, Any]:
        read = {slot: self._reader.value(name) for slot, name in self._names[key].items()}
        return {k: v.tensor() if isinstance(v, Sharded) else v for k, v in read.items()}

    def __iter__(self) -> Iterator[Any]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _rest(reader: Reader, roots: list[Path_]) -> dict[str, Any]:
    """Returns what else was saved that is no tensor, as it was nested."""
    result: dict[str, Any] = {}
    for name in reader.folder.values:
        path = reader.folder.paths[name]
        if _below(path, roots):
            continue
        inner = result
        for part in path[:-1]:
            inner = inner.setdefault(str(part), {})
            if not isinstance(inner, dict):
                raise ValueError(f"{name} in what is no dict")
        inner[str(path[-1])] = reader.value(name)
    return result
