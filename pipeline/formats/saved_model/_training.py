"""The functions that train: a step, the end of an epoch, and a loss between two steps.

They work on the variables that predict, and the optimizer's beside them.
"""

from collections.abc import Callable
from typing import Any

from .._arrays import named
from ..contract import Arrays
from ..dimensions import Dimensions
from ._endpoints import by_path, specs_of, tables_of, variables_of
from ._errors import name_of, one_line, tracing_errors
from ._schedule import check_rates, rate_after


def add_training(
    root: Any,
    training: Any,
    inputs: Arrays,
    targets: Arrays | None,
    outputs: list[str],
    dimensions: Dimensions,
) -> None:
    """Adds the optimizer's variables, `train_step`, `end_epoch` and `evaluate` to `root`.

    `inputs` and `targets` are examples; a training without targets takes inputs alone.
    """
    import tensorflow as tf

    if targets is None:
        raise ValueError("found no targets, expected an example of them to train on")
    optimizer = training.model.optimizer
    _check_optimizer(optimizer)
    root.optimizer = by_path(optimizer.variables)
    specs = [specs_of("input", inputs, dimensions)]
    specs += [specs_of("target", targets, dimensions)] if targets else []
    if training.average is None:
        root.epochs = tf.Variable(training.epochs, dtype=tf.int64, name="epochs")
    else:
        root.epochs, root.average_steps = training.average.epochs, training.average.steps
        root.trained, root.trained_tables = variables_of(training.model), tables_of(training.model)
    if training.metric_variables:
        root.metrics = by_path(training.metric_variables)
    rate, root.schedule = rate_after(training.schedule)
    each_step = training.schedule_by == "step"

    def take_step(inputs: Any, *targets: Any) -> Any:
        loss = training.take_step(*_named(training, inputs, targets))
        if rate is not None and each_step:
            optimizer.learning_rate = rate(optimizer.iterations.value)
        return loss

    def end_epoch() -> None:
        count = root.epochs.assign_add(1)
        if rate is not None and not each_step:
            optimizer.learning_rate = rate(count)

    step = _checked(take_step, root, training)
    root.train_step = tf.function(step, input_signature=specs, autograph=False)

    def evaluate(inputs: Any, *targets: Any) -> Any:
        answers, loss = training.predicting.judge(
            *_named(training, inputs, targets), training=False
        )
        return {name: answers[name] for name in outputs}, loss

    root.end_epoch = tf.function(end_epoch, input_signature=[], autograph=False)
    root.evaluate = tf.function(evaluate, input_signature=specs, autograph=False)
    check_rates(training, rate)


def _check_optimizer(optimizer: Any) -> None:
    name = type(optimizer).__name__
    if optimizer is None or not optimizer.built:
        raise ValueError(f"optimizer {name}: not built, expected a model compiled and built")


def _named(training: Any, inputs: Any, targets: tuple[Any, ...]) -> tuple[Any, Any]:
    truths = named(targets[0], list(training.targets)) if targets else {}
    return named(inputs, list(training.inputs)), truths


def _checked(take_step: Callable[..., Any], root: Any, training: Any) -> Callable[..., Any]:
    """Returns a step that, when it is traced, names who is at fault where that fails, and where a
    variable is nobody's, since it would neither be saved nor be there after loading.

    It is traced once, while it is saved: TensorFlow would not use a trace from before.
    """
    model = training.model
    parts = f"optimizer {name_of(model.optimizer)}, loss {name_of(model.loss)}"

    def train_step(inputs: Any, *targets: Any) -> Any:
        import tensorflow as tf

        try:
            loss = take_step(inputs, *targets)
        except tracing_errors() as error:
            raise ValueError(f"{parts}: cannot be traced: {one_line(error)}") from error
        own = {id(variable) for variable in _variables(root, training)}
        used = tf.compat.v1.get_default_graph()._watched_variables  # `variables`, once it is traced
        if foreign := [variable.name for variable in used if id(variable) not in own]:
            raise ValueError(f"{parts}: change {foreign[0]}, a variable that is not the model's")
        return loss

    return train_step


def _variables(root: Any, training: Any) -> list[Any]:
    """Returns those that are saved."""
    variables = [*root.weights.values(), *root.optimizer.values(), *root.schedule]
    if training.average is not None:
        variables += [*root.trained.values(), root.epochs, root.average_steps]
    if training.metric_variables:
        variables += root.metrics.values()
    return variables
