"""Copies of a Keras net in one process, the replicas, take each step together: each has a device,
and the gradient of its own rows.

Weights and the optimizer's state lie once, on the first device, so that a step, a checkpoint and
what predicts are those of one. The rows of a batch are cut in their order, in parts as equal as
they can be; a part counts by its rows, so that the loss and the gradient are those of the batch. A
replica without rows, where there are fewer than replicas, computes all of them, which count
nothing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from . import _keras_state
from ._keras_gradient import OfBatch, times
from ._keras_import import keras, tf
from .contract import Parts

SEEDS_APART = 0x9E3779B1
"""Lies between the seeds of two replicas; the first has those of one process."""


@dataclass(frozen=True)
class _Part:
    """What a replica computed; it counts by its share of the rows."""

    share: Any
    loss: Any
    gradients: Sequence[Any]
    before: dict[int, Any]
    """The value of each variable by the identity of that, as it was."""
    scope: keras.StatelessScope

    def value(self, variable: keras.Variable) -> Any:
        """Returns the variable's value after the rows."""
        return self.scope.get_current_value(variable)

    def changed(self, variable: keras.Variable) -> bool:
        """Returns whether these rows have changed it."""
        return self.value(variable) is not self.before.get(id(variable))


@dataclass(frozen=True)
class Replicas:
    """The replicas' devices; the first has the weights."""

    devices: Sequence[str]

    def spread(self, model: keras.Model, of_batch: OfBatch) -> OfBatch:
        """Returns what computes what `of_batch` does, a part of the rows on each device, and has
        the model learn beside its weights, as a batch norm does, the mean over the parts."""

        def of_all(values: Any) -> tuple[Any, list[Any]]:
            parts = [self._part(model, of_batch, values, number) for number in self._numbers]
            with tf.device(self.devices[0]):
                _learn(model, parts)
                loss = tf.add_n([times(part.share, part.loss) for part in parts])
                shares = [part.share for part in parts]
                each = zip(*(part.gradients for part in parts), strict=True)
                return loss, [_added(shares, gradients) for gradients in each]

        return of_all

    @property
    def _numbers(self) -> range:
        return range(len(self.devices))

    def _part(self, model: keras.Model, of_batch: OfBatch, values: Any, number: int) -> _Part:
        share, own = _cut(values, number, len(self.devices))
        with tf.device(self.devices[number]):
            copies = _copies(model, number)
            scope = keras.StatelessScope(copies, collect_losses=True)
            before = {id(variable): scope.get_current_value(variable) for variable, _ in copies}
            with scope:
                loss, gradients = of_batch(own)
        part = _Part(share, loss, gradients, before, scope)
        _demand_states(model, part)
        return part


def placed(device: str, count: int) -> Replicas | None:
    """Chooses the device, for TensorFlow by itself takes a GPU wherever it sees one; returns the
    replicas, where there are several: each on a device of the processor's, which `configure` made.
    Raises ValueError, one line."""
    gpus = tf.config.list_physical_devices("GPU")
    if device == "cuda" and not gpus:
        raise ValueError("train.device: found cuda, but TensorFlow sees no GPU; set cpu or auto")
    if device == "cpu" and gpus:
        tf.config.set_visible_devices([], "GPU")
    return Replicas([f"/CPU:{number}" for number in range(count)]) if count > 1 else None


def demand_spreads(
    parts: Parts, model: keras.Model, takes_step: bool, losses: Iterable[Any]
) -> None:
    """Raises ValueError, one line, for what several replicas could not compute as one does."""
    one = "or set train.distributed.processes=1"
    if parts.replicas == 1:
        return
    if takes_step:
        raise ValueError(
            f"model.net: {type(model).__name__} takes its step itself, in train_step, of rows that "
            f"nobody can take apart for it; leave the step to this training, {one}"
        )
    for layer in _keras_state.layers(model):
        if isinstance(layer, keras.layers.BatchNormalization) and layer.synchronized:
            raise ValueError(
                f"model.net: {layer.name}: found synchronized=True, but each replica normalizes "
                f"its own rows; expected synchronized=False, {one}"
            )
    by_weight = [each for each in losses if each and each.reduction == "mean_with_sample_weight"]
    if by_weight and parts.class_weights is not None:
        raise ValueError(
            f"model.loss: {type(by_weight[0]).__name__} divides by the sum of the weights, which "
            f"each replica would have of its own rows; expected sum_over_batch_size, {one}"
        )


def _cut(values: Any, number: int, replicas: int) -> tuple[Any, Any]:
    """Returns a replica's share of the rows, and the rows that it computes."""
    rows = tf.shape(tf.nest.flatten(values)[0])[0]
    size, larger = rows // replicas, rows % replicas
    count = size + tf.cast(number < larger, tf.int32)
    start = number * size + tf.minimum(number, larger)
    stop = start + count
    start, stop = tf.where(count == 0, 0, start), tf.where(count == 0, rows, stop)
    share = tf.cast(count, tf.float64) / tf.cast(rows, tf.float64)
    return share, tf.nest.map_structure(lambda each: each[start:stop], values)


def _copies(model: keras.Model, number: int) -> list[tuple[keras.Variable, Any]]:
    """Returns each variable with the value that a replica sees; generators are seeded apart."""
    seeds = {id(state) for state in _keras_state.seeds(model)}
    copies = []
    for variable in model.variables:
        value = tf.identity(variable.value)
        if id(variable) in seeds:
            value += tf.constant([number * SEEDS_APART, 0], value.dtype)
        copies.append((variable, value))
    return copies


def _demand_states(model: keras.Model, part: _Part) -> None:
    """Raises ValueError, one line, for a state that a step changes where replicas could not bring
    their values together."""
    graph, one = tf.compat.v1.get_default_graph(), "or set train.distributed.processes=1"
    for variable in model.variables:
        if not part.changed(variable):
            continue
        if variable.trainable:
            raise ValueError(
                f"model.net: {variable.path} is trained, and a call of its layer sets it, too, "
                f"which each replica would do otherwise; freeze it (train.freeze), {one}"
            )
        if part.value(variable).graph is not graph:
            raise ValueError(
                f"model.net: {variable.path} is set within a loop or a branch of a step, whence "
                f"no replica could bring it; set it outside of that, {one}"
            )
    if set(part.scope.state_mapping) - {id(variable) for variable in model.variables}:
        raise ValueError(
            "model.loss: sets a variable that is none of the model's, which each replica would do "
            f"otherwise; keep it in model.net, {one}"
        )


def _learn(model: keras.Model, parts: Sequence[_Part]) -> None:
    """Sets what a step changes beside weights: a number to the mean over the rows, anything else,
    as a generator's state, to that of the first replica."""
    for variable in _keras_state.named(model).values():
        if not any(part.changed(variable) for part in parts):
            continue
        first, *others = (part.value(variable) for part in parts)
        steps = [
            times(part.share, other - first)
            for part, other in zip(parts[1:], others, strict=True)
            if first.dtype.is_floating
        ]
        variable.assign(tf.add_n([first, *steps]) if steps else first)


def _added(shares: Sequence[Any], gradients: Sequence[Any]) -> Any:
    """Returns the gradient of all rows: of an embedding, that of each row after the other."""
    if any(each is None for each in gradients):
        return None
    if not all(isinstance(each, tf.IndexedSlices) for each in gradients):
        return tf.add_n([times(*each) for each in zip(shares, gradients, strict=True)])
    values = [times(share, each.values) for share, each in zip(shares, gradients, strict=True)]
    indices = [each.indices for each in gradients]
    return tf.IndexedSlices(tf.concat(values, 0), tf.concat(indices, 0), gradients[0].dense_shape)
