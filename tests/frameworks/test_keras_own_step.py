"""A Keras model's own train_step is the step, and its test_step judges: here and without source.

The models are those of Keras' guide to what happens in fit, and what people make of them.
"""

import random
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frameworks import keras as framework
from pipeline.frameworks.contract import Accumulation, Averaging, Term
from testing.trial import THREE, fault
from tests.frameworks import test_keras_steps as steps

import keras  # isort: skip  # by now the framework has chosen the backend
import tensorflow as tf  # isort: skip

SEED, ROWS, LABELS = steps.SEED, steps.ROWS, steps.LABELS
Classes = keras.losses.SparseCategoricalCrossentropy


class Base(keras.Model):
    """Batch norm and dropout between two layers."""

    def __init__(self, columns: int = 3) -> None:
        super().__init__()
        self.first = keras.layers.Dense(8, activation="relu", name="first")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.dropout = keras.layers.Dropout(0.3)
        self.last = keras.layers.Dense(columns, activation="softmax", name="last")

    def call(self, x: Any, training: bool = False) -> Any:
        values = self.norm(self.first(x), training=training)
        return self.last(self.dropout(values, training=training))

    def move(self, tape: Any, loss: Any) -> None:
        weights = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, weights), weights)


class Compiled(Base):
    """The guide's first: the loss that it is compiled with, and Keras' own metrics."""

    def train_step(self, data: Any) -> Any:
        weights = None
        if len(data) == 3:
            x, y, weights = data
        else:
            x, y = data
        with tf.GradientTape() as tape:
            answer = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=answer, sample_weight=weights)
        self.move(tape, loss)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
        return {metric.name: metric.result() for metric in self.metrics}


class Tracking(Base):
    """The guide's second: a loss and metrics of its own, and a test_step."""

    def __init__(self) -> None:
        super().__init__()
        self.tracker = keras.metrics.Mean(name="loss")
        self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.judge = Classes()

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            answer = self(x, training=True)
            loss = self.judge(y, answer)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return self.counted(loss, y, answer)

    def test_step(self, data: Any) -> Any:
        x, y = data
        answer = self(x, training=False)
        return self.counted(self.judge(y, answer), y, answer)

    def counted(self, loss: Any, y: Any, answer: Any) -> Any:
        self.tracker.update_state(loss)
        self.accuracy.update_state(y, answer)
        return {"loss": self.tracker.result(), "accuracy": self.accuracy.result()}

    @property
    def metrics(self) -> Any:
        return [self.tracker, self.accuracy]


class Variational(Base):
    """Draws in its loss, counts steps, and has a layer for the step alone."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = keras.layers.Dense(4, name="decoder")
        self.decoder.build((None, 3))
        self.generator = keras.random.SeedGenerator(1)
        self.steps = self.add_weight(name="steps", initializer="zeros", trainable=False)
        self.tracker = keras.metrics.Mean(name="loss")

    @property
    def metrics(self) -> Any:
        return [self.tracker]

    def parts(self, x: Any, training: bool) -> Any:
        code = self(x, training=training)
        noise = keras.random.normal(tf.shape(code), seed=self.generator)
        apart = tf.reduce_mean((self.decoder(code + noise) - x) ** 2)
        return apart, tf.reduce_mean(code**2)

    def train_step(self, data: Any) -> Any:
        with tf.GradientTape() as tape:
            apart, far = self.parts(data[0], True)
            loss = apart + far * tf.minimum(self.steps / 10, 1)
        self.move(tape, loss)
        self.steps.assign_add(1)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result(), "far": far}

    def test_step(self, data: Any) -> Any:
        self.tracker.update_state(sum(self.parts(data[0], False)))
        return {"loss": self.tracker.result()}


OWN: dict[str, Any] = {"loss": None}
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "compiled": (Compiled, {}),
    "weighed": (Compiled, {"class_weights": (0.5, 2.0, 1.0), "freeze": ["*/first", "*/norm"]}),
    "tracking by step": (Tracking, OWN | {"scheduler": steps.cosine, "schedule_by": "step"}),
    "averaged": (Variational, OWN | {"averaging": Averaging("ema", 0.9, 1)}),
}


def built(name: str) -> framework.Training:
    net, options = CASES[name]
    return steps.built(net, **options)


def drawing() -> framework.Training:
    return steps.built(Variational, **OWN)


@pytest.mark.parametrize("name", CASES)
def test_it_trains_on_without_its_source_bit_for_bit(name: str, tmp_path: Path) -> None:
    training = built(name)

    def judge(trainer: Any) -> None:
        _, judged = framework.evaluate(training, ROWS, LABELS)
        assert float(trainer.evaluate(ROWS, LABELS)[1]) == judged
        assert framework.evaluate(training, ROWS, LABELS)[1] == judged

    steps.STEPPING.demand_trains_on(training, tmp_path, judge)


def test_what_is_loaded_goes_on_as_what_was_saved_and_is_exported_in_the_same_bytes(
    tmp_path: Path,
) -> None:
    first, second = built("averaged"), built("averaged")
    steps.stepped(first)
    framework.save(first, tmp_path / "first.npz")
    framework.load(second, tmp_path / "first.npz")
    ends = []
    for name, each in {"one": first, "two": second}.items():
        framework.seed(SEED, each)
        losses = steps.stepped(each)
        framework.save(each, tmp_path / "end.npz")
        (tmp_path / name).mkdir()
        steps.exported(each, tmp_path / name)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        ends.append((losses, (tmp_path / "end.npz").read_bytes(), [f.read_bytes() for f in files]))
    assert ends[0] == ends[1]


def test_a_step_is_that_of_keras_own_loop() -> None:
    training = built("compiled")
    losses = steps.stepped(training)
    framework.configure(1)
    framework.seed(1)
    model = Compiled()
    model.compile(keras.optimizers.AdamW(), Classes(), jit_compile=False)
    by_keras = []
    for rows in steps.STEPS:
        found = model.train_on_batch(ROWS["x"][rows], LABELS["label"][rows], return_dict=True)
        by_keras.append(float(found["loss"]))
        model.reset_metrics()
    np.testing.assert_allclose(losses, by_keras, rtol=1e-6)
    for mine, its in zip(training.model.weights, model.weights, strict=True):
        np.testing.assert_allclose(mine.numpy(), its.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("left_out", ["far", "draws", "count"])
def test_a_program_that_leaves_out_a_part_of_the_step_differs(
    left_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = drawing()
    steps.stepped(training)
    if left_out == "far":
        whole = Variational.parts
        monkeypatch.setattr(Variational, "parts", lambda *given: (whole(*given)[0], 0.0))
    elif left_out == "draws":
        nothing = lambda shape, seed: tf.zeros(shape)  # noqa: E731
        monkeypatch.setattr(keras.random, "normal", nothing)
    else:
        monkeypatch.setattr(training.model.steps, "assign_add", lambda value: None)
    trainer = steps.exported(training, tmp_path)
    monkeypatch.undo()
    assert any("losses" in each for each in steps.differing(training, trainer))


def step(times: Any = None, returned: Any = None) -> Any:
    """Returns a train_step whose loss is times something, and what it returns of it."""

    def train_step(self: Any, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
            loss = loss * times(x) if times else loss
        self.move(tape, loss)
        return returned(loss) if returned else {"loss": loss}

    return train_step


def three(self: Any, data: Any) -> Any:
    x, _, _ = data
    return x


def second(self: Any, columns: int) -> None:
    """An optimizer beside that of the model, and a count."""
    Base.__init__(self, columns)
    self.other = keras.optimizers.Adam(0.1)
    self.count = self.add_weight(name="count", initializer="zeros", trainable=False)


def two_optimizers(self: Any, data: Any) -> Any:
    with tf.GradientTape() as tape:
        loss = self.compute_loss(y=data[1], y_pred=self(data[0], training=True))
    weights = self.trainable_variables
    self.other.apply(tape.gradient(loss, weights), weights)
    return {"loss": loss}


def counting(self: Any, data: Any) -> Any:
    self.count.assign_add(1.0)
    return {"loss": self.compute_loss(y=data[1], y_pred=self(data[0]))}


def of_a_game(self: Any, d_optimizer: Any, g_optimizer: Any) -> None: ...


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "three": ({"train_step": three}, r"test_keras_own_step.py:\d+, in three: ValueError: not enou"),
    "nothing": ({"train_step": lambda self, data: None}, "^model.net: the train_step of Mine retu"),
    "no loss": ({"train_step": step(None, lambda loss: {"mae": loss})}, "returned a dict of mae, "),
    "two losses": (
        {"train_step": step(None, lambda loss: {"loss": tf.stack([loss, loss])})},
        r"returned a loss that is a tensor of shape \(2,\), expected",
    ),
    "numpy": ({"train_step": step(lambda x: np.random.rand())}, "train_step draws from numpy.rand"),
    "python": ({"train_step": step(lambda x: random.random())}, "its train_step draws from random"),
    "tf.random": (
        {"train_step": step(lambda x: tf.random.uniform(()))},
        "goes by random_uniform/RandomUniform, a state that is neither",
    ),
    "two optimizers": (
        {"__init__": second, "train_step": two_optimizers},
        "expected one optimizer, self.optimizer",
    ),
    "compile": ({"train_step": step(), "compile": of_a_game}, "a training has one optimizer"),
    "fit": ({"train_step": step(), "fit": of_a_game}, "Mine defines fit, which this training"),
    "predict_step": ({"predict_step": three}, "Mine defines predict_step, which this training"),
    "judging": ({"__init__": second, "test_step": counting}, "net/mine/count changes where the"),
    "unjudged": (
        {"train_step": step(), "test_step": lambda self, data: {}},
        "the test_step of Mine returned a dict of nothing",
    ),
}


@pytest.mark.parametrize("net", [Compiled, Tracking, Variational])
def test_steps_as_people_write_them_are_taken(net: Any, tmp_path: Path) -> None:
    (tmp_path / "trial").mkdir()
    optimizer = partial(keras.optimizers.Adam, 0.01)
    folder, rows = tmp_path / "trial", {"target": THREE, "classes": 3}
    assert fault(framework, "keras", folder, net, Classes, optimizer, **rows) is None


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_step_cannot_be_is_said_in_one_line(name: str, tmp_path: Path) -> None:
    members, expected = REFUSED[name]
    net = partial(type("Mine", (Base,), members), 2)
    optimizer = partial(keras.optimizers.Adam, 0.01)
    (tmp_path / "trial").mkdir()
    found = fault(framework, "keras", tmp_path / "trial", net, Classes, optimizer)
    assert found is not None and "\n" not in found
    assert re.search(expected, found), found


class Counting(Base):
    """It updates a metric wherever it is called."""

    def __init__(self, columns: int) -> None:
        super().__init__(columns)
        self.mean = keras.metrics.Mean(name="mean")

    def call(self, x: Any, training: bool = False) -> Any:
        answer = super().call(x, training)
        self.mean.update_state(answer)
        return answer


def test_a_metric_within_call_is_refused_in_one_line(tmp_path: Path) -> None:
    optimizer = partial(keras.optimizers.Adam, 0.01)
    (tmp_path / "trial").mkdir()
    found = fault(framework, "keras", tmp_path / "trial", partial(Counting, 2), Classes, optimizer)
    assert str(found).startswith("model.net: its call updates a metric (mean/count)")


class Preparing(Base):
    """It prepares rows in Keras' loop, as models of libraries do, and steps as others."""

    def fit(self, x: Any, *arguments: Any, **named: Any) -> Any:
        return super().fit(x / 2, *arguments, **named)

    def predict_on_batch(self, x: Any) -> Any:
        return super().predict_on_batch(x / 2)


@pytest.mark.parametrize(
    ("package", "expected"),
    [("library.nets", None), ("models.mine", "Preparing defines fit and predict_on_batch, which")],
)
def test_a_library_s_model_may_prepare_rows_in_a_loop_that_is_not_run(
    package: str, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Preparing, "__module__", package)
    optimizer = partial(keras.optimizers.Adam, 0.01)
    (tmp_path / "trial").mkdir()
    net = partial(Preparing, 2)
    found = fault(framework, "keras", tmp_path / "trial", net, Classes, optimizer)
    assert found is None if expected is None else expected in str(found)


TERMS = {
    "model.loss.one": Term(loss=Classes, compares=("answer", "label")),
    "model.loss.two": Term(loss=Classes, compares=("answer", "label"), weight=2.0),
}
BESIDE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "clipped": (Compiled, {"clip_norm": 1.0}, "^train.clip_norm: .* global_clipnorm"),
    "accumulated": (
        *(Compiled, {"accumulation": Accumulation(2)}),
        "^train.accumulate: .* gradient_accumulation_steps",
    ),
    "terms": (Tracking, {"loss": TERMS}, "^model.loss: found terms, but Tracking takes its step"),
    "nothing to judge with": (Compiled, OWN, "nothing judges the validation rows; define test_ste"),
    "missing values": (
        Tracking,
        {"inputs": {"x": {"dtype": "float32", "shape": [4], "missing": [1.0, 1.0, 1.0, 1.0]}}},
        "^data.inputs.x.missing: Tracking takes its step itself",
    ),
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_its_own_step_leaves_no_place_for_is_refused(name: str) -> None:
    net, options, expected = BESIDE[name]
    with pytest.raises(ValueError, match=expected):
        steps.built(net, **options)
