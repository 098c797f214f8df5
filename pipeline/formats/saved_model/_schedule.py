"""A schedule of learning rates as a graph that gives the source's rates, bit for bit."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ._errors import name_of, one_line, tracing_errors

Rate = Callable[[Any], Any]
CHECKED = 64
"""Epochs or steps ahead."""


def rate_after(schedule: Any) -> tuple[Rate | None, list[Any]]:
    """Returns the schedule as a graph of the number of epochs or steps, and variables that are its
    constants.

    TensorFlow rewrites arithmetic with constants, x / 3 to x * (1 / 3), and would end in another
    learning rate than the source; variables it leaves alone.
    """
    import tensorflow as tf

    if schedule is None:
        return None, []
    graph, kind = _traced(schedule)
    definition = graph.as_graph_def()
    numbers = [node for node in definition.node if _is_number(node)]
    variables = [tf.Variable(tf.make_ndarray(node.attr["value"].tensor)) for node in numbers]

    def rate(epoch: Any) -> Any:
        values = {inner.name: outer for outer, inner in graph.captures}
        values |= {f"{node.name}:0": each for node, each in zip(numbers, variables, strict=True)}
        values[graph.inputs[0].name] = tf.cast(epoch, kind)
        answer = graph.outputs[0].name
        if answer in values:
            return values[answer]
        return tf.graph_util.import_graph_def(definition, values, [answer], name="schedule")[0]

    return rate, variables


def _traced(schedule: Any) -> tuple[Any, Any]:
    """Returns a graph and the type of its epoch.

    A schedule in plain Python may count on dividing as Python does, in 64 bits.
    """
    import tensorflow as tf

    fault: Exception | None = None
    for kind in (tf.int64, tf.float64):
        function = tf.function(schedule, input_signature=[tf.TensorSpec((), kind)], autograph=False)
        try:
            return function.get_concrete_function().graph, kind
        except tracing_errors() as error:
            fault = fault or error
    assert fault is not None
    raise ValueError(f"schedule {name_of(schedule)} cannot be traced: {one_line(fault)}") from fault


def _is_number(node: Any) -> bool:
    import tensorflow as tf

    if node.op != "Const" or node.attr["value"].tensor.tensor_shape.dim:
        return False
    kind = tf.as_dtype(node.attr["dtype"].type)
    return bool(kind.is_floating or kind.is_integer)


def check_rates(training: Any, rate: Rate | None) -> None:
    """Raises ValueError where the graph's rates differ: a trace keeps what Python decided once."""
    import tensorflow as tf

    if rate is None:
        return
    schedule, kind = training.schedule, training.model.optimizer.learning_rate.dtype
    signature = [tf.TensorSpec((), tf.int64)]
    traced = tf.function(lambda count: tf.cast(rate(count), kind), signature, autograph=False)
    each_step = training.schedule_by == "step"
    first = int(training.model.optimizer.iterations) if each_step else 0
    last = (first if each_step else training.epochs) + CHECKED
    for count in range(first, last):
        value, expected = traced(count).numpy(), np.asarray(schedule(count), kind)
        if value.tobytes() != expected.tobytes():
            raise ValueError(
                f"schedule {name_of(schedule)} gives {value} in the graph and {expected} in "
                f"Python for {training.schedule_by} {count}; write it with TensorFlow's functions"
            )
