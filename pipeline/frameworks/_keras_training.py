"""A compiled Keras model with all that its next step depends on, and how it is called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ._accumulation import WHOLE, Accumulation
from ._keras_arguments import known, named, one_or_all
from ._keras_average import Average
from ._keras_gradient import accumulated
from ._keras_import import keras, tf
from ._keras_own_step import OwnStep, chooses_loss, data, is_own, metric_variables, takes_weights
from ._keras_precision import WIDE, Precision
from ._keras_replicas import Replicas
from ._leaves import pick
from ._terms import compared
from .contract import Parts

BEYOND_NUMPY = (
    tf.bfloat16,
    tf.dtypes.experimental.float8_e5m2,
    tf.dtypes.experimental.float8_e4m3fn,
)


@dataclass(frozen=True)
class Term:
    """A term of the loss."""

    loss: keras.losses.Loss
    answer: str
    truth: str
    """Of outputs, targets and inputs; Keras calls a loss with what is true first."""
    weight: float


@dataclass
class Training:
    """A compiled model, built, with all that its next step depends on but the seed."""

    model: keras.Model
    inputs: dict[str, tf.TensorSpec]
    schedule: Callable[[int], Any] | None
    clip_norm: float | None
    targets: dict[str, tf.TensorSpec] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Output -> its path in what the model returns; none for whatever it returns."""
    terms: Sequence[Term] = ()
    """Empty where the model is compiled with its only loss, or brings its own."""
    epochs: int = 0
    """Trained so far."""
    inner: keras.Model | None = None
    """The model that `adapt` fits, where another one fills its missing values."""
    fills: Mapping[str, Any] = field(default_factory=dict)
    """What stands for a missing value of an input."""
    own: OwnStep = field(default_factory=lambda: OwnStep(trains=False, judges=False))
    """Which of Keras' steps the model defines itself."""
    accumulation: Accumulation = WHOLE
    replicas: Replicas | None = None
    schedule_by: str = "epoch"
    average: Average | None = None
    precision: Precision = WIDE
    """Of a step's arithmetic."""
    weighed: str | None = None
    """The target whose classes are weighed in a step."""
    class_weights: Sequence[float] | None = None
    programs: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    """Traced functions; void as soon as a lookup table is replaced."""

    def advance(self, count: int) -> None:
        """Brings the learning rate to that after so many epochs or steps."""
        if self.schedule is not None:
            self.model.optimizer.learning_rate = self.schedule(count)

    def take_step(self, inputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        """Takes a step, in a graph; returns its loss."""
        if self.own.trains:
            shares = next(iter(self._weights(targets).values()), None)
            with self.precision.of_step():
                loss = self.own.train(self.model, self._data(inputs, targets, shares))
        else:
            loss = self._take_step(inputs, targets)
        if self.average is not None:
            self.average.add(self.model)
        return loss

    def _data(self, inputs: Mapping[str, Any], targets: Mapping[str, Any], shares: Any) -> Any:
        return data(one_or_all(inputs), one_or_all(targets) if targets else None, shares)

    def _take_step(self, inputs: Mapping[str, Any], targets: Mapping[str, Any]) -> Any:
        weights, scale = self.model.trainable_variables, self.precision.scale(self.model.optimizer)

        def of_batch(values: Any) -> tuple[Any, list[Any]]:
            taken = [weight.value for weight in weights]
            with tf.GradientTape() as tape:
                tape.watch(taken)
                _, loss = self.judge(values[0], values[1], training=True)
                scaled = loss if scale is None else loss * scale
            return loss, tape.gradient(scaled, taken)

        gradient = self.replicas.spread(self.model, of_batch) if self.replicas else of_batch
        values = dict(inputs), dict(targets)
        if self.accumulation.batches > 1:
            loss, gradients = accumulated(gradient, values, self.accumulation)
        else:
            loss, gradients = gradient(values)
        if self.clip_norm is not None:
            most = self.clip_norm if scale is None else self.clip_norm * scale
            gradients, _ = tf.clip_by_global_norm(gradients, most)
        self.model.optimizer.apply(gradients, weights)
        return loss

    @property
    def metric_variables(self) -> list[Any]:
        """Returns what the model's own steps count with, and leave as new."""
        if not (self.own.trains or self.own.judges):
            return []
        return metric_variables([self.model, *([self.average.model] if self.average else [])])

    @property
    def predicting(self) -> "Training":
        """Returns the training with the model that predicts: an average, where there is one."""
        if self.average is None:
            return self
        return replace(self, model=self.average.model, inner=self.average.inner)

    def answer(self, inputs: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        """Returns the outputs by name. Raises ValueError, one line, where they are not there."""
        if training:
            with self.precision.of_step():
                returned = self.model(one_or_all(inputs), training=True)
            outputs = self.precision.widened(pick(returned, self.outputs))
        else:
            outputs = pick(self.model(one_or_all(inputs), training=False), self.outputs)
        for name, value in outputs.items():
            _demand_array(value, f"model.net: its output {name}")
        return outputs

    def judge(
        self, inputs: Mapping[str, Any], targets: Mapping[str, Any], training: bool = False
    ) -> tuple[dict[str, Any], Any]:
        """Returns the outputs by name, and the loss."""
        outputs = self.answer(inputs, training)
        if self.own.judges and not training:
            return outputs, self.own.judge(self.model, self._data(inputs, targets, None))
        return outputs, self.total(inputs, outputs, targets, training)

    def total(
        self,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        targets: Mapping[str, Any],
        training: bool = False,
    ) -> Any:
        """Returns the loss of these outputs: that which the model is compiled with judges the
        first."""
        weights = self._weights(targets) if training else {}
        if self.terms:
            values = {**inputs, **outputs, **targets}
            losses = [
                each.loss(values[each.truth], values[each.answer], weights.get(each.truth))
                * each.weight
                for each in self.terms
            ]
            return tf.add_n([*losses, *(tf.cast(each, tf.float32) for each in self.model.losses)])
        truth = one_or_all(targets) if targets else None
        own = self.model.loss is None or chooses_loss(self.inner or self.model)
        answer = one_or_all(outputs) if own else next(iter(outputs.values()))
        shares = next(iter(weights.values()), None)
        model, taken = self.model, one_or_all(inputs)
        if self.inner is not None and is_own(self.inner, "compute_loss"):
            model, taken = self.inner, one_or_all(known(inputs, self.fills))
        more = {"sample_weight": shares} if takes_weights(model) or shares is not None else {}
        return model.compute_loss(taken, truth, answer, training=training, **more)

    def _weights(self, targets: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what each value of the target that is weighed counts; a label that is none of the
        classes counts once."""
        if self.weighed is None or self.class_weights is None:
            return {}
        labels = tf.cast(targets[self.weighed], tf.int32)
        known = tf.logical_and(labels >= 0, labels < len(self.class_weights))
        weights = tf.constant(self.class_weights, tf.float32)
        return {self.weighed: tf.where(known, tf.gather(weights, tf.where(known, labels, 0)), 1.0)}

    @property
    def losses(self) -> list[Any]:
        """Returns the losses' objects."""
        of_terms = [each.loss for each in self.terms]
        return of_terms or [each for each in [self.model.loss] if each is not None]

    def predictor(self, inputs: Mapping[str, Any]) -> keras.Model:
        """Returns the model, or what picks the outputs from all that it returns."""
        returned = self.model(one_or_all(inputs), training=False)
        plain = isinstance(returned, Mapping) and set(self.outputs) <= set(returned)
        several = list(returned) if isinstance(returned, tuple | list) else [returned]
        in_order = all(map(tf.is_tensor, several)) and len(several) == len(self.outputs)
        if plain or in_order or not self.outputs:
            return self.model
        return _Picking(self)


class _Picking(keras.Model):  # type: ignore[misc]
    """A model that returns the outputs by name, of all that another returns."""

    def __init__(self, training: Training):
        super().__init__()
        self.inner = training.model
        self.answers = training.answer

    def call(self, inputs: Any, training: bool = False) -> dict[str, Any]:
        """Returns the outputs by name."""
        names = list(inputs) if isinstance(inputs, dict) else ["inputs"]
        return self.answers(named(inputs, names), training)


def built(parts: Parts) -> tuple[list[Term], Any]:
    """Returns the terms, and the loss to compile with instead of them. Raises ValueError."""
    if parts.loss is None:
        return [], None
    if isinstance(parts.loss, str):
        raise ValueError(
            f"model.loss: found {parts.loss!r}, but a Keras model that computes its loss does so "
            "in compute_loss or add_loss; set model.loss=null"
        )
    names = list(parts.outputs), list(parts.targets), list(parts.inputs)
    terms = []
    for key, term in parts.loss.items():
        loss = term.loss()
        if len(parts.loss) == 1 and len(parts.targets) == 1 and not term.compares:
            return [], loss
        taken = compared(key, loss, term.compares, *names).names
        if len(taken) != 2:
            raise ValueError(
                f"{key}.compares: found {list(taken)}, expected two names: what is answered, and "
                "what is true"
            )
        terms.append(Term(loss, taken[0], taken[1], term.weight))
    return terms, None


def _demand_array(value: Any, what: str) -> None:
    if not tf.is_tensor(value):
        raise ValueError(f"{what} is a {type(value).__name__}, expected a tensor")
    if value.dtype in BEYOND_NUMPY:
        raise ValueError(
            f"{what} is {value.dtype.name}, which numpy does not have; cast it, for instance with "
            'dtype="float32" in the last layer'
        )
