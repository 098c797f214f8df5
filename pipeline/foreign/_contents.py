"""What a script has put into the dict that it saves is told apart: weights, optimizer, schedule,
how far it came, and values that describe its training."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ._averages import AVERAGES, EXTRA
from ._pickle import Made
from ._plain import Plain
from ._tensors import PLAIN, REASONS, SUBCLASS, TYPED, WRAPPED

Dict = Mapping[Any, Any]
USUAL = (
    *("state_dict", "model_state_dict", "model_state", "model", "net_state_dict", "net_state"),
    *("net", "network_state_dict", "network", "module", "weights", "model_weights"),
    *("params", "parameters", "state", "generator"),
)
"""Keys that people save weights under; the first that is there is taken."""
EPOCHS = ("epoch", "current_epoch", "last_epoch", "epochs_trained")
VERSIONS = ("torch_version", "pytorch_version", "torch", "pytorch")
TENSORS = frozenset({*PLAIN, *REASONS, *WRAPPED, TYPED, SUBCLASS})
DEEPEST, WITHIN, MOST = 16, 3, 200_000
"""Dicts within each other, those around the weights, and tensors: a few bytes may say that one dict
is within others again and again."""


@dataclass
class Contents:
    """What was found; tensors are as the pickle describes them."""

    weights: dict[str, Any]
    others: dict[str, dict[str, Any] | list[Any]] = field(default_factory=dict)
    """Sets beside them by key: tensors by name, or in the order of the net's parameters."""
    optimizer: Any = None
    scheduler: Any = None
    epoch: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def contents(value: Any, depth: int = 0) -> Contents | None:
    """Returns what is in it, or in a dict within it; None where there are no weights."""
    value = mapping(value)
    if is_optimizer(value):
        return None
    keys = _keys(value)
    if keys is None:
        inner = {id(each): key for key, each in value.items() if _may_hold(each, depth)}
        below = [(k, content) for k in inner.values() if (content := contents(value[k], depth + 1))]
        if len(below) != 1:
            return None
        [(key, content)] = below
        _describe(content, {k: each for k, each in value.items() if k != key})
        return content
    return _contents_of(value, keys)


def mapping(value: Any) -> Dict:
    """Returns it, a list of states by number; empty for anything else."""
    if isinstance(value, list | tuple) and len(value) <= DEEPEST:
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


def is_tensor(value: Any) -> bool:
    """Returns whether it is what a pickle says of a tensor, of whichever kind."""
    return isinstance(value, Made) and value.name in TENSORS


def is_optimizer(value: Any) -> bool:
    """Returns whether it is as an optimizer's state_dict."""
    return isinstance(value, dict) and {"state", "param_groups"} <= set(value)


def _may_hold(value: Any, depth: int) -> bool:
    return isinstance(value, dict) and depth < WITHIN and not _is_schedule("", value)


def _keys(value: Dict) -> list[Any] | None:
    """Returns the keys that the weights lie under, [] where they are the dict's own tensors, and
    None where there are none."""
    known: dict[int, bool] = {}  # one object may be there under many keys
    for each in value.values():
        if id(each) not in known:
            known[id(each)] = not _is_around(each) and bool(flat(each))
    states = [key for key, each in value.items() if known[id(each)]]
    if usual := next((key for key in USUAL if key in states), None):
        return [usual]
    own = [key for key, each in value.items() if is_tensor(each)]
    if own and (not states or len(own) > len(states)):
        return []
    raw = [key for key in states if not AVERAGES.search(str(key))]
    return raw or states[:1] or None


def _is_around(value: Any) -> bool:
    """Returns whether it is a dict with the weights under a key of their own, or an optimizer's."""
    inner = value if isinstance(value, dict) else {}
    return is_optimizer(value) or any(isinstance(inner.get(key), dict) for key in USUAL)


def flat(value: Any, depth: int = 0) -> dict[str, Any]:
    """Returns the tensors of a state_dict by name, those of dicts within it by dotted names; {}
    where it is none, for it has other things in it."""
    if not isinstance(value, dict) or depth > DEEPEST:
        return {}
    result: dict[str, Any] = {}
    for name, each in value.items():
        if not isinstance(name, str):
            return {}
        if is_tensor(each) or name.endswith(EXTRA):
            result[name] = each
            continue
        within = flat(each, depth + 1)
        if not within or len(result) + len(within) > MOST:
            return {}
        result |= {f"{name}.{inner}": tensor for inner, tensor in within.items()}
    return result if any(map(is_tensor, result.values())) else {}


def _contents_of(value: Dict, keys: list[Any]) -> Contents:
    if not keys:
        own = {name: each for name, each in value.items() if is_tensor(each)}
        result = Contents({str(name): each for name, each in own.items()})
        rest = {key: each for key, each in value.items() if key not in own}
    else:
        states = {key: flat(value[key]) for key in keys}
        several = len(states) > 1
        result = Contents(
            {
                f"{key}.{name}" if several else name: tensor
                for key, state in states.items()
                for name, tensor in state.items()
            }
        )
        if several:
            result.notes.append(f"the weights are those under {', '.join(map(repr, keys))}")
        rest = {key: each for key, each in value.items() if key not in keys}
    _describe(result, rest)
    return result


def _describe(result: Contents, rest: Dict) -> None:
    """Adds what stands beside the weights."""
    plain, left = Plain(), []
    optimizers = [(key, state) for key, each in rest.items() for state in _optimizers(each)]
    schedules = [(key, state) for key, each in rest.items() for state in _schedules(key, each)]
    used = {key for key, _ in (*optimizers, *schedules)}
    result.optimizer = _only("optimizer", optimizers, result.notes) or result.optimizer
    result.scheduler = _only("schedule", schedules, result.notes) or result.scheduler
    if result.scheduler is not None and result.optimizer is None:
        result.notes.append("its schedule is left, for it has no optimizer beside it")
        result.scheduler = None
    for key, each in rest.items():
        if key in used:
            continue
        if own := beside(str(key), each):
            what = "an average of the weights" if AVERAGES.search(str(key)) else "tensors"
            result.others[str(key)] = own
            result.notes.append(
                f"{key!r} holds {what} ({len(own)}), and is left; model.weights_of: {key} takes "
                "it instead"
            )
        elif _holds_tensors(each):
            left.append(str(key))
        else:
            result.hyperparameters[str(key)[:200]] = plain.of(each)
    if left:
        result.notes.append(f"what is under {', '.join(left)[:300]} is left")
    _number(result)


def beside(key: str, value: Any) -> dict[str, Any] | list[Any]:
    """Returns a set of tensors beside the weights; of an average that stands with its rate and
    count in a dict of its own, or in the order of the parameters, too. Empty where it is none."""
    if (own := flat(value)) or not AVERAGES.search(key):
        return own
    lists = [value, *(value.values() if isinstance(value, dict) else ())]
    for each in lists:
        if isinstance(each, list | tuple) and each and all(map(is_tensor, each)):
            return list(each)
    inner = contents(value, WITHIN) if isinstance(value, dict) else None
    return inner.weights if inner else {}


def _number(result: Contents) -> None:
    """Takes epoch and versions from what describes the training."""
    values = result.hyperparameters
    for key in EPOCHS:
        if result.epoch is None and type(values.get(key)) is int and 0 <= values[key] < 1 << 31:
            result.epoch = values.pop(key)
    for key in VERSIONS:
        if isinstance(values.get(key), str) and re.match(r"\d+\.\d", values[key]):
            result.versions["torch"] = values.pop(key)[:50]


def _optimizers(value: Any) -> Iterator[Any]:
    for each in value if isinstance(value, list | tuple) else [value]:
        if is_optimizer(each):
            yield each


def _schedules(key: Any, value: Any) -> Iterator[Any]:
    for each in value if isinstance(value, list | tuple) else [value]:
        if _is_schedule(str(key), each):
            yield each


def _is_schedule(key: str, value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    named = "sched" in key.lower() and bool({"last_epoch", "_last_lr"} & set(value))
    return named or {"last_epoch", "_last_lr"} <= set(value)


def _only(what: str, states: list[tuple[Any, Any]], notes: list[str]) -> Any:
    if len(states) > 1:
        notes.append(f"it has {len(states)} {what}s, of which none is taken: a training has one")
    return states[0][1] if len(states) == 1 else None


def _holds_tensors(value: Any) -> bool:
    return any(map(is_tensor, made_in(value)))


def made_in(value: Any) -> Iterator[Made]:
    """Yields what a pickle would make within dicts, lists and tuples, each once."""
    waiting, seen = [value], set[int]()
    while waiting:
        each = waiting.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, Made):
            yield each
        elif isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each
