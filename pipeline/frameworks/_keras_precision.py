"""A Keras step computes narrowly where `train.precision` says so; predictions do not.

A layer goes by its policy when it is called, so that it has another one while a step is traced. Its
weights are those of before, in float32.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from . import _keras_state
from ._keras_import import keras, tf

SCALED = "float16"
"""The precision in which small gradients vanish, unless the loss is scaled."""


@dataclass(frozen=True)
class Precision:
    """The precision of a step, and the layers that it is of."""

    name: str = "float32"
    layers: Sequence[keras.Layer] = ()

    @contextmanager
    def of_step(self) -> Iterator[None]:
        """Lets the layers compute narrowly what is traced meanwhile."""
        policies = [layer.dtype_policy for layer in self.layers]
        for layer in self.layers:
            layer.dtype_policy = f"mixed_{self.name}"
        try:
            yield
        finally:
            for layer, policy in zip(self.layers, policies, strict=True):
                layer.dtype_policy = policy

    def widened(self, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns answers as a loss takes them: in float32."""
        narrow = (tf.bfloat16, tf.float16) if self.layers else ()
        return {
            name: tf.cast(each, tf.float32) if tf.is_tensor(each) and each.dtype in narrow else each
            for name, each in outputs.items()
        }

    def scale(self, optimizer: keras.Optimizer) -> Any:
        """Returns what a loss, and so its gradient, is multiplied by until `optimizer` divides."""
        return optimizer.dynamic_scale.value if self.name == SCALED else None


WIDE = Precision()


def precision_of(name: str, model: keras.Model) -> Precision:
    """Returns the precision for a model that is just made: layers that were given a dtype keep it,
    and what `adapt` fits takes inputs as they are."""
    if name == "float32":
        return WIDE
    default = keras.config.dtype_policy()
    narrow = [
        layer
        for layer in _keras_state.layers(model)
        if layer.dtype_policy is default
        and not isinstance(layer, keras.Model)
        and not hasattr(layer, "adapt")
    ]
    if not narrow:
        raise ValueError(
            f"train.precision: found {name}, but each layer of {type(model).__name__} has a dtype "
            "of its own; set it to float32, or leave their dtypes out"
        )
    return Precision(name, narrow)


def scaling(name: str, optimizer: keras.Optimizer) -> keras.Optimizer:
    """Returns the optimizer; in float16 one that takes gradients of a scaled loss, and passes over
    a step whose gradients have left the numbers."""
    if name != SCALED:
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
