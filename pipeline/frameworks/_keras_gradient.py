"""The gradient of a Keras step, of as many batches as it is of, for TensorFlow to trace."""

from collections.abc import Callable
from typing import Any

from ._accumulation import Accumulation
from ._keras_import import tf

OfBatch = Callable[[Any], tuple[Any, list[Any]]]
"""From arrays, rows first, to the loss and the gradients; None for what a loss does not hang on."""


def accumulated(of_batch: OfBatch, values: Any, accumulation: Accumulation) -> Any:
    """Returns loss and gradients of all rows, each batch's weighted by its rows: the first decides
    which gradients there are, the others follow in a loop."""
    rows = tf.shape(tf.nest.flatten(values)[0])[0]
    count = tf.maximum(1, tf.minimum(accumulation.batches, rows // accumulation.least))
    size, larger = rows // count, rows % count

    def share_of(number: Any, start: Any) -> tuple[Any, Any, list[Any]]:
        stop = start + size + tf.cast(number < larger, tf.int32)
        batch = tf.nest.map_structure(lambda each: each[start:stop], values)
        loss, gradients = of_batch(batch)
        share = tf.cast(stop - start, tf.float64) / tf.cast(rows, tf.float64)
        parts = [None if each is None else times(share, each) for each in gradients]
        return stop, times(share, loss), parts

    start, loss, first = share_of(tf.constant(0), tf.constant(0))
    present = [index for index, each in enumerate(first) if each is not None]

    def more(number: Any, start: Any, loss: Any, sums: list[Any]) -> Any:
        stop, further, parts = share_of(number, start)
        added = [total + parts[index] for index, total in zip(present, sums, strict=True)]
        return number + 1, stop, loss + further, added

    sums = [first[index] for index in present]
    state = (tf.constant(1), start, loss, sums)
    _, _, loss, sums = tf.while_loop(
        lambda number, *_: number < count, more, state, parallel_iterations=1
    )
    gradients: list[Any] = [None] * len(first)
    for index, total in zip(present, sums, strict=True):
        gradients[index] = total
    return loss, gradients


def times(share: Any, value: Any) -> Any:
    """Returns the product as an array of the value's dtype."""
    whole = tf.convert_to_tensor(value)  # of an embedding only some rows
    return tf.cast(share, whole.dtype) * whole
