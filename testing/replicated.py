"""Run as `python -m testing.replicated FOLDER`: Keras' trainings over replicas leave what they come
to in FOLDER/<case>-<replicas>.npz, beside it what one makes of it that goes on from half-way, and
in FOLDER/said.json their losses and what is refused."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.frameworks import keras as framework
from pipeline.frameworks.contract import Accumulation, Averaging, Parts, Term

import keras  # isort: skip  # by now the framework has chosen the backend

MOST = 3
"""Devices of the processor that the process has."""
RANDOM = np.random.default_rng(0)
ROWS: dict[str, np.ndarray] = {
    "x": RANDOM.normal(1, 2, size=(64, 4)).astype(np.float32),
    "place": RANDOM.integers(0, 9, 64),
    "town": RANDOM.choice(["a", "b", "c"], 64),
}
LABELS = {"label": RANDOM.integers(0, 3, 64)}
STEPS = [np.arange(16), np.arange(16, 23), np.arange(23, 39), np.arange(39, 40)]
"""The last has fewer rows than there are replicas."""


KINDS: dict[str, dict[str, Any]] = {
    "x": {"dtype": "float32", "shape": [4]},
    "place": {"dtype": "int64", "shape": []},
    "town": {"dtype": "string", "shape": []},
}


def given(*names: str) -> dict[str, keras.KerasTensor]:
    return {name: keras.Input(**KINDS[name], name=name) for name in names}


def answering(inputs: Mapping[str, Any], values: Any) -> keras.Model:
    answer = keras.layers.Dense(3, activation="softmax", name="last")(values)
    return keras.Model(dict(inputs) if len(inputs) > 1 else inputs["x"], answer)


def summing() -> keras.Model:
    """Losses beside that of the rows, and a table of which each row takes a line."""
    inputs = given("x", "place")
    values = keras.layers.Dense(8, "tanh", kernel_regularizer="l2", activity_regularizer="l2")(
        inputs["x"]
    )
    line = keras.layers.Embedding(9, 8, name="table")(inputs["place"])
    return answering(inputs, keras.layers.Add()([values, line]))


def plain() -> keras.Model:
    inputs = given("x")
    return answering(inputs, keras.layers.Dense(8, "tanh", name="first")(inputs["x"]))


def words() -> keras.Model:
    """What `adapt` fits, a lookup table among it."""
    inputs = given("x", "town")
    index = keras.layers.StringLookup(max_tokens=4)(inputs["town"])
    line = keras.layers.Embedding(4, 2, name="table")(index)
    scaled = keras.layers.Normalization()(inputs["x"])
    return answering(inputs, keras.layers.Concatenate()([line, scaled]))


class OwnLoss(keras.Model):
    """A mean over rows that no loss of Keras' has made."""

    def __init__(self) -> None:
        super().__init__()
        self.last = keras.layers.Dense(3, name="last")

    def call(self, x: Any, training: bool = False) -> Any:
        return self.last(x)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *_: Any, **__: Any
    ) -> Any:
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred, True))


def learning() -> keras.Model:
    inputs = given("x")
    values = keras.layers.BatchNormalization(name="norm", momentum=0.5)(inputs["x"])
    values = keras.layers.Dense(64, name="first")(values)
    return answering(inputs, keras.layers.Dropout(0.5)(values))


def dropping() -> keras.Model:
    inputs = given("x")
    values = keras.layers.Dense(64, kernel_initializer="ones", trainable=False)(inputs["x"])
    return answering(inputs, keras.layers.Dropout(0.5)(values))


Classes = keras.losses.SparseCategoricalCrossentropy
BOTH = {
    "model.loss.entropy": Term(loss=Classes, compares=("answer", "label"), weight=0.5),
    "model.loss.again": Term(loss=Classes, compares=("answer", "label")),
}
CASES: dict[str, dict[str, Any]] = {
    "summed": {"net": summing, "inputs": ("x", "place"), "loss": BOTH, "clip_norm": 0.5},
    "accumulated": {
        "accumulation": Accumulation(3),
        "clip_norm": 0.1,
        "class_weights": (0.5, 2.0, 1.0),
        "averaging": Averaging("ema", 0.9, 1),
        "freeze": ["first"],
        "scheduler": lambda: keras.optimizers.schedules.CosineDecay(0.1, 6),
        "schedule_by": "step",
    },
    "float16": {"precision": "float16", "accumulation": Accumulation(3, 1), "clip_norm": 0.1},
    "bfloat16": {"precision": "bfloat16"},
    "words": {
        "net": words,
        "inputs": ("x", "town"),
        "optimizer": partial(keras.optimizers.Adam, 0.01, 0.9, 0.99, global_clipnorm=0.1),
    },
    "own loss": {"net": OwnLoss, "loss": None},
    "learning": {"net": learning},
}
SGD = partial(keras.optimizers.SGD, 0.1, momentum=0.9)
LIKE_ONE = [name for name in CASES if name != "learning"]
OF_THREE = ("summed", "learning")
"""Cases of three replicas, too."""
RESUMED = ("accumulated", "float16", "learning")


def built(replicas: int, inputs: Sequence[str] = ("x",), **options: Any) -> framework.Training:
    """Returns a training before its first step, always the same."""
    parts: dict[str, Any] = {
        "net": plain,
        "loss": {"model.loss": Term(loss=Classes)},
        "optimizer": SGD,
        "scheduler": None,
        "inputs": {name: KINDS[name] for name in inputs},
        "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3}},
        "outputs": {"answer": "answer"},
        "device": "cpu",
        "clip_norm": None,
        "replicas": replicas,
    }
    framework.configure(1, MOST)
    framework.seed(1)
    training = framework.build(Parts(**{**parts, **options}))
    framework.adapt(training, {name: ROWS[name] for name in training.inputs})
    return training


def stepped(training: framework.Training, steps: Sequence[np.ndarray]) -> list[float]:
    """Takes the steps, each with numbers of its own; returns their losses."""
    inputs, losses = {name: ROWS[name] for name in training.inputs}, []
    for rows in steps:
        framework.seed(int(rows[0]), training)
        losses.append(float(framework.step(training, inputs, LABELS, rows)))
    return losses


def case(folder: Path, name: str, replicas: int) -> dict[str, Any]:
    """Trains, saves half-way and at the end, and goes on from there anew."""
    place = folder / f"{name}-{replicas}.npz"
    training = built(replicas, **CASES[name])
    losses = stepped(training, STEPS[:2])
    half = place.with_suffix(".half.npz")
    framework.save(training, half)
    losses += stepped(training, STEPS[2:])
    framework.save(training, place)
    if name in RESUMED and replicas > 1:
        resumed = built(replicas, **CASES[name])
        framework.load(resumed, half)
        losses[2:] = stepped(resumed, STEPS[2:])
        framework.save(resumed, place.with_suffix(".again.npz"))
    return {"losses": losses}


def moved_by_dropout() -> int:
    """Returns how many weights a step moves of two rows that are alike, one for each replica, where
    half of what goes into the weights is dropped."""
    training = built(2, net=dropping)
    before = framework.state(training)["net/last/kernel"]
    framework.step(training, {"x": np.ones((2, 4), np.float32)}, LABELS, np.arange(2))
    return int(np.any(framework.state(training)["net/last/kernel"] != before, axis=1).sum())


class OwnStep(OwnLoss):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


class Setting(OwnLoss):
    """A call in training does what `how` says to a variable."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.seen = self.add_weight((), "zeros", trainable=False, name="seen")
        self.other = [keras.Variable(0.0, trainable=False)] if how == "foreign" else []

    def call(self, x: Any, training: bool = False) -> Any:
        answer = self.last(x)
        if training and self.how == "trained":
            self.last.kernel.assign(self.last.kernel * 0.5)
        if training and self.how == "loop":
            keras.ops.while_loop(lambda n: n < 3, lambda n: (self._count(n),), (0.0,))
        return answer

    def _count(self, number: Any) -> Any:
        self.seen.assign(number)
        return number + 1


class Foreign(Classes):
    """A loss that counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = keras.Variable(0.0, trainable=False)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        self.asked.assign(self.asked + 1.0)
        return super().call(y_true, y_pred)


def synchronized() -> keras.Model:
    inputs = given("x")
    return answering(inputs, keras.layers.BatchNormalization(synchronized=True)(inputs["x"]))


WEIGHED = {"model.loss": Term(loss=partial(Classes, reduction="mean_with_sample_weight"))}
REFUSED: dict[str, dict[str, Any]] = {
    "own step": {"net": OwnStep, "loss": None},
    "synchronized": {"net": synchronized},
    "weighed": {"loss": WEIGHED, "class_weights": (0.5, 2.0, 1.0)},
    "trained": {"net": partial(Setting, "trained"), "loss": None},
    "loop": {"net": partial(Setting, "loop"), "loss": None},
    "foreign": {"loss": {"model.loss": Term(loss=Foreign)}},
}


def refused(name: str, replicas: int) -> str:
    """Returns what is said of the case; nothing where it takes a step."""
    try:
        stepped(built(replicas, **REFUSED[name]), STEPS[:1])
    except ValueError as fault:
        return str(fault)
    return ""


def main(folder: Path) -> None:
    said: dict[str, Any] = {"moved": moved_by_dropout()}
    for name in CASES:
        for replicas in (1, 2, 3) if name in OF_THREE else (1, 2):
            said[f"{name}-{replicas}"] = case(folder, name, replicas)
    said["refused"] = {name: [refused(name, count) for count in (1, 2)] for name in REFUSED}
    (folder / "said.json").write_text(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
