"""A PyTorch training is built of its parts."""

import torch

from . import _pytorch_demands as demands
from ._pytorch_average import average_of
from ._pytorch_freezing import freeze
from ._pytorch_training import Training, built
from ._pytorch_weights import weigh
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
    demands.demand_no_own_loop(module)
    demands.demand_registered(module)
    if parts.class_weights is not None:
        weigh(called["loss"], parts.class_weights)
    called["loss"].to(device)
    augment = parts.augment() if parts.augment else None
    if augment is not None:
        demands.demand_augments(augment, [*parts.inputs, *parts.targets])
    still = freeze(module, parts.freeze)
    optimizer = parts.optimizer(module.parameters())
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
        precision=parts.precision,
        scaler=torch.amp.GradScaler(device) if parts.precision == "float16" else None,
        average=average_of(module, parts.averaging) if parts.averaging else None,
        device=torch.device(device),
        **called,
    )
