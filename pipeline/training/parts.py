"""The model's parts as configured, and what trains them."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np

from pipeline.config.component import component
from pipeline.config.params import Model, Train
from pipeline.config.plugins import plugin
from pipeline.config.targets import Kind
from pipeline.errors import ParamsError
from pipeline.project import PARENTS
from pipeline.training import parent


def seed(base: int, epoch: int) -> int:
    """Of an epoch's random numbers, 0 for the initial weights: with the order of the rows, which
    hangs on seed and epoch too, it makes resuming exact without any generator's state."""
    return int(np.random.SeedSequence([base, epoch]).generate_state(1)[0])


def framework(model: Model, train: Train) -> ModuleType:
    """What trains: the model's framework, or a complete model in its place."""
    return plugin("frameworks", model.framework) if train.parent is None else parent


def epochs_before(train: Train) -> int:
    """Behind the complete model that training goes on from; seeds and orders count from there."""
    return 0 if train.parent is None else parent.trained(train.parent)


def build(model: Model, train: Train, schema: Mapping[str, Any], device: str) -> Any:
    """The framework's Training as configured; `schema` is that of the data."""
    framework = plugin("frameworks", model.framework)
    if train.parent is not None:
        parent.demand_whole(PARENTS / train.parent)
        return parent.build(framework, train, schema)
    framework.configure(train.threads)
    framework.seed(seed(train.seed, 0))
    configs = {name: getattr(model, name) for name in ("net", "loss", "optimizer", "scheduler")}
    parts = [
        component(config, f"model.{name}", Kind(bases=(framework.BASES[name],), **framework.PARTS))
        if config
        else None
        for name, config in configs.items()
    ]
    try:
        return framework.build(*parts, schema["inputs"], device, train.clip_norm)
    except ValueError as fault:
        raise ParamsError(str(fault)) from None
