"""A PyTorch training is built of its parts."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from . import _pytorch_demands as demands
from ._filling import fillings
from ._pytorch_adapter import adapt
from ._pytorch_average import average_of
from ._pytorch_freezing import freeze, still_norms
from ._pytorch_own_step import own_step
from ._pytorch_training import Training, buffer_name
from ._pytorch_weights import weigh
from ._terms import compared
from .contract import Parts


def build(parts: Parts) -> Training:
    """Builds the parts. Raises ValueError, one line."""
    device = parts.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("train.device: found cuda, but torch sees no GPU; set cpu or auto")
    texts = [name for name, spec in parts.inputs.items() if spec["dtype"] == "string"]
    if texts:
        raise ValueError(f"data.inputs.{texts[0]}: found text, but torch has none; give numbers")
    module = parts.net()
    called = built(parts, module)
    module.to(device)
    demands.demand_registered(module)
    if parts.class_weights is not None:
        weigh(called["loss"], parts.class_weights)
    called["loss"].to(device)
    augment = parts.augment() if parts.augment else None
    if augment is not None:
        demands.demand_augments(augment, [*parts.inputs, *parts.targets])
    still = freeze(module, parts.freeze)
    adapter = adapt(module, parts.adapter) if parts.adapter else None
    weights = list(module.parameters())
    if adapter is not None:
        still = still_norms(module, adapter.still)
        weights = [weight for weight in weights if weight.requires_grad]
    optimizer = parts.optimizer(weights)
    demands.demand_one_gradient(optimizer)
    scheduler = parts.scheduler(optimizer) if parts.scheduler else None
    demands.demand_goes_by_loss(scheduler, parts.schedule_by)
    return Training(
        net=module,
        optimizer=optimizer,
        scheduler=scheduler,
        clip_norm=parts.clip_norm,
        augment=augment,
        accumulation=parts.accumulation,
        schedule_by=parts.schedule_by,
        still=still,
        adapter=adapter,
        precision=parts.precision,
        scaler=torch.amp.GradScaler(device) if parts.precision == "float16" else None,
        average=average_of(module, parts.averaging) if parts.averaging else None,
        device=torch.device(device),
        **called,
    )


def hold_fillings(net: nn.Module, inputs: Mapping[str, Mapping[str, Any]]) -> Any:
    """Returns what stands for missing values, by input, now that the net has it as buffers. Raises
    ValueError, one line, where the net has something else of that name."""
    fills = fillings(inputs)
    for name, fill in fills.items():
        if hasattr(net, buffer_name(name)):
            raise ValueError(
                f"model.net: {type(net).__name__} has a {buffer_name(name)}, which is the name of "
                f"what stands for a missing value of data.inputs.{name}; rename it"
            )
        net.register_buffer(buffer_name(name), torch.from_numpy(fill))
    return fills


def built(parts: Parts, net: nn.Module) -> dict[str, Any]:
    """Returns what a Training knows of calls and loss. Raises ValueError, one line."""
    inputs, targets = tuple(parts.inputs), tuple(parts.targets)
    by_position = demands.demand_names(net, inputs, targets, isinstance(parts.loss, str))
    known: dict[str, Any] = {"inputs": inputs, "targets": targets, "outputs": parts.outputs}
    known |= {"by_position": by_position, "fills": hold_fillings(net, parts.inputs)}
    own = own_step(net, parts)
    if own is not None:
        return known | {"loss": nn.Module(), "own_step": own}
    if parts.loss is None:
        raise ValueError(
            "model.loss: found null, expected a loss, its terms, the name of the output that is "
            "the net's own loss, or a net with a training_step"
        )
    if isinstance(parts.loss, str):
        return known | {"loss": nn.Module(), "own_loss": parts.loss}
    modules = {key: term.loss() for key, term in parts.loss.items()}
    for key, module in modules.items():
        demands.demand_trained(key, module)
    outputs = list(parts.outputs) or ["output"]
    terms = [
        (
            key.rpartition(".")[2],
            compared(key, modules[key], term.compares, outputs, targets, inputs),
            term.weight,
        )
        for key, term in parts.loss.items()
    ]
    single = len(modules) == 1 and next(iter(parts.loss.values())).weight == 1.0
    by_name = {key.rpartition(".")[2]: module for key, module in modules.items()}
    loss = next(iter(modules.values())) if single else nn.ModuleDict(by_name)
    return known | {"loss": loss, "terms": terms}
