"""What Keras writes, in each of its ways, becomes the model that wrote it, bit for bit, and trains
on as it would have."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import foreign
from pipeline.foreign import matching
from pipeline.foreign.contract import Foreign
from pipeline.frameworks import _keras_state
from pipeline.frameworks import keras as framework
from testing.parts import LABEL, parts

import keras  # isort: skip  # by now the framework has chosen the backend
import tensorflow as tf  # isort: skip
from keras import layers  # isort: skip

ROWS = np.random.default_rng(0).normal(3, 5, (48, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > ROWS[:, 1]).astype(np.int64)
SIZE = 12
ONE = {"rows": {"dtype": "float32", "shape": [4]}}
Net = Callable[[], keras.Model]


def functional() -> keras.Model:
    """Statistics of two kinds, moving averages, two random generators, a model within a model."""
    rows = keras.Input((4,), name="rows")
    values = layers.GaussianNoise(0.1)(layers.Normalization()(rows))
    values = layers.BatchNormalization()(layers.Dense(6)(values))
    inner = keras.Input((6,), name="inner")
    body = keras.Model(inner, layers.Dense(5)(layers.Dropout(0.5)(layers.Dense(5)(inner))))
    values = body(values)
    return keras.Model(rows, layers.Dense(2, activation="softmax")(values))


class Block(layers.Layer):
    """A weight of its own, and layers in a list."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.several = [layers.Dense(4), layers.Dense(4)]

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=(4,), initializer="ones")
        super().build(shape)

    def call(self, values: Any) -> Any:
        for layer in self.several:
            values = layer(values)
        return values * self.gain


class Subclassed(keras.Model):
    """Layers in attributes, a dict, and a model within it."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.body = keras.Sequential([layers.Dense(4), layers.BatchNormalization()])
        self.blocks = {"a": Block(), "b": Block()}
        self.out = layers.Dense(2, activation="softmax")
        self.shift = self.add_weight(name="shift", shape=(4,), initializer="zeros")

    def call(self, rows: Any, training: bool = False) -> Any:
        values = self.body(rows + self.shift, training=training)
        return self.out(self.blocks["b"](self.blocks["a"](values)))


def sequential() -> keras.Model:
    several = [layers.Dense(4, activation="relu"), layers.Dense(4), layers.Dense(2, "softmax")]
    return keras.Sequential([keras.Input((4,), name="rows"), *several])


@pytest.fixture(autouse=True, scope="module")
def op_by_op() -> Iterator[None]:
    """TensorFlow rewrites a graph as a whole, so that the last bit of a batch norm's gradient hangs
    on what else is in it; what is compared here is the state that a step begins with."""
    framework.configure(1)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def made(net: Net, optimizer: Any = "adam") -> keras.Model:
    """What a person's own script comes to, in which another model came before this one."""
    keras.utils.set_random_seed(1)
    net()
    model = net()
    for layer in model.layers:
        if hasattr(layer, "adapt"):
            layer.adapt(ROWS)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    on(model, 2)
    return model


def on(model: keras.Model, steps: int) -> None:
    rows, labels = ROWS[: steps * SIZE], LABELS[: steps * SIZE]
    model.fit(rows, labels, batch_size=SIZE, shuffle=False, verbose=0)


def built(net: Net, optimizer: Callable[[], Any] = keras.optimizers.Adam) -> framework.Training:
    keras.utils.clear_session(free_memory=False)
    framework.seed(7)
    loss = keras.losses.SparseCategoricalCrossentropy
    return framework.build(parts(net, loss, optimizer, None, ONE, None, targets=LABEL))


def taken(training: framework.Training, checkpoint: Foreign, whole: bool = True) -> list[str]:
    specs = framework.weight_specs(training, checkpoint.naming)
    match = matching.match(specs, checkpoint.weights)
    weights = {own: checkpoint.weights[name] for own, name in match.pairs.items()}
    state = checkpoint.optimizer if whole else None
    return framework.start(training, checkpoint.naming, weights, state, None)


def answers(training: framework.Training) -> np.ndarray:
    return next(iter(framework.evaluate(training, {"rows": ROWS}, None)[0].values()))


def kept(model: keras.Model, way: str, folder: Path) -> Path:
    path = folder / f"it.{way}"
    if way == "weights.json":
        model.save_weights(path, max_shard_size=2e-7)
        return folder
    if way == "checkpoint":
        both = tf.train.Checkpoint(step=tf.Variable(3), optimizer=model.optimizer, net=model)
        tf.train.CheckpointManager(both, str(path), max_to_keep=2).save()
    elif way == "model only":
        tf.train.Checkpoint(model=model).save(str(path / "it"))
    elif way == "weights.h5":
        model.save_weights(path)
    else:
        model.save(path)
    return path


KINDS = {
    "keras": "keras_archive",
    "weights.h5": "weights_h5",
    "weights.json": "weights_h5",
    "h5": "legacy_h5",
    "checkpoint": "tf_checkpoint",
    "model only": "tf_checkpoint",
}


@pytest.mark.parametrize("net", [functional, Subclassed, sequential])
def test_whatever_way_it_was_saved_the_answers_are_those_of_who_saved_it(
    net: Net, tmp_path: Path
) -> None:
    model = made(net)
    expected = np.asarray(model(ROWS))
    training = built(net)
    for way, kind in KINDS.items():
        (folder := tmp_path / way).mkdir()
        path = kept(model, way, folder).rename(tmp_path / f"no suffix {way.replace('.', '')}")
        assert foreign.recognized(path) == kind, way
        checkpoint = foreign.read(path)
        for variable in training.model.weights:
            variable.assign(np.ones(variable.shape))
        taken(training, checkpoint, whole=False)
        found = np.asarray(training.model(ROWS))
        assert np.array_equal(found, expected), way


MOMENTUM = partial(keras.optimizers.SGD, 0.01, momentum=0.9)


@pytest.mark.parametrize(
    ("way", "optimizer"),
    [
        ("keras", keras.optimizers.Adam),
        ("weights.h5", MOMENTUM),
        ("h5", keras.optimizers.AdamW),
        ("checkpoint", keras.optimizers.Adam),
        ("model only", MOMENTUM),
    ],
)
def test_three_more_steps_are_those_of_the_original_script(
    way: str, optimizer: Callable[[], Any], tmp_path: Path
) -> None:
    model = made(functional, optimizer())
    checkpoint = foreign.read(kept(model, way, tmp_path))
    training = built(functional, optimizer)
    notes = taken(training, checkpoint)
    assert ["train.seed" in note for note in notes] == [True], notes
    for each in (model, training.model):  # what no file of Keras holds
        for place, state in enumerate(_keras_state.seeds(each)):
            state.assign([5 + place, 0])
    on(model, 3)
    for place in range(3):
        numbers = np.arange(place * SIZE, (place + 1) * SIZE)
        framework.step(training, {"rows": ROWS}, {"label": LABELS}, numbers)
    assert int(training.model.optimizer.iterations) == 5
    for ours, theirs in (
        (training.model.variables, model.variables),
        (training.model.optimizer.variables, model.optimizer.variables),
    ):
        for one, other in zip(ours, theirs, strict=False):
            assert np.array_equal(one.numpy(), other.numpy()), one.path
