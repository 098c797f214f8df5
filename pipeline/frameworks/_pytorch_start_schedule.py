"""A schedule of the learning rate goes on from a state that was saved elsewhere."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ._pytorch_training import Training

PASSING = frozenset({"verbose", "lr_lambdas", "mode_worse", "default_min_lr", "min_lrs"})
"""What says how a schedule is printed, or what not every version writes."""
COUNTS = frozenset(
    {"base_lrs", "last_epoch", "best", "num_bad_epochs", "cooldown_counter", "T_cur", "T_i"}
)
"""Where a schedule is, not how it was made."""


def restore(training: Training, saved: Any) -> list[str]:
    """Sets the schedule's state, where there is one; returns notes. Raises ValueError, one line."""
    scheduler = training.scheduler
    if scheduler is None:
        return [] if saved is None else ["the checkpoint's schedule is left: params.yaml has none"]
    if saved is None:
        return ["the checkpoint has no schedule: model.scheduler begins, and sets learning rates"]
    ours, its = scheduler.state_dict(), _plain(saved)
    _demand_same_kind(type(scheduler).__name__, ours, its)
    its |= {k: Counter(its[k]) for k, value in ours.items() if isinstance(value, Counter)}
    if ours.get("mode") == "min" and its.get("mode") == "max":
        raise ValueError(
            "model.scheduler: the checkpoint's goes by a metric that grows (mode max), expected "
            "min, for ReduceLROnPlateau gets val/loss; set train.start_with to weights"
        )
    notes = [
        f"the schedule's {key} is {its[key]} as in the checkpoint, for {ours[key]} in params.yaml"
        for key in sorted(_settings(ours))
        if its[key] != ours[key]
    ]
    if "lr_lambdas" in ours:
        its["lr_lambdas"] = ours["lr_lambdas"]
        notes.append("the schedule's function is that of params.yaml: no checkpoint holds it")
    scheduler.load_state_dict(its)
    return notes


def _plain(value: Any) -> Any:
    """Returns it with numbers for scalars that were tensors, and as dicts and lists."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.item() if isinstance(value, Tensor) and value.ndim == 0 else value


def _settings(state: Mapping[str, Any]) -> set[str]:
    """Returns the names that its class is known by; what counts is none of them."""
    return {key for key in state if not key.startswith("_")} - PASSING - COUNTS


def _demand_same_kind(kind: str, ours: Mapping[str, Any], its: Any) -> None:
    known = _settings(ours)
    its = its if isinstance(its, Mapping) else {}
    nested = [len(each.get("_schedulers", ())) for each in (ours, its)]
    if (
        not {"last_epoch", "_last_lr"} & set(its)
        or known != _settings(its)
        or nested[0] != nested[1]
    ):
        raise ValueError(
            f"model.scheduler: found {kind}, which is set by {', '.join(sorted(known)) or 'no'}, "
            f"for a checkpoint's that is set by {', '.join(sorted(_settings(its))) or 'no'}; name "
            "the same one, or set train.start_with to weights"
        )
