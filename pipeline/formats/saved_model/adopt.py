"""Takes in a SavedModel that was made elsewhere: what serves it becomes the endpoint `serve`."""

import gc
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import as_argument, named
from .._keras_compare import quiet
from ..contract import Arrays
from ..programs import Program
from . import _foreign
from ._canonical import canonicalise
from ._endpoints import by_name
from ._errors import one_line, tracing_errors
from ._files import ENDPOINT, FOLDER, SIGNATURE, read_signature
from ._foreign import SERVING
from .screen import screen

FACTORIES = "_self_saveable_object_factories"
"""What TensorFlow gives every object that it loads, and no exported one has."""


def describe(path: Path) -> Program:
    """Reads the signature that serves; see programs.Adopter."""
    content = _foreign.read(path)
    chosen, signature, others = _foreign.signature(content)
    version = content.meta_graphs[0].meta_info_def.tensorflow_version
    notes = [f"signatures left out: {', '.join(others)}"] if others else []
    notes += [f"served by its only signature, {chosen}"] if chosen != SERVING else []
    return Program(
        inputs=_foreign.ports(signature.inputs),
        outputs=_foreign.ports(signature.outputs),
        versions={"tensorflow": version} if version else {},
        notes=tuple(notes),
    )


def adopt(
    path: Path, directory: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Loads it once it is screened, and writes it anew as the format has it; see
    programs.Adopter."""
    import tensorflow as tf

    folder = directory / FOLDER
    try:
        with tempfile.TemporaryDirectory() as scratch, quiet("tensorflow"):
            plain = Path(scratch) / "plain"
            _foreign.made_plain(path, plain)
            loaded = tf.saved_model.load(str(plain))
            root = _root(loaded, inputs, outputs)
            tf.saved_model.save(root, str(folder), dict.fromkeys((ENDPOINT, SERVING), root.serve))
            del loaded, root
            gc.collect()  # TensorFlow says then which names of the file it had no use for
        canonicalise(folder)
        (folder / SIGNATURE).parent.mkdir()
        (folder / SIGNATURE).write_text(
            json.dumps({"inputs": list(inputs), "outputs": list(outputs)})
        )
        screen(directory)
    except ValueError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(one_line(error).removeprefix(f"{folder}: ")) from error
    except tracing_errors() as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"TensorFlow does not take it: {one_line(error)}") from error


def load_with(directory: Path, weights: Mapping[str, np.ndarray]) -> Callable[[Arrays], Arrays]:
    """Returns what `load` does, of the program with these weights; see programs.Adopter. The file
    has checksums, so the variables are set once it is loaded."""
    import tensorflow as tf

    from .load import predictor as loaded_predictor

    screen(directory)
    model = tf.saved_model.load(str(directory / FOLDER))
    for name, values in weights.items():
        variable = model.weights[name]
        kind = variable.dtype.as_numpy_dtype
        variable.assign(np.ascontiguousarray(values).view(kind).reshape(variable.shape))
    return loaded_predictor(model, read_signature(directory))


def predictor(directory: Path) -> None:
    """Returns no program: other formats are made from the Keras model."""


def _root(loaded: Any, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Any:
    """Returns a tf.Module with the variables and tables of the signature, and `serve`."""
    import tensorflow as tf

    program = loaded.signatures[SERVING]
    root = tf.Module()
    root.weights = _by_name(program.variables)
    root.tables = _tables(loaded)
    taken = program.structured_input_signature[1]
    specs = {
        own: tf.TensorSpec(taken[name].shape, taken[name].dtype, own)
        for own, name in inputs.items()
    }

    def serve(argument: Any) -> dict[str, Any]:
        given = named(argument, list(inputs))
        answers = program(**{name: given[own] for own, name in inputs.items()})
        return by_name([answers[name] for name in outputs.values()], list(outputs))

    signature = [as_argument(specs)]
    root.serve = tf.function(serve, input_signature=signature, autograph=False)
    if len(inputs) == len(outputs) == 1:  # MLflow calls the object itself

        def call(argument: Any) -> Any:
            return root.serve(argument)[next(iter(outputs))]

        setattr(root, "__call__", tf.function(call, input_signature=signature, autograph=False))  # noqa: B010
    return root


def _by_name(variables: Any) -> dict[str, Any]:
    """Returns variables by their names; the second of a name is name:2."""
    result: dict[str, Any] = {}
    for variable in variables:
        name, count = variable.name.partition(":")[0], 1
        key = name
        while key in result:
            count += 1
            key = f"{name}:{count}"
        result[key] = variable
    return result


def _tables(loaded: Any) -> list[Any]:
    """Returns the tables among the objects, which are then as they were before they were saved."""
    import tensorflow as tf
    from tensorflow.saved_model.experimental import TrackableResource

    objects = tf.train.TrackableView(loaded).descendants()
    for each in objects:
        if FACTORIES in getattr(each, "__dict__", {}):
            delattr(each, FACTORIES)
    return [each for each in objects if isinstance(each, TrackableResource)]
