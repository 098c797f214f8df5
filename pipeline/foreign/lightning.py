"""A checkpoint that Lightning's Trainer wrote: weights, optimizers, schedules, how far it came, and
the module's hyperparameters."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import _torch_file
from ._averages import AVERAGES, EXTRA, sets_beside
from ._brought import Brought
from ._contents import beside
from ._plain import Plain
from ._tensors import Tensors, is_plain, reason, said_places
from .contract import Foreign

TITLE = "Lightning checkpoint"
GIVES = "weights"
TRAINED = "current_model_state"
"""Where the callback WeightAveraging puts the weights that the optimizer goes on from: its
state_dict is their average then."""
MARK = "pytorch-lightning_version"
"""The key that every such file has."""
KNOWN = frozenset(
    {
        *("epoch", "global_step", MARK, "state_dict", "loops", "callbacks", "optimizer_states"),
        *("lr_schedulers", "hparams_name", "hparams_type", "hyper_parameters"),
        *("datamodule_hyper_parameters", "datamodule_hparams_name", "datamodule_hparams_type"),
        *("current_model_state", "averaging_state"),
    }
)


def recognizes(path: Path) -> bool:
    """Returns whether it is a file of torch.save with a dict that names Lightning's version."""
    pickle = _torch_file.unpickled(path)
    return pickle is not None and isinstance(pickle.value, dict) and MARK in pickle.value


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    with _torch_file.reading(path, TITLE):
        return _read(path)


def _read(path: Path) -> Foreign:
    file = _torch_file.opened(path)
    content: dict[str, Any] = file.pickle.value
    tensors, plain = Tensors(file), Plain()
    state = content.get("state_dict")
    if not isinstance(state, Mapping):
        raise ValueError(f"its state_dict {reason(state)}, expected tensors by name")
    brought, left = Brought(file), [name for name in state if str(name).endswith(EXTRA)]
    weights = brought.all_of({name: each for name, each in state.items() if name not in left})
    notes = [f"{name} is no tensor, and is left." for name in left]
    averaged = isinstance(content.get(TRAINED), dict)
    if averaged:
        notes.append(
            "The weights are the average of a callback; those that it is of, and that the "
            f"optimizer is of, are taken by model.weights_of: {TRAINED}."
        )
    sets = _sets(content, notes)
    optimizer = _only("optimizer", tensors.within(content.get("optimizer_states")), notes)
    scheduler = _only("schedule", tensors.within(content.get("lr_schedulers")), notes)
    if optimizer is None and scheduler is not None:
        notes.append("The schedule belongs to an optimizer that is left, and is left with it.")
        scheduler = None
    hyperparameters = _hyperparameters(content, plain)
    if plain.named:
        notes.append(
            f"Hyperparameters that are objects are shown as what they hold, and are not made: "
            f"{', '.join(sorted(plain.named))}."
        )
    if callbacks := _names(content.get("callbacks")):
        notes.append(f"What these callbacks remember is left: {', '.join(callbacks)}.")
    if others := _names({key: None for key in content if key not in KNOWN and key not in sets}):
        notes.append(f"What else it holds is left: {', '.join(others)}.")
    return Foreign(
        framework="pytorch",
        weights=weights,
        others=sets_beside(sets, state, brought, notes),
        optimizer_of=TRAINED if averaged else None,
        optimizer=optimizer,
        scheduler=scheduler,
        epoch=_epochs(content),
        versions={"lightning": str(content[MARK])[:50]},
        hyperparameters=hyperparameters,
        notes=(*notes, *said_places(brought.places)),
    )


def _sets(content: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Returns the sets of weights beside the state_dict: of the file, and what callbacks keep."""
    states = content.get("callbacks")
    places = {key: each for key, each in content.items() if key not in KNOWN}
    for name, state in states.items() if isinstance(states, dict) else ():
        inner = state if isinstance(state, dict) else {}
        places |= {key: each for key, each in inner.items() if AVERAGES.search(str(key))}
        if AVERAGES.search(str(name)) and not any(map(AVERAGES.search, map(str, inner))):
            places[str(name).partition("{")[0]] = state
    sets = {str(key): own for key, each in places.items() if (own := beside(str(key), each))}
    notes += [
        f"{key!r} holds {len(each)} tensors, and is left; model.weights_of: {key} takes it instead."
        for key, each in sets.items()
    ]
    return sets | ({TRAINED: content[TRAINED]} if isinstance(content.get(TRAINED), dict) else {})


def _only(what: str, states: Any, notes: list[str]) -> Any:
    """Returns the state where there is one, and notes what is left."""
    if not states:
        return None
    if not isinstance(states, list) or not all(isinstance(each, dict) for each in states):
        raise ValueError(f"its {what}s are no list of states")
    if len(states) > 1:
        notes.append(f"It has {len(states)} {what}s, of which none is taken: a training has one.")
        return None
    if not is_plain(states[0]):
        notes.append(f"The {what} holds objects, which are not made, and is left.")
        return None
    return states[0]


def _epochs(content: Mapping[str, Any]) -> int | None:
    """Returns how many epochs it has behind it: `epoch` is the number of the one that it was
    written in, which begins with 0, and the loop says whether that one's batches were done."""
    value: Any = content
    for key in ("loops", "fit_loop", "epoch_progress", "current", "processed"):
        value = value.get(key) if isinstance(value, Mapping) else None
    value = content.get("epoch") if value is None else value
    return value if type(value) is int and 0 <= value < 1 << 31 else None


def _hyperparameters(content: Mapping[str, Any], plain: Plain) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key in ("hyper_parameters", "datamodule_hyper_parameters"):
        if key in content:
            values = plain.of(content[key])
            own = key == "hyper_parameters" and isinstance(values, dict)
            result |= values if own else {key: values}
    if type(content.get("global_step")) is int:
        result["global_step"] = plain.of(content["global_step"])
    return result


def _names(values: Any) -> list[str]:
    names = [str(key)[:100] for key in values] if isinstance(values, Mapping) else []
    return [name.partition("{")[0] for name in names[:10]]
