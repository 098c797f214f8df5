"""The model's parts as configured, and what trains them."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pipeline import frameworks
from pipeline.config.component import component
from pipeline.config.distributed_params import ranks
from pipeline.config.params import LossTerm, Model, Train
from pipeline.config.reading import Component
from pipeline.config.targets import Kind
from pipeline.errors import ParamsError
from pipeline.frameworks.contract import (
    Accumulation,
    Adapting,
    Averaging,
    Framework,
    Parts,
    Term,
    TrainingModule,
)
from pipeline.training import parent, program
from pipeline.training.class_weights import class_weights

OF_LIBRARIES = ("net", "loss", "augment")
"""Parts that a format holds as a program; an optimizer it must know itself."""


def seed(base: int, epoch: int) -> int:
    """Returns the seed of an epoch's random numbers; epoch 0 is that of the initial weights.

    With the order of the rows, which hangs on seed and epoch too, it makes resuming exact without
    any generator's state.
    """
    return int(np.random.SeedSequence([base, epoch]).generate_state(1)[0])


def training_module(model: Model, train: Train) -> TrainingModule[Any]:
    """Returns what trains: the model's framework, or in its place a complete model, or a program
    that was made elsewhere."""
    if model.program:
        return program.ProgramModule(model.program)
    return framework_of(model) if train.parent is None else parent


def epoch_module(model: Model, train: Train) -> TrainingModule[Any]:
    """Returns what writes and reads the checkpoints of epochs: what trains, or what several
    processes train with."""
    if ranks(model, train) == 1:
        return training_module(model, train)
    return framework_of(model).over_ranks(train.distributed.strategy)


def framework_of(model: Model) -> Framework[Any]:
    """Returns the framework that builds the model's net."""
    assert model.framework is not None, "model.program has none"
    return frameworks.framework(model.framework)


def sources(model: Model, framework: TrainingModule[Any], training: Any) -> list[str]:
    """Returns the packages that the model's code is of, which no format may need: those of its
    parts, and the libraries that its configuration names, but for the framework itself."""
    libraries = {name.partition(".")[0] for name in model.libraries} - {model.framework}
    return sorted({*framework.sources(training), *libraries})


def epochs_before(train: Train) -> int:
    """Returns the epochs behind the complete model that training goes on from; seeds and orders
    count from there."""
    return 0 if train.parent is None else parent.epochs_trained(train.parent)


def build(
    model: Model,
    train: Train,
    schema: Mapping[str, Any],
    device: str,
    targets: Mapping[str, np.ndarray] | None = None,
    replicas: int = 1,
) -> Any:
    """Returns the training as configured; `schema` is that of the data, and `targets` are those of
    the training rows, where it begins. Replicas are for its epochs alone. Raises ParamsError."""
    if model.program:
        return program.ProgramModule(model.program).build(train, schema)
    framework = framework_of(model)
    if train.parent is not None:
        return parent.build(framework, train, schema)
    framework.configure(train.threads, replicas)
    framework.seed(seed(train.seed, 0))

    def part(kind: str, config: Component, key: str) -> Callable[..., Any]:
        libraries = model.libraries if kind in OF_LIBRARIES else ()
        of = Kind(bases=(framework.BASES[kind],), libraries=libraries, **framework.PARTS)
        return component(config, f"model.{key}", of)

    loss: Mapping[str, Term] | str | None
    if isinstance(model.loss, Component):
        loss = {"model.loss": Term(loss=part("loss", model.loss, "loss"))}
    elif isinstance(model.loss, Mapping):
        loss = {f"model.loss.{name}": _term(name, each, part) for name, each in model.loss.items()}
    else:
        loss = model.loss
    assert model.net is not None
    assert model.optimizer is not None
    chosen = Parts(
        net=part("net", model.net, "net"),
        loss=loss,
        optimizer=part("optimizer", model.optimizer, "optimizer"),
        scheduler=part("scheduler", model.scheduler, "scheduler") if model.scheduler else None,
        inputs=schema["inputs"],
        targets=schema["targets"],
        outputs=model.paths,
        augment=_augment(model, framework.BASES, part),
        device=device,
        clip_norm=train.clip_norm,
        averaging=_averaging(train),
        adapter=_adapter(train),
        precision=train.precision,
        class_weights=class_weights(train, schema, targets),
        freeze=train.freeze,
        schedule_by=train.schedule_by,
        accumulation=Accumulation(train.accumulate, min(2, train.batch_size)),
        replicas=replicas,
    )
    _demand_names_apart(chosen)
    try:
        return framework.build(chosen)
    except ValueError as fault:
        raise ParamsError(str(fault)) from None


def _demand_names_apart(parts: Parts) -> None:
    """Raises ParamsError where an input, an output and a target share a name. A loss names what it
    compares, so that a target of another's name would be taken for it, and a program has one name
    for each of its inputs and outputs."""
    for key, others in {"model.outputs": parts.outputs, "data.inputs": parts.inputs}.items():
        if both := [name for name in parts.targets if name in others]:
            raise ParamsError(
                f"data.targets.{both[0]}: found the name in {key}, too, expected one of its own; "
                "rename one of the two"
            )
    if both := [name for name in parts.outputs if name in parts.inputs]:
        raise ParamsError(
            f"model.outputs.{both[0]}: found the name in data.inputs, too, expected one of its "
            f"own; call it otherwise, as {{other: {both[0]}}}"
        )


def _averaging(train: Train) -> Averaging | None:
    given = train.averaging
    if given is None:
        return None
    return Averaging(kind=given.kind, decay=given.decay or 0.0, start=given.start)


def _adapter(train: Train) -> Adapting | None:
    given = train.adapter
    if given is None:
        return None
    how = (given.r, given.alpha, given.dropout, given.targets)
    return Adapting(*how, new=train.new_weights)


def _augment(
    model: Model, bases: Mapping[str, Any], part: Callable[..., Any]
) -> Callable[..., Any] | None:
    """Raises ParamsError where the framework has layers of its own for it."""
    if model.augment is None:
        return None
    if "augment" not in bases:
        raise ParamsError(
            f"model.augment: found one, but {model.framework} has layers that act in training "
            "alone, such as keras.layers.RandomFlip; put them into the net"
        )
    return part("augment", model.augment, "augment")  # type: ignore[no-any-return]


def _term(name: str, term: LossTerm, part: Callable[..., Any]) -> Term:
    function = part("loss", term.function, f"loss.{name}.function")
    return Term(loss=function, compares=term.compares, weight=term.weight)
