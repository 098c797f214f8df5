"""The model's parts as configured, and what trains them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline import frameworks
from pipeline.config.component import component
from pipeline.config.params import Model, Train
from pipeline.config.reading import Component
from pipeline.config.targets import Kind
from pipeline.errors import ParamsError
from pipeline.frameworks.contract import TrainingModule
from pipeline.training import parent
from pipeline.training.decision import Decision
from pipeline.training.model_faults import translate_model_faults
from pipeline.training.threshold import threshold


def seed(base: int, epoch: int) -> int:
    """Returns the seed of an epoch's random numbers; epoch 0 is that of the initial weights.

    With the order of the rows, which hangs on seed and epoch too, it makes resuming exact without
    any generator's state.
    """
    return int(np.random.SeedSequence([base, epoch]).generate_state(1)[0])


def training_module(model: Model, train: Train) -> TrainingModule[Any]:
    """Returns what trains: the model's framework, or a complete model in its place."""
    return frameworks.framework(model.framework) if train.parent is None else parent


def epochs_before(train: Train) -> int:
    """Returns the epochs behind the complete model that training goes on from; seeds and orders
    count from there."""
    return 0 if train.parent is None else parent.epochs_trained(train.parent)


def build(model: Model, train: Train, schema: Mapping[str, Any], device: str) -> Any:
    """Returns the training as configured; `schema` is that of the data. Raises ParamsError."""
    framework = frameworks.framework(model.framework)
    if train.parent is not None:
        return parent.build(framework, train, schema)
    framework.configure(train.threads)
    framework.seed(seed(train.seed, 0))

    def part(name: str, config: Component) -> Callable[..., Any]:
        kind = Kind(bases=(framework.BASES[name],), **framework.PARTS)
        return component(config, f"model.{name}", kind)

    net, loss = part("net", model.net), part("loss", model.loss)
    optimizer = part("optimizer", model.optimizer)
    scheduler = part("scheduler", model.scheduler) if model.scheduler else None
    try:
        return framework.build(
            *(net, loss, optimizer, scheduler, schema["inputs"], device, train.clip_norm),
            model.outputs,
        )
    except ValueError as fault:
        raise ParamsError(str(fault)) from None


def decision(
    training: Any,
    model: Model,
    train: Train,
    inputs: Mapping[str, np.ndarray],
    target: np.ndarray,
    classes: int | None,
) -> Decision:
    """Returns how the first output of a training, adapted or loaded, becomes a label."""
    if classes != 2:
        return Decision(classes)
    if train.parent is not None:
        return Decision(classes, parent.schema(train.parent).get("threshold"))
    framework = frameworks.framework(model.framework)
    batch, labels = {k: np.array(array[:2]) for k, array in inputs.items()}, np.array(target[:2])
    with translate_model_faults(framework, "in two training rows"):
        outputs, _ = framework.predict(training, batch, labels, len(labels))
        return Decision(classes, threshold(framework, training, batch, outputs, labels))
