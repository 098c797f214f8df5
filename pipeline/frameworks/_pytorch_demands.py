"""What a PyTorch model has to be before it is trained; each raises ValueError, one line."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._pytorch_state import MODULES_OWN

NUMPY_HAS = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.float32, torch.float64),
)


def demand_names(
    net: nn.Module, inputs: Sequence[str], targets: Sequence[str], has_own_loss: bool
) -> bool:
    """Returns whether the net can be called with the inputs by position: they are then its first
    parameters. Its other parameters must be optional; a net that computes its loss must have the
    targets among them."""
    parameters = inspect.signature(net.forward).parameters.values()
    called = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    varied = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    required = {
        p.name for p in parameters if p.name in called and p.default is inspect.Parameter.empty
    }
    lacking = [name for name in inputs if name not in called and not takes_any]
    if lacking or not required <= set(inputs) or (varied and not called):
        raise ValueError(
            f"model.net: its forward takes {called}, data.inputs has {list(inputs)}; name them "
            "alike"
        )
    if has_own_loss and (without := [name for name in targets if name not in called]):
        raise ValueError(
            f"model.net: its forward takes {called}, but is to compute its loss; expected the "
            f"target {without[0]} as an optional parameter, too"
        )
    positional = [p.name for p in parameters if p.name in called and p.kind is not p.KEYWORD_ONLY]
    return positional[: len(inputs)] == list(inputs)


def parameters(module: nn.Module) -> list[str]:
    """Returns what the parameters of a module's forward are called."""
    return list(inspect.signature(module.forward).parameters)


def demand_augments(augment: nn.Module, names: Sequence[str]) -> None:
    """Raises ValueError for what takes other than inputs and targets by name, or has a state."""
    if unknown := [name for name in parameters(augment) if name not in names]:
        raise ValueError(
            f"model.augment: its forward takes {unknown[0]!r}, expected inputs and targets by "
            f"name: {', '.join(names)}"
        )
    if held := list(augment.state_dict()):
        raise ValueError(
            f"model.augment: {type(augment).__name__} holds {held[0]}, expected no weights and no "
            "buffers: what is learnt belongs into the net, and numbers into plain attributes"
        )


def demand_trained(key: str, loss: nn.Module) -> None:
    """Raises ValueError for a loss with weights to train: the optimizer gets the net's alone."""
    own = [name for name, weight in loss.named_parameters() if weight.requires_grad]
    if own:
        raise ValueError(
            f"{key}: {type(loss).__name__} has weights that no optimizer would train, "
            f"{', '.join(own)}; expected none: move them into the net"
        )


def demand_one_gradient(optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError for an optimizer that asks for the loss several times, as LBFGS does."""
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise ValueError(
            f"model.optimizer: {type(optimizer).__name__} asks for the loss several times in a "
            "step (its step takes a closure), expected one that steps by one gradient, such as "
            "torch.optim.AdamW"
        )


def demand_goes_by_loss(scheduler: Any, schedule_by: str) -> None:
    """Raises ValueError for a schedule by a metric that could not go by val/loss, the less the
    better."""
    plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    if plateau and scheduler.mode != "min":
        raise ValueError(
            f"model.scheduler: found mode {scheduler.mode}, expected min, for ReduceLROnPlateau "
            "gets val/loss"
        )
    if plateau and schedule_by == "step":
        raise ValueError(
            "train.schedule_by: found step, expected epoch, for ReduceLROnPlateau gets val/loss, "
            "which there is at the end of an epoch"
        )


def demand_outputs(outputs: Mapping[str, Any], rows: int, narrow: bool = False) -> None:
    """Raises ValueError for an output that is no tensor of these rows, or is of a dtype that numpy
    lacks, unless it is `narrow` in training alone."""
    for name, tensor in outputs.items():
        what = f"model.net: its output {name}"
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{what} is a {type(tensor).__name__}, expected a tensor")
        if tensor.dtype not in NUMPY_HAS and not narrow:
            raise ValueError(
                f"{what} is {str(tensor.dtype).removeprefix('torch.')}, which numpy does not have; "
                "cast it at the end of forward, for instance with .float()"
            )
        if not tensor.ndim or len(tensor) != rows:
            raise ValueError(
                f"{what} has shape {list(tensor.shape)} for {rows} rows, expected them first"
            )


def demand_one_number(loss: Tensor, key: str = "model.loss") -> Tensor:
    """Returns the loss of a batch, or of a term of it, which must be one number."""
    if loss.numel() != 1:
        raise ValueError(
            f"{key}: found shape {list(loss.shape)} for a batch, expected one number; let it take "
            "the mean"
        )
    return loss


def demand_registered(net: nn.Module) -> None:
    """Raises ValueError for what is to be trained and is not known to the net by name."""
    known = {id(part) for part in (*net.modules(), *net.parameters())}
    for path, module in net.named_modules():
        for name, value in vars(module).items():
            for index, part in _members(value) if name not in MODULES_OWN else ():
                if id(part) not in known and _is_trained(part):
                    at = ".".join(filter(None, ["model.net", path, name])) + index
                    raise ValueError(
                        f"{at}: is to be trained, but no optimizer gets it and no checkpoint "
                        "holds it; expected a module or nn.Parameter as an attribute of its own, "
                        "or in an nn.ModuleList, nn.ModuleDict or nn.ParameterList"
                    )


def _members(value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [(f"[{key!r}]", part) for key, part in value.items()]
    if isinstance(value, list | tuple | set):
        return [(f"[{index}]", part) for index, part in enumerate(value)]
    return [("", value)]


def _is_trained(part: Any) -> bool:
    if isinstance(part, nn.Module):
        return any(weight.requires_grad for weight in part.parameters())
    return isinstance(part, Tensor) and part.requires_grad and part.is_leaf
