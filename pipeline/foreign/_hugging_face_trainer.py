"""What the Trainer of transformers leaves beside a model: optimizer, schedule, how far it came."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.untrusted import documents

from . import _hugging_face_nets as nets
from . import _torch_file
from ._plain import Plain
from ._tensors import Tensors, is_plain

if TYPE_CHECKING:
    from torch import nn

PROGRESS = "trainer_state.json"
LONGEST = 64 << 20
SHOWN = ("global_step", "max_steps", "num_train_epochs", "train_batch_size", "best_metric")


def states(path: Path, net: "nn.Module", notes: list[str]) -> tuple[Any, Any]:
    """Returns the optimizer's and the schedule's state, None for what is not there; for what is
    left, too, which a note says. Raises DataError, one line."""
    optimizer = _state(path / "optimizer.pt", "optimizer", notes)
    scheduler = _state(path / "scheduler.pt", "schedule", notes)
    if optimizer is None:
        return None, None
    named = _named(optimizer, net)
    if named is None:
        notes.append(
            "The optimizer's groups are not those that transformers' Trainer makes of this net, "
            "with and without decay, and it does not name its parameters; it is left."
        )
        return None, None
    return named, scheduler


def _state(path: Path, what: str, notes: list[str]) -> Any:
    if not path.is_file():
        return None
    with _torch_file.reading(path, what):
        file = _torch_file.opened(path)
        state = Tensors(file).within(file.pickle.value)
        if not isinstance(state, dict):
            raise ValueError("no state")
    if not is_plain(state):
        notes.append(f"The {what} holds objects, which are not made, and is left.")
        return None
    return state


def _named(state: dict[str, Any], net: "nn.Module") -> dict[str, Any] | None:
    """Returns the optimizer's state with the names of the parameters in its groups; None where they
    are of other numbers than the Trainer makes."""
    groups = state.get("param_groups")
    if not isinstance(groups, list) or not all(isinstance(each, dict) for each in groups):
        return None
    names = [each for each in nets.groups(net) if each]
    groups = [each for each in groups if each.get("params")]
    counts = [len(each["params"]) for each in groups]
    if counts != [len(each) for each in names]:
        return None
    named = [{**g, "param_names": n} for g, n in zip(groups, names, strict=True)]
    return {**state, "param_groups": named}


def progress(path: Path) -> tuple[int | None, dict[str, Any]]:
    """Returns the epochs behind it, where they are whole, and what else is said of the training."""
    place = path / PROGRESS
    if not place.is_file():
        return None, {}
    with _torch_file.reading(place, "state of transformers' Trainer"):
        content = documents.read_json(place, LONGEST)
        if not isinstance(content, dict):
            raise ValueError("no mapping")
    epoch: Any = content.get("epoch")
    is_number = isinstance(epoch, int | float) and 0 <= epoch < 1 << 31
    is_whole = is_number and int(epoch) == epoch
    values = {key: content[key] for key in SHOWN if content.get(key) is not None}
    values |= {} if is_whole or epoch is None else {"epoch": epoch}
    return int(epoch) if is_whole else None, Plain().of(values)
