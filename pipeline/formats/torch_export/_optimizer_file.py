"""What `optimizer.pt` holds is taken here from a training, and tried once it is written."""

import importlib
import inspect
import pickle
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from .._torch_errors import in_one_line
from ._names import OPTIMIZER
from ._optimizer import restore
from ._write import write_optimizer


def write(directory: Path, training: Any, seed: int) -> None:
    """Writes the file. Raises ValueError, and leaves none, unless torch makes the same optimizer
    and schedule out of it."""
    saved = _content(training, seed)
    try:
        _write_restorable(directory, saved, dict(training.net.named_parameters()))
    except ValueError:
        (directory / OPTIMIZER).unlink(missing_ok=True)
        raise


def _content(training: Any, seed: int) -> dict[str, Any]:
    """Returns what it takes to make optimizer and scheduler again. Raises ValueError where it is
    not known."""
    optimizer, scheduler = training.optimizer, training.scheduler
    weights = dict(training.net.named_parameters())
    names = {id(weight): name for name, weight in weights.items()}
    saved: dict[str, Any] = {
        "class": _stock_class(optimizer, "torch.optim", "optimizer"),
        "arguments": _arguments(optimizer, optimizer.defaults, "optimizer"),
        "params": [[names[id(w)] for w in group["params"]] for group in optimizer.param_groups],
        "state": optimizer.state_dict(),
        "scheduler": None,
        "clip_norm": training.clip_norm,
        "seed": seed,
    }
    if training.stepping:
        saved["stepping"] = training.stepping
    if scheduler is not None:
        known = optimizer.param_groups[0] | vars(scheduler)
        del known["last_epoch"]  # where it is, not what it was made with
        saved["scheduler"] = {
            "class": _stock_class(scheduler, "torch.optim.lr_scheduler", "scheduler"),
            "arguments": _arguments(scheduler, known, "scheduler"),
            "state": scheduler.state_dict(),
        }
    return saved


def _stock_class(part: Any, package: str, role: str) -> str:
    """Returns the name of its class; raises ValueError unless the package has it by that name."""
    name = type(part).__name__
    if getattr(importlib.import_module(package), name, None) is not type(part):
        where = f"{type(part).__module__}.{name}"
        raise ValueError(
            f"torch_export: the {role} {where} is not one of {package}, so that it cannot be made "
            "without its source"
        )
    return name


def _arguments(part: Any, known: dict[str, Any], role: str) -> dict[str, Any]:
    """Returns those of `known` that its class takes, but for what it is made over. Raises
    ValueError where one without a default is not known."""
    _, *parameters = inspect.signature(type(part)).parameters.values()
    arguments = {each.name: known[each.name] for each in parameters if each.name in known}
    for each in parameters:
        if each.default is each.empty and each.name not in arguments:
            raise ValueError(
                f"torch_export: the {role} {type(part).__name__} does not tell the {each.name} it "
                "was made with, so that it cannot be made again"
            )
    counters = {name: each for name, each in arguments.items() if isinstance(each, Counter)}
    return arguments | {name: sorted(each.elements()) for name, each in counters.items()}


def _write_restorable(directory: Path, saved: dict[str, Any], weights: dict[str, Any]) -> None:
    import torch

    what = f"the optimizer {saved['class']}"
    states = [saved["state"]]
    if saved["scheduler"]:
        what += f" with the scheduler {saved['scheduler']['class']}"
        states.append(saved["scheduler"]["state"])
    try:
        write_optimizer(directory, saved)
        read = torch.load(directory / OPTIMIZER, weights_only=True, mmap=True)
        restored = [each.state_dict() for each in restore(read, weights) if each is not None]
    except (pickle.UnpicklingError, TypeError, ValueError, KeyError) as error:
        reason = in_one_line(error)
        raise ValueError(f"torch_export: {what} cannot be made again: {reason}") from error
    if not _same(restored, states):
        raise ValueError(f"torch_export: {what}, made again, is not in the state that it was in")


def _same(one: Any, other: Any) -> bool:
    """Returns whether two values are of the same types, and the same to the bit in the same
    order."""
    import torch

    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        kinds = [
            (each.dtype, each.shape, each.stride(), each.requires_grad) for each in (one, other)
        ]
        return kinds[0] == kinds[1] and bool(torch.equal(*map(_bits, (one, other))))
    if isinstance(one, dict):
        return _same(list(one), list(other)) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    return bool(one == other)


def _bits(tensor: Any) -> Any:
    """Returns its elements as bytes, so that NaN is NaN and 0 is not -0."""
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)
