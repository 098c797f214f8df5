"""What a PyTorch model has to be before it is trained; each raises ValueError, one line."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ._pytorch_state import MODULES_OWN

OWN_LOOP = ("training_step", "configure_optimizers")
"""Methods of nets that bring a loop of their own, as Lightning's do."""
NUMPY_HAS = (
    *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.float16, torch.float32, torch.float64),
)


def demand_names(net: nn.Module, inputs: list[str]) -> None:
    """The arguments of its call must be named as the data's inputs, in their order."""
    called = list(inspect.signature(net.forward).parameters)
    if called != inputs:
        raise ValueError(
            f"model.net: its forward takes {called}, data.inputs has {inputs}; name them alike"
        )


def demand_no_own_loop(net: nn.Module) -> None:
    """It must not bring a training loop, which would never be called."""
    own = [name for name in OWN_LOOP if hasattr(type(net), name)]
    if own:
        raise ValueError(
            f"model.net: {type(net).__name__} defines {' and '.join(own)}, which this training "
            "never calls; name the module that it wraps, and its loss and optimizer as model.loss "
            "and model.optimizer"
        )


def demand_trained(loss: nn.Module) -> None:
    """Whatever is to be trained must be the net's, for the optimizer gets that alone."""
    own = [name for name, weight in loss.named_parameters() if weight.requires_grad]
    if own:
        raise ValueError(
            f"model.loss: {type(loss).__name__} has weights that no optimizer would train, "
            f"{', '.join(own)}; expected none: move them into the net"
        )


def demand_goes_by_loss(scheduler: Any) -> None:
    """What goes by a metric gets val/loss, which is the better the less it is."""
    plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    if plateau and scheduler.mode != "min":
        raise ValueError(
            f"model.scheduler: found mode {scheduler.mode}, expected min, for ReduceLROnPlateau "
            "gets val/loss"
        )


def demand_outputs(returned: Any, names: Sequence[str], rows: int) -> Sequence[Tensor]:
    """Returns what a net returned as tensors, one a name (any number where none are named), with
    these rows and of a dtype that numpy has."""
    if not isinstance(returned, Tensor | tuple | list):
        kind, keys = type(returned).__name__, ""
        if isinstance(returned, dict):
            keys = f" with the keys {', '.join(map(str, returned))}"
        raise ValueError(
            f"model.net: it returns a {kind}{keys}, expected a tensor or a tuple of tensors in the "
            f"order of model.outputs, {list(names)}"
        )
    tensors = [returned] if isinstance(returned, Tensor) else list(returned)
    if names and len(tensors) != len(names):
        raise ValueError(
            f"model.outputs: found {len(names)} names, but the net returns {len(tensors)} arrays; "
            "name each"
        )
    for index, tensor in enumerate(tensors):
        what = f"model.net: its output {names[index] if names else index}"
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{what} is a {type(tensor).__name__}, expected a tensor")
        if tensor.dtype not in NUMPY_HAS:
            raise ValueError(
                f"{what} is {str(tensor.dtype).removeprefix('torch.')}, which numpy does not have; "
                "cast it at the end of forward, for instance with .float()"
            )
        if not tensor.ndim or len(tensor) != rows:
            raise ValueError(
                f"{what} has shape {list(tensor.shape)} for {rows} rows, expected them first"
            )
    return tensors


def demand_registered(net: nn.Module) -> None:
    """All that is to be trained must be known to the net by name."""
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
