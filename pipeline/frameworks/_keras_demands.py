"""What a Keras model has to be before it is trained; each function raises ValueError, one line."""

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ._keras_arguments import one_or_all
from ._keras_import import keras, tf
from ._keras_own_step import OwnStep, is_own
from ._keras_state import layers
from ._keras_training import Training
from ._plain_draws import demand_none
from .contract import Parts

LOOP = (
    *("fit", "train_on_batch", "make_train_function", "evaluate"),
    *("test_on_batch", "make_test_function", "predict", "predict_step", "predict_on_batch"),
    *("make_predict_function", "compute_metrics"),
)
"""What Keras' own loop calls, and nobody else."""
OURS = "models"
"""The package of nets that somebody wrote for this training."""
DRAWS = ("Random", "Multinomial", "TruncatedNormal", "ParameterizedTruncated", "Stateful")
CALL = "StatefulPartitionedCall"
"""TensorFlow's operations that hold a random state of their own begin so; but a call of a function,
as each grouped convolution is on a CPU, has the state of what is in the function."""


def demand_names(model: keras.Model, inputs: list[str]) -> None:
    """Raises ValueError for a model whose inputs have other names. They must be named as the
    data's, but for an only one, which is called without a name; a subclassed model with several
    takes them as one dict, so that only its first call can tell."""
    called = [tensor.name for tensor in getattr(model, "inputs", None) or []]
    several = max(len(called), len(inputs)) > 1
    if called and several and sorted(called) != sorted(inputs):
        raise ValueError(
            f"model.net: its inputs are {called}, data.inputs has {inputs}; name them alike"
        )
    first = next(iter(inspect.signature(model.call).parameters))
    if not called and len(inputs) == 1 and first not in (inputs[0], "inputs"):
        raise ValueError(
            f"model.net: its call takes {first!r}, data.inputs has {inputs[0]!r}; name them alike "
            "or call it inputs"
        )


def demand_no_own_loop(model: keras.Model) -> None:
    """Raises ValueError for a model that defines what only Keras' own loop calls, unless it is a
    library's that prepares rows there."""
    own = [name for name in LOOP if is_own(model, name) and not _prepares(model, name)]
    if own:
        raise ValueError(
            f"model.net: {type(model).__name__} defines {' and '.join(own)}, which this training "
            "never calls; put what it computes into call, compute_loss, train_step, test_step, "
            "add_loss or model.loss"
        )
    taken = inspect.signature(model.compile).parameters
    if is_own(model, "compile") and not {"optimizer", "kwargs"} & set(taken):
        raise ValueError(
            f"model.net: the compile of {type(model).__name__} takes {list(taken)}, expected "
            "optimizer and loss: a training has one optimizer, model.optimizer"
        )


def _prepares(model: keras.Model, name: str) -> bool:
    """Returns whether a library's method hands on to Keras' own: rows come here as the net takes
    them."""
    kind = next(each for each in type(model).__mro__ if name in vars(each))
    code = getattr(vars(kind)[name], "__code__", None)
    hands_on = code is not None and {"super", name} <= set(code.co_names)
    return hands_on and kind.__module__.partition(".")[0] != OURS


def demand_loss(model: keras.Model, own: OwnStep, has_terms: bool) -> None:
    """Raises ValueError for a model without a loss: one that it is compiled with, terms, or one
    that it computes itself."""
    if model.loss is not None or has_terms or is_own(model, "compute_loss"):
        return
    if own.trains and not own.judges:
        raise ValueError(
            f"model.net: {type(model).__name__} defines train_step, but nothing judges the "
            "validation rows; define test_step, or compute_loss, or name a model.loss"
        )
    if not own.trains:
        raise ValueError(
            f"model.loss: found null, but {type(model).__name__} does not define compute_loss; "
            "expected a loss"
        )


def demand_stateless(model: keras.Model) -> None:
    """Raises ValueError for a layer that carries on from one batch to the next: what it answers
    would hang on what was asked before."""
    for layer in layers(model):
        if getattr(layer, "stateful", False):
            raise ValueError(
                f"model.net: {layer.name}: found stateful=True, expected stateful=False, for rows "
                "come in any order and batches of any size"
            )


def demand_whole_steps(optimizer: keras.Optimizer) -> None:
    """Raises ValueError for an optimizer of which a step is not all: something before or after it
    would have to scale a loss, or put averages in place."""
    name = type(optimizer).__name__
    if optimizer.loss_scale_factor is not None or name == "LossScaleOptimizer":
        raise ValueError(
            f"model.optimizer: {name} divides gradients by a scale that this training does not "
            "multiply the loss by; expected no loss scaling"
        )
    if optimizer.use_ema and optimizer.ema_overwrite_frequency is None:
        raise ValueError(
            f"model.optimizer: {name} keeps moving averages of the weights that only the end of "
            "fit would put in their place; expected ema_overwrite_frequency"
        )


def demand_saveable(model: keras.Model) -> None:
    """Raises ValueError for a layer whose state is not among the arrays of a checkpoint."""
    for layer in layers(model):
        if hasattr(layer, "set_vocabulary") and layer.get_config()["output_mode"] == "tf_idf":
            raise ValueError(
                f"model.net: {layer.name}: found output_mode tf_idf, whose weights no checkpoint "
                "would hold; expected int, count, one_hot or multi_hot"
            )


def demand_callable(model: keras.Model, inputs: Mapping[str, tf.TensorSpec]) -> None:
    """Raises ValueError for a model that does not take these inputs. The call makes its weights and
    computes nothing, for a lookup table may still be empty."""
    symbols = {
        name: keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=name)
        for name, spec in inputs.items()
    }
    try:
        model(one_or_all(symbols))
    except (KeyError, RuntimeError, ValueError) as fault:
        raise ValueError(
            f"model.net: {_one_line(fault)}; data.inputs has {list(symbols)}"
        ) from None


def _one_line(fault: Exception) -> str:
    """Returns Keras' message without colours and without the arguments of the call."""
    text = str(fault.args[0]).partition("Arguments received")[0]
    return " ".join(re.sub("\x1b\\[\\d+m", "", text).split())


def demand_own_randomness(model: keras.Model, inputs: Mapping[str, tf.TensorSpec]) -> None:
    """Raises ValueError for a random state that is not the model's own: it would neither be seeded
    nor saved."""
    call = tf.function(lambda batch: model(batch, training=True), autograph=False)
    graph = call.get_concrete_function(one_or_all(inputs)).graph
    names = sorted(_foreign(graph, model.variables))
    metrics = {each.path for each in model.metrics_variables}
    if counted := [each for name in names if (each := name.partition(":")[0]) in metrics]:
        raise ValueError(
            f"its call updates a metric ({counted[0]}), which counts from batch to "
            "batch; take it out of call, and name it in train.metrics or update it in "
            "train_step"
        )
    if names:
        raise ValueError(
            f"{names[0]} holds a state that is not the model's, so that a resumed run "
            "would differ; draw from keras.random with a SeedGenerator that a layer keeps"
        )


def demand_own_states(training: Training, program: Any) -> None:
    """Raises ValueError where a step of the model's own goes by what is in no checkpoint; the step
    is traced for it."""
    with demand_none("train_step", "keras.random and a SeedGenerator that the model keeps"):
        graph = program.get_concrete_function().graph
    models = [training.model, *([training.average.model] if training.average else [])]
    known = [variable for model in models for variable in model.variables]
    known += [*training.model.optimizer.variables, *training.metric_variables]
    counts = [training.average.epochs, training.average.steps] if training.average else []
    if names := _foreign(graph, known, counts):
        raise ValueError(
            f"model.net: its train_step goes by {names[0]}, a state that is neither the model's "
            "nor that of model.optimizer, so that a resumed run would differ; expected one "
            "optimizer, self.optimizer, weights by add_weight, and random numbers from "
            "keras.random with a SeedGenerator that the model keeps"
        )


def _foreign(graph: Any, variables: Sequence[Any], counts: Sequence[Any] = ()) -> list[str]:
    """Returns the names of operators that hold a random state, and of other variables."""
    definition = graph.as_graph_def()
    nodes = [*definition.node, *(n for f in definition.library.function for n in f.node_def)]
    names = [node.name for node in nodes if node.op.startswith(DRAWS) and node.op != CALL]
    own = {*(id(variable.value) for variable in variables), *map(id, counts)}
    return names + [variable.name for variable in graph.variables if id(variable) not in own]


def demand_schedule_fits(model: keras.Model) -> None:
    """Raises ValueError for a learning rate with two sources: a scheduler, and a schedule that the
    optimizer holds."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not isinstance(optimizer._learning_rate, keras.Variable):
        raise ValueError(
            "model.scheduler: found one, and a schedule as the optimizer's learning_rate as "
            "well; expected one of them"
        )


def weighed(parts: Parts, own: OwnStep, loss: Any, terms: Sequence[Any]) -> str | None:
    """Returns the target whose classes are weighed, if any, which a loss must judge, or a model's
    own step get as sample weights."""
    if parts.class_weights is None:
        return None
    name = next(name for name, spec in parts.targets.items() if spec["classes"])
    judged = [each.truth for each in terms]
    judged += [name] if (loss is not None and not terms) or own.trains else []
    if name not in judged:
        raise ValueError(
            f"train.class_weights: no loss judges {name}, expected one; set them to null"
        )
    return name
