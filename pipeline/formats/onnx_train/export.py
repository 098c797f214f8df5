"""Writes the training step as a graph, the prediction as another, and the state.

`step.onnx` takes every tensor of the state, the learning rates, the model's inputs, the targets,
and dropout's masks where it draws any; it answers with the loss and with the state after forward,
loss, backward, clipping and the optimizer's update. `predict.onnx` takes the weights and the
inputs. `state.json` says what the state is and where it lies at the start: in other formats' files
where they hold it byte for byte, else in `state.bin`.
"""

import shutil
from pathlib import Path
from typing import Any

from .._examples import Examples, examples
from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from . import _states
from ._compare import check_steps
from ._files import FOLDER, PREDICT, STEP
from ._masks import MASKS, seeded
from ._predict import write_predict
from ._source import copied, eager_steps, learning_rates, least_rows
from ._step import write_step
from ._trainer import Trainer


def export(
    model: Any,
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    targets: Arrays | None = None,
    seed: int = 0,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes the step after which `training` stands, which stays as it is.

    `training` is what the framework built, whose net `model` is or picks from. `seed` is that
    of dropout's masks.
    """
    if any(module.training for module in model.modules()):
        raise ValueError("onnx_train: found the model in training mode, expected model.eval()")
    if training is None or targets is None:
        raise ValueError(
            "onnx_train: holds a training step and nothing else; set export.train=true"
        )
    if training.stepping:
        listed = " and ".join(f"train.{name}" for name in training.stepping)
        raise ValueError(f"onnx_train: found {listed}, expected a plain step on one batch")
    _check_names([*inputs, *outputs, *targets])
    import torch

    source, folder = copied(training), directory / FOLDER
    folder.mkdir()
    try:
        given = examples(dimensions, input=inputs, target=targets)
        with torch.random.fork_rng(devices=[]):  # tracing a dropout draws, too
            _write(source, given, outputs, directory, seed)
    except ValueError:
        shutil.rmtree(folder)
        raise


def _check_names(names: list[str]) -> None:
    for name in names:
        if name in ("loss", MASKS) or "/" in name:
            raise ValueError(f"onnx_train: {name!r} is a name of the training step's own")


def _write(
    source: Any,
    given: Examples,
    outputs: list[str],
    directory: Path,
    seed: int,
) -> None:
    """Raises ValueError where the graph's first steps are not the source's."""
    import torch

    names, targets = ([*each] for each in (source.inputs, source.targets))
    torch.manual_seed(seed)
    expected = list(eager_steps(copied(source), given))
    described: dict[str, Any] = {
        "inputs": names,
        "outputs": outputs,
        "targets": targets,
        "rows": least_rows(source, given),
        "scheduled": source.scheduler is not None,
        "learning_rates": learning_rates(copied(source)),
    }
    states, masks = write_step(source, [*names, *targets], given, expected[0], directory / STEP)
    write_predict(source, names, outputs, given.of("input"), directory / PREDICT)
    if masks:
        described |= {MASKS: masks, "generator": seeded(seed)}
    described["states"] = [entry for entry, _ in states]
    _states.locate(described["states"], [array for _, array in states], directory)
    _states.write(directory, described)
    largest_rate = max(map(max, described["learning_rates"]))
    check_steps(Trainer(directory), given, expected, largest_rate)
