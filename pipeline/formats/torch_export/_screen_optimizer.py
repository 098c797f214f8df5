"""`optimizer.pt` has to be a zip of torch's with one pickle, which names nothing but tensors and
plain values.

torch's own reader (weights_only) also makes what the process has been told to trust.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._zip import Span, read_span, spans
from ._screen_pickle import LIMIT, unpickled

MEMBER = re.compile(
    r"[\w-]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)",
    re.ASCII,
)
CLASSES = frozenset(Path(__file__).with_name("optimizers.txt").read_text().split())
KEYS = {"class", "arguments", "params", "state", "scheduler", "clip_norm", "seed"}
PARTS = {"class", "arguments", "state"}


def check_optimizer(path: Path) -> None:
    """Raises ValueError for anything else, and for a class that is no name."""
    read_optimizer(path)


def read_optimizer(path: Path) -> dict[str, Any]:
    """Returns what the file holds, with stand-ins for tensors. Raises ValueError as
    `check_optimizer` does; torch is not loaded."""
    members = spans(path)
    root = _root(path, members)
    span = members[f"{root}/data.pkl"]
    if span[1] > LIMIT:
        raise ValueError(f"{path}: a pickle of {span[1]} bytes, expected at most {LIMIT}")
    sizes = {name.rpartition("/")[2]: n for name, (_, n) in members.items() if "/data/" in name}
    saved: dict[str, Any] = unpickled(read_span(path, span), sizes, path)
    try:
        _check_content(saved)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; do not load it") from error
    return saved


def _check_content(saved: Any) -> None:
    """Raises ValueError unless torch's own classes are made of it, by names that are none of
    Python's own."""
    scheduler = saved["scheduler"]
    made = [(saved, "torch.optim")]
    if scheduler is not None:
        made.append((scheduler, "torch.optim.lr_scheduler"))
    for part, package in made:
        kind = part["class"]
        if not isinstance(kind, str) or f"{package}.{kind}" not in CLASSES:
            named = kind[:200] if isinstance(kind, str) else type(kind).__name__
            raise ValueError(f"{named!r} is no class of {package} known here")
        for name in [*part["arguments"], *part["state"]]:
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
                raise ValueError(f"{str(name)[:200]!r} is no name of an argument or a state")
    if set(saved) - {"stepping"} != KEYS or (scheduler is not None and set(scheduler) != PARTS):
        raise ValueError(f"expected {', '.join(sorted(KEYS))} alone")
    _check_stepping(saved.get("stepping", {}))
    if any(type(name) is not str for names in saved["params"] for name in names):
        raise ValueError("a parameter without a name")
    if type(saved["seed"]) is not int or type(saved["clip_norm"]) not in (int, float, type(None)):
        raise ValueError("a seed or a norm that is no number")


def _check_stepping(stepping: Any) -> None:
    """Raises ValueError unless it says how a step is taken, in the values that are known here."""
    if not isinstance(stepping, dict):
        raise ValueError("a stepping that is no mapping")
    for name, value in stepping.items():
        if name not in STEPPING or not STEPPING[name](value):
            raise ValueError(f"{str(name)[:200]!r} does not say how a step is taken")


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, list) and [type(each) for each in value] == [int, int] and min(value) > 0
    )


def _is_average(value: Any) -> bool:
    numbers = {"start": int, "epochs": int, "steps": int, "decay": float}
    return (
        isinstance(value, dict)
        and set(value) == {"kind", *numbers}
        and value["kind"] in ("ema", "swa")
        and all(type(value[name]) is kind and value[name] >= 0 for name, kind in numbers.items())
    )


def _is_adapter(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"scale", "layers"}
        and type(value["scale"]) is float
        and isinstance(value["layers"], list)
        and all(type(each) is str for each in value["layers"])
    )


def _is_scaling(value: Any) -> bool:
    kinds: dict[str, type] = dict.fromkeys(("scale", "growth_factor", "backoff_factor"), float)
    kinds |= dict.fromkeys(("growth_interval", "_growth_tracker"), int)
    return (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(type(value[name]) is kind and value[name] >= 0 for name, kind in kinds.items())
    )


STEPPING: dict[str, Callable[[Any], bool]] = {
    "accumulate": _are_counts,
    "adapter": _is_adapter,
    "averaging": _is_average,
    "precision": lambda value: value in ("bfloat16", "float16"),
    "scaling": _is_scaling,
    "schedule_by": lambda value: value == "step",
}


def _root(path: Path, members: dict[str, Span]) -> str:
    """Returns the one folder that all members lie in; raises ValueError for members of others."""
    roots = {name.partition("/")[0] for name in members}
    strange = [name for name in members if not MEMBER.fullmatch(name)]
    if strange or len(roots) != 1:
        names = strange or sorted(roots)
        raise ValueError(f"{path}: found {names} in it, expected torch's own; do not load it")
    return roots.pop()
