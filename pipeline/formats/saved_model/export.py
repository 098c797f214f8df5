"""Writes the format with `tf.saved_model.save`, which Keras' export ends in too.

Keras' own archive (3.15) writes every weight twice and in an order that changes from process to
process, so the weights are laid out here: once, in the order of the model, under their Keras paths.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from ._canonical import canonicalise
from ._endpoints import root_of
from ._errors import PYTHON_ERRORS, one_line
from ._files import ENDPOINT, FOLDER, SIGNATURE
from ._training import add_training
from .screen import screen

if TYPE_CHECKING:
    import keras


def export(
    model: "keras.Model",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    targets: Arrays | None = None,
    seed: int = 0,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes its endpoints for any number of rows; same model, same bytes, anywhere.

    `training` is what the framework built; `targets` are an example of them. The seeds of the model
    are variables and travel with it: `seed` makes no difference. ValueError in one line when
    something does not fit.
    """
    import tensorflow as tf

    folder = directory / FOLDER
    signature: dict[str, Any] = {"inputs": list(inputs), "outputs": outputs}
    try:
        root = root_of(model, inputs, outputs, dimensions)
        if training is not None:
            add_training(root, training, inputs, targets, outputs, dimensions)
            trained = root.weights if training.average is None else root.trained
            seeds = [name for name in trained if name.endswith("seed_generator_state")]
            signature["training"] = {"schedule": training.schedule is not None, "seeds": seeds}
            if training.schedule_by == "step":
                signature["training"]["schedule_by"] = "step"
            if training.average is not None:
                signature["training"]["averages"] = True
            signature["training"]["targets"] = list(targets or {})
        endpoints = {ENDPOINT: root.serve, "serving_default": root.serve}
        tf.saved_model.save(root, str(folder), endpoints)
        canonicalise(folder)
        (folder / SIGNATURE).parent.mkdir()
        (folder / SIGNATURE).write_text(json.dumps(signature))
        screen(directory)
    except ValueError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"saved_model: this model does not fit: {one_line(error)}") from error
    except (tf.errors.OpError, NotImplementedError, AssertionError, *PYTHON_ERRORS) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ValueError(f"saved_model: this model cannot be traced: {one_line(error)}") from error
