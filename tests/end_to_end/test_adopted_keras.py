"""What Keras' users save, in each of its ways and where this project is not, is taken over bit for
bit, and trains on as it would have there."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import foreign
from pipeline.foreign import matching
from pipeline.frameworks import keras as framework
from testing import elsewhere
from testing.parts import LABEL, parts
from testing.project import make_project
from tests.foreign.programs import answers

import keras  # isort: skip  # by now the framework has chosen the backend
import tensorflow as tf  # isort: skip

INPUTS = {"pixels": {"dtype": "float32", "shape": [64]}}
WAYS = {
    **dict.fromkeys(("own.keras", "own.weights.h5", "checkpoint"), "own"),
    "functional.h5": "functional",
}
"""What the script saved -> which of its nets that is."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return elsewhere.made(tmp_path_factory, "keras")


def own() -> keras.Model:
    from models.keras_mlp import KerasMLP

    return KerasMLP(units=64, classes=10, largest=16.0)


def functional() -> keras.Model:
    from models.keras_functional import keras_functional

    return keras_functional(units=64, classes=10, dropout=0.0, pixels=64)


def started(path: Path, net: Callable[[], keras.Model], optimizer: Callable[[], Any]) -> Any:
    """A training of the project's own model, from the checkpoint with all that it has."""
    checkpoint = foreign.read(path)
    framework.configure(1)
    framework.seed(9)
    loss = keras.losses.SparseCategoricalCrossentropy
    training = framework.build(parts(net, loss, optimizer, None, INPUTS, None, targets=LABEL))
    specs = framework.weight_specs(training, checkpoint.naming)
    match = matching.match(specs, checkpoint.weights)
    weights = {name: checkpoint.weights[its] for name, its in match.pairs.items()}
    framework.start(training, checkpoint.naming, weights, checkpoint.optimizer, None)
    return training


def demand_equal(weights: Any, path: Path) -> None:
    with np.load(path) as expected:
        assert len(weights) == len(expected.files)
        for name, each in zip(expected.files, weights, strict=True):
            assert np.asarray(each).tobytes() == expected[name].tobytes()


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "own": partial(keras.optimizers.Adam, 0.1),
    "functional": partial(keras.optimizers.AdamW, 0.1, weight_decay=0.01),
}


@pytest.mark.parametrize(("name", "of"), WAYS.items())
def test_three_more_steps_equal_those_of_the_script(made: Path, name: str, of: str) -> None:
    training = started(made / name, {"own": own, "functional": functional}[of], OPTIMIZERS[of])
    demand_equal(training.model.get_weights(), made / f"{of}.npz")
    inputs, targets, batches = elsewhere.stacked()
    for rows in batches:
        framework.step(training, inputs, targets, rows)
    demand_equal(training.model.get_weights(), made / f"{of}_after.npz")


def test_a_saved_model_answers_as_it_did(made: Path, tmp_path: Path) -> None:
    port = foreign.read(made / "saved_model").program
    assert port is not None
    pixels, _ = next(elsewhere.batches())
    given = {next(iter(port.inputs)): pixels}
    answered = answers(
        made / "saved_model", tmp_path / "program", given, {"a": next(iter(port.outputs))}
    )
    program = tf.saved_model.load(made / "saved_model")
    expected = program.serve(pixels).numpy()
    assert answered["a"].tobytes() == expected.tobytes()


def test_a_tensorflow_checkpoint_is_a_verified_complete_model_that_trains_on_as_there(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TF_DETERMINISTIC_OPS", raising=False)
    project = make_project(tmp_path / "project")
    overrides = ("model=keras_mlp", "data=digits", "experiment=smoke", "export.attempt=[]")
    path = str(made / "checkpoint")
    done = project.run("python", "-m", "pipeline.adopt", path, *overrides)
    assert "verified: passed" in done.stdout
    program = tf.saved_model.load(project.root / "artifacts/complete-model/saved_model")
    for pixels, labels in elsewhere.batches():
        program.train_step(tf.constant(pixels), tf.constant(labels))
    values = {each.numpy().tobytes() for each in program.weights.values()}
    with np.load(made / "own_after.npz") as after:
        assert {after[name].tobytes() for name in after.files} == values
