"""A Keras training is built of its parts."""

from collections.abc import Mapping
from typing import Any

from . import _keras_demands as demands
from ._filling import fillings
from ._keras_average import Average
from ._keras_filling import filling
from ._keras_freezing import freeze
from ._keras_import import keras, tf
from ._keras_own_step import chooses_loss, demand_fits, own_step
from ._keras_precision import precision_of, scaling
from ._keras_replicas import demand_spreads, placed
from ._keras_training import Training, built
from .contract import Parts

Specs = Mapping[str, Mapping[str, Any]]


def build(parts: Parts) -> Training:
    """Builds the parts; the scheduler is called for the learning rate with the number of epochs
    trained so far, or of steps taken. Raises ValueError, one line."""
    if parts.adapter is not None:
        raise ValueError(
            "train.adapter: found one, but model.framework is keras, and adapters are of PyTorch "
            "nets; set it to null, and train.freeze to what is to stay"
        )
    replicas = placed(parts.device, parts.replicas)
    specs = _specs(parts.inputs)
    model = parts.net()
    demands.demand_names(model, list(specs))
    demands.demand_no_own_loop(model)
    demands.demand_stateless(model)
    demands.demand_saveable(model)
    inner, fills = model, fillings(parts.inputs)
    if fills:
        model = filling(inner, specs, fills)
    terms, loss = built(parts)
    own = own_step(model)
    demand_fits(model, own, parts, terms)
    precision = precision_of(parts.precision, inner)
    optimizer = parts.optimizer()
    demands.demand_whole_steps(optimizer)
    _compile(model, inner, scaling(precision.name, optimizer), loss)
    demands.demand_loss(inner, own, bool(terms))
    schedule = parts.scheduler() if parts.scheduler else None
    demands.demand_callable(model, specs)
    freeze(inner, parts.freeze)
    model.optimizer.build(model.trainable_variables)
    if schedule is not None:
        demands.demand_schedule_fits(model)
        model.optimizer.learning_rate = schedule(0)
    average = None
    if parts.averaging is not None:
        average = Average(parts.averaging, *_another(parts, specs, loss))
        average.copy(model)
    weighed = demands.weighed(parts, own, loss, terms)
    demand_spreads(parts, model, own.trains, [loss, *(each.loss for each in terms)])
    return Training(
        model=model,
        weighed=weighed,
        class_weights=parts.class_weights,
        average=average,
        precision=precision,
        inputs=specs,
        schedule=schedule,
        clip_norm=parts.clip_norm,
        accumulation=parts.accumulation,
        replicas=replicas,
        schedule_by=parts.schedule_by,
        targets=_specs(parts.targets),
        outputs=parts.outputs,
        terms=terms,
        own=own,
        inner=inner,
        fills=fills,
    )


def _compile(model: keras.Model, inner: keras.Model, optimizer: keras.Optimizer, loss: Any) -> None:
    """Compiles the model, and the one whose missing values it fills: that may compute the loss."""
    for each in {id(model): model, id(inner): inner}.values():
        given = {} if loss is None and chooses_loss(each) else {"loss": loss}
        each.compile(optimizer=optimizer, jit_compile=False, **given)


def _another(
    parts: Parts, specs: Mapping[str, tf.TensorSpec], loss: Any
) -> tuple[keras.Model, keras.Model]:
    """Returns a second model whose variables are called as those of the first, and the one whose
    missing values it fills."""
    keras.utils.clear_session(free_memory=False)
    model = inner = parts.net()
    if fills := fillings(parts.inputs):
        model = filling(inner, specs, fills)
    _compile(model, inner, parts.optimizer(), loss)
    demands.demand_callable(model, specs)
    return model, inner


def _specs(arrays: Specs) -> dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec((None, *map(_size, spec["shape"])), spec["dtype"], name)
        for name, spec in arrays.items()
    }


def _size(size: Any) -> int | None:
    """Returns a size of a shape, or None for the name of a dimension that varies."""
    return size if isinstance(size, int) else None
