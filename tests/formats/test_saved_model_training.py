"""What `saved_model/` trains on to, step by step, is what the framework would have made of it."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frameworks import keras as framework
from testing import preloaded
from testing.formats import FOLDER, SPARED
from testing.formats import form as plugin
from testing.parts import answers, parts
from testing.project import ROOT

import keras  # isort: skip  # by now the framework has chosen the backend
import tensorflow as tf  # isort: skip
from keras import layers, ops  # isort: skip

Arrays = dict[str, np.ndarray]
optimizers = keras.optimizers
schedules = optimizers.schedules
Classes = keras.losses.SparseCategoricalCrossentropy

form = plugin("saved_model")
STEPS = (7, 32, 7, 32, 32, 7)
"""Rows of each step; an epoch ends after the third."""


@keras.saving.register_keras_serializable(package="tests")
class Generalized(keras.losses.Loss):
    """(1 - p**q) / q."""

    def call(self, target: Any, found: Any) -> Any:
        corner = ops.one_hot(ops.cast(target, "int32"), 4)
        true = ops.sum(corner * found, axis=-1)
        return (1.0 - ops.power(ops.maximum(true, 1e-7), 0.5)) / 0.5


class Twins(keras.Model):
    """Two layers of one name."""

    def __init__(self) -> None:
        super().__init__()
        self.first = layers.Dense(12, activation="relu", name="twin")
        self.second = layers.Dense(4, activation="softmax", name="twin")

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        return self.second(self.first(pixels))


def answering(*hidden: layers.Layer) -> keras.Model:
    given = keras.Input((12,), name="pixels")
    values = given
    for layer in hidden:
        values = layer(values)
    return keras.Model(given, layers.Dense(4, activation="softmax", name="answer")(values))


def plain() -> keras.Model:
    return answering(layers.Dense(16, activation="relu"))


def full() -> keras.Model:
    return answering(
        layers.Normalization(mean=np.linspace(0, 1, 12), variance=np.linspace(0.5, 2, 12)),
        layers.Dense(16, activation="relu", kernel_regularizer="l2", name="hidden"),
        layers.BatchNormalization(name="norm"),
        layers.Dropout(0.3, name="dropout"),
    )


def frozen() -> keras.Model:
    model = answering(
        layers.Dense(16, activation="tanh", name="still"),
        layers.BatchNormalization(),
        layers.Dropout(0.3),
        layers.Dense(8, activation="relu"),
    )
    model.get_layer("still").trainable = False
    return model


def recurrent() -> keras.Model:
    return answering(
        layers.Reshape((6, 2)),
        layers.LSTM(5, dropout=0.2, recurrent_dropout=0.2, return_sequences=True),
        layers.GRU(4),
        layers.Dense(8, activation="swish"),  # with a gradient of its own
    )


def images() -> keras.Model:
    return answering(
        layers.Reshape((4, 3, 1)),
        layers.RandomFlip(),
        layers.Conv2D(4, 2, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(2, padding="same"),
        layers.DepthwiseConv2D(2, padding="same", depthwise_constraint="max_norm"),
        layers.SpatialDropout2D(0.2),
        layers.Flatten(),
        layers.GaussianNoise(0.1),
    )


def strings() -> keras.Model:
    city, age = keras.Input((), dtype="string", name="city"), keras.Input((2,), name="age")
    index = layers.StringLookup(vocabulary=["Oslo", "Roma", "Łódź"])(city)
    values = layers.Concatenate()([layers.Embedding(4, 3)(index), age])
    values = layers.Dropout(0.3)(layers.Dense(8, activation="gelu")(values))
    return keras.Model({"city": city, "age": age}, layers.Dense(4, activation="softmax")(values))


def looking_up() -> keras.Model:
    """The gradient of what is looked up has rows and their numbers."""
    city = keras.Input((), dtype="string", name="city")
    index = layers.StringLookup(vocabulary=["Oslo", "Roma", "Łódź"])(city)
    return keras.Model(city, layers.Dense(4, activation="softmax")(layers.Embedding(4, 3)(index)))


def one_for_biases() -> keras.Optimizer:
    each = optimizers.OptimizerMap(optimizers.Adam(0.01))
    each[".*bias"] = optimizers.SGD(0.1, momentum=0.9)
    return optimizers.MultiOptimizer(each)


@dataclass(frozen=True)
class Case:
    """What a training is built of."""

    net: Callable[[], keras.Model] = plain
    loss: Callable[[], Any] = Classes
    optimizer: Callable[[], Any] = lambda: optimizers.Adam(0.01)
    schedule: Callable[[], Any] | None = None
    clip: float | None = None

    def inputs(self, rows: int) -> Arrays:
        random = np.random.default_rng(rows)
        words = np.resize(np.array(["Oslo", "Nowhere", "Łódź", "Roma", ""]), rows)
        if self.net is strings:
            return {"city": words, "age": random.normal(size=(rows, 2)).astype(np.float32)}
        if self.net is looking_up:
            return {"city": words}
        return {"pixels": random.uniform(0, 1, (rows, 12)).astype(np.float32)}

    def of(self, specs: Any, schedule: Callable[[], Any] | None) -> framework.Training:
        made = (self.net, self.loss, self.optimizer, schedule, specs, self.clip)
        return framework.build(parts(*made, outputs=["probabilities"]))

    def build(self) -> framework.Training:
        """Two steps and an epoch into training, so that nothing of its state is zero."""
        framework.configure(1)
        framework.seed(1)
        specs = {
            name: {"shape": list(each.shape[1:]), "dtype": tf.as_dtype(each.dtype).name}
            for name, each in self.inputs(1).items()
        }
        training = self.of(specs, self.schedule)
        framework.seed(5, training)
        for rows in (9, 5):
            framework.step(training, self.inputs(rows), true(rows), np.arange(rows))
        framework.end_epoch(training)
        return training


CASES = {
    "plain": Case(),
    "full": Case(
        full,
        Generalized,
        partial(optimizers.AdamW, 0.01, weight_decay=0.01),
        partial(schedules.CosineDecay, 0.01, 4),
        0.5,
    ),
    "frozen": Case(frozen, optimizer=partial(optimizers.SGD, 0.1, momentum=0.9)),
    "strings": Case(strings, clip=0.1),
    "recurrent": Case(recurrent),
    "images": Case(images, optimizer=partial(optimizers.RMSprop, 0.01, 0.9, 0.3)),
    "twins": Case(Twins),
    "nesterov": Case(optimizer=partial(optimizers.SGD, 0.1, momentum=0.9, nesterov=True)),
    "amsgrad": Case(optimizer=partial(optimizers.Adam, 0.01, amsgrad=True)),
    "accumulated": Case(optimizer=partial(optimizers.Adam, 0.01, gradient_accumulation_steps=2)),
    "averaged": Case(
        optimizer=partial(optimizers.Adam, 0.01, use_ema=True, ema_overwrite_frequency=3)
    ),
    "by_steps": Case(
        optimizer=lambda: optimizers.Adam(schedules.ExponentialDecay(0.1, 3, 0.5)),
    ),
    "several": Case(optimizer=one_for_biases),
    "in_python": Case(schedule=lambda: lambda epoch: 0.1 * 0.9**epoch / (1 + epoch)),
}
STOCK = ("SGD", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion", "Lamb", "Muon")
STOCK += ("Adafactor", "AdamW", "ScheduleFreeAdamW")
CASES |= {
    name: Case(looking_up, optimizer=partial(getattr(optimizers, name), 0.01)) for name in STOCK
}
RATES = {
    "exponential": partial(schedules.ExponentialDecay, 0.3, 7, 0.96),
    "stairs": partial(schedules.ExponentialDecay, 0.3, 7, 0.96, staircase=True),
    "cosine": partial(schedules.CosineDecay, 0.3, 130, 0.1, warmup_target=0.6, warmup_steps=11),
    "restarts": partial(schedules.CosineDecayRestarts, 0.3, 10, 1.5, 0.9, 0.1),
    "inverse": partial(schedules.InverseTimeDecay, 0.1, 3, 0.7),
    "pieces": partial(schedules.PiecewiseConstantDecay, [10, 30], [0.1, 0.01, 0.001]),
    "polynomial": partial(schedules.PolynomialDecay, 0.3, 11, 0.001, power=0.7),
    "cycle": partial(schedules.PolynomialDecay, 0.3, 11, 0.001, power=2.0, cycle=True),
    "python": lambda: lambda epoch: 0.3 * 0.5 ** (epoch // 10),
    "constant": lambda: lambda epoch: 0.3,
}

IN_A_CLEAN_PROCESS = """
import json, os, sys, pathlib
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
for directory in map(pathlib.Path, sys.argv[2:]):
    data = np.load(directory / "examples/training.npz")
    trainer, losses = form.load_training(directory), []
    for step, ends in enumerate(data["ends_epoch"]):
        rows = data["step"] == step
        given = {k[6:]: data[k][rows] for k in data.files if k.startswith("input.")}
        losses.append(trainer.step(given, {"label": data["target.label"][rows]}))
        assert losses[-1].shape == ()
        if ends:
            trainer.end_epoch()
    one = np.load(directory / "examples/one.npz")
    found = {"loss": np.array(losses), **trainer.state()}
    answer = trainer.predict({k[6:]: one[k] for k in one.files if k.startswith("input.")})
    np.savez(directory / "found.npz", answer=answer["probabilities"], **found)
assert not {name.split(".")[0] for name in sys.modules} & {"models", "pipeline", "tests"}
"""

IN_ANOTHER_PROCESS = """
import pathlib, sys
sys.path.insert(0, ".")
from tests.formats.test_saved_model_training import CASES, export
CASES["images"].build()  # another history of the process
for name in sys.argv[2:]:
    directory = pathlib.Path(sys.argv[1]) / name
    directory.mkdir()
    export(name, directory, rows=2)
"""


def true(rows: int) -> Arrays:
    return {"label": np.random.default_rng(rows).integers(0, 4, rows)}


def export(
    name: str,
    directory: Path,
    change: Callable[[framework.Training], Any] = lambda training: None,
    rows: int = 3,
) -> framework.Training:
    """The training as it stood when it was exported, `change`d."""
    training = CASES[name].build()
    change(training)
    given = CASES[name].inputs(rows)
    form.export(training.model, given, ["probabilities"], directory, training, true(rows), seed=5)
    return training


def go_on(training: framework.Training, name: str) -> Arrays:
    """Losses and state after the framework's own steps, and what it answers then."""
    losses = []
    for step, rows in enumerate(STEPS):
        loss = framework.step(training, CASES[name].inputs(rows), true(rows), np.arange(rows))
        losses.append(loss.numpy())
        if step == 2:
            framework.end_epoch(training)
    found = {"loss": np.array(losses), **framework.state(training)}
    outputs, _ = answers(framework, training, CASES[name].inputs(11))
    return found | {"answer": outputs["probabilities"]}


def gone_on(trainer: Any, name: str) -> Arrays:
    losses = []
    for step, rows in enumerate(STEPS):
        losses.append(trainer.step(CASES[name].inputs(rows), true(rows)))
        if step == 2:
            trainer.end_epoch()
    found = {"loss": np.array(losses), **trainer.state()}
    return found | {"answer": trainer.predict(CASES[name].inputs(11))["probabilities"]}


def examples(name: str, expected: Arrays, directory: Path) -> None:
    """As a complete model has them, and `expected` beside them."""
    (directory / "examples").mkdir()
    batches = [CASES[name].inputs(rows) for rows in STEPS]
    arrays = {f"input.{k}": np.concatenate([each[k] for each in batches]) for k in batches[0]}
    arrays["target.label"] = np.concatenate([true(rows)["label"] for rows in STEPS])
    np.savez(
        directory / "examples/training.npz",
        step=np.repeat(np.arange(len(STEPS)), STEPS),
        loss=expected["loss"],
        ends_epoch=np.arange(len(STEPS)) == 2,
        **arrays,
    )
    np.savez(
        directory / "examples/one.npz",
        **{f"input.{k}": each for k, each in CASES[name].inputs(11).items()},
    )
    np.savez(directory / "expected.npz", **expected)


def differing(found: Arrays, expected: Arrays) -> dict[str, float]:
    """By how much, of all that is not the same bit for bit."""
    assert set(found) == set(expected)
    return {
        name: float(np.abs(found[name].astype(float) - array.astype(float)).max())
        for name, array in expected.items()
        if (found[name].dtype, found[name].tobytes()) != (array.dtype, array.tobytes())
    }


def files(directory: Path) -> dict[str, bytes]:
    found = [path for path in (directory / form.FOLDER).rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in found}


def python(script: str, *arguments: object, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SPARED + script, *map(str, arguments)],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every case exported, trained on by the framework, and by the format in a clean process."""
    root = tmp_path_factory.mktemp("trained")
    for name in CASES:
        (root / name).mkdir()
        examples(name, go_on(export(name, root / name), name), root / name)
    script = FOLDER / "saved_model"
    python(IN_A_CLEAN_PROCESS, script, *(root / name for name in CASES), cwd=root)
    return root


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(trained / name, tmp_path / name))


@pytest.fixture
def places(tmp_path: Path) -> Iterator[Path]:
    """New directories to save in."""

    def fresh() -> Iterator[Path]:
        for number in range(9):
            (tmp_path / f"place{number}").mkdir()
            yield tmp_path / f"place{number}"

    return fresh()


@pytest.mark.parametrize("name", CASES)
def test_where_there_is_no_source_it_trains_on_bit_for_bit_as_the_framework_does(
    name: str, trained: Path
) -> None:
    expected = dict(np.load(trained / name / "expected.npz"))
    assert differing(dict(np.load(trained / name / "found.npz")), expected) == {}
    assert np.isfinite(expected["loss"]).all()
    assert len(set(expected["loss"].tolist())) == len(STEPS)


def zeroed(trainer: Any, *names: str) -> None:
    for name, variable in trainer._model.optimizer.items():
        if name.endswith(names):
            variable.assign(np.zeros(variable.shape))


@pytest.mark.parametrize(
    ("lose", "where"),
    [
        (lambda trainer: zeroed(trainer, "momentum"), "optimizer/"),
        (lambda trainer: zeroed(trainer, "velocity"), "optimizer/"),
        (lambda trainer: zeroed(trainer, "iteration"), "optimizer/"),
        (lambda trainer: trainer.seed(6), "net/seed_generator"),
        (lambda trainer: trainer._model.epochs.assign(0), "optimizer/adam_w/learning_rate"),
    ],
)
def test_the_comparison_notices_whatever_state_is_lost(
    lose: Callable[[Any], None], where: str, trained: Path
) -> None:
    trainer = form.load_training(trained / "full")
    lose(trainer)
    apart = differing(gone_on(trainer, "full"), dict(np.load(trained / "full/expected.npz")))
    assert max(size for key, size in apart.items() if key.startswith(where)) > 1e-5


def test_the_comparison_finds_nothing_where_nothing_is_lost(trained: Path) -> None:
    found = gone_on(form.load_training(trained / "full"), "full")
    assert differing(found, dict(np.load(trained / "full/expected.npz"))) == {}


def dropout_off(training: framework.Training) -> None:
    training.model.get_layer("dropout").rate = 0.0


def statistics_still(training: framework.Training) -> None:
    training.model.get_layer("norm").momentum = 1.0


def other_loss(training: framework.Training) -> None:
    training.model.compile(training.model.optimizer, Classes())


def not_regular(training: framework.Training) -> None:
    training.model.get_layer("hidden").kernel.regularizer = None


@pytest.mark.parametrize(
    ("name", "change", "where"),
    [
        ("frozen", lambda t: setattr(t.model.optimizer, "momentum", 0.0), "net/"),
        ("full", dropout_off, "loss"),
        ("full", statistics_still, "net/norm/moving_mean"),
        ("full", other_loss, "loss"),
        ("full", not_regular, "loss"),
        ("full", lambda t: setattr(t.model.optimizer, "weight_decay", None), "net/"),
        ("full", lambda t: setattr(t, "clip_norm", None), "optimizer/"),
        ("full", lambda t: setattr(t, "schedule", None), "optimizer/adam_w/learning_rate"),
    ],
)
def test_the_comparison_notices_whatever_of_the_step_is_lost(
    name: str,
    change: Callable[[framework.Training], None],
    where: str,
    trained: Path,
    tmp_path: Path,
) -> None:
    export(name, tmp_path, change)
    found = gone_on(form.load_training(tmp_path), name)
    apart = differing(found, dict(np.load(trained / name / "expected.npz")))
    assert max(size for key, size in apart.items() if key.startswith(where)) > 1e-5


def test_the_optimizer_lies_once_beside_the_weights(trained: Path) -> None:
    for name in ("full", "strings", "twins"):
        training = CASES[name].build()
        directory, expected = trained / name, framework.state(training)
        kept = {"net": form.weights(directory), "optimizer": form.optimizer_state(directory)}
        found = {f"{k}/{name}": place for k, some in kept.items() for name, place in some.items()}
        assert set(found) == set(expected)
        for key, (file, offset, nbytes, dtype) in found.items():
            content = (directory / file).read_bytes()[offset : offset + nbytes]
            assert (np.dtype(dtype), content) == (expected[key].dtype, expected[key].tobytes())


def test_the_file_weighs_what_weights_and_optimizer_weigh(tmp_path: Path) -> None:
    given = keras.Input((12,), name="pixels")
    wide = layers.Dense(900, activation="relu")(layers.Dense(900)(given))
    model = keras.Model(given, layers.Dense(4, activation="softmax")(wide))
    framework.configure(1)
    specs = {"pixels": {"shape": [12], "dtype": "float32"}}
    training = Case(lambda: model, optimizer=optimizers.AdamW).of(specs, None)
    arrays = CASES["plain"].inputs(2)
    form.export(model, arrays, ["probabilities"], tmp_path, training, true(2))
    size = sum(each.nbytes for each in framework.state(training).values())
    assert sum(map(len, files(tmp_path).values())) < 1.03 * size  # the graph is 0.16 MB
    assert (tmp_path / form.FOLDER / form.DATA).stat().st_size < size + 9000


def test_another_process_writes_the_same_bytes(trained: Path, tmp_path: Path) -> None:
    names = ("recurrent", "strings", "full", "frozen", "accumulated")
    done = preloaded.run("keras", ROOT, "-c", IN_ANOTHER_PROCESS, str(tmp_path), *names)
    assert done.returncode == 0, done.stderr
    for name in names:
        here, there = files(trained / name), files(tmp_path / name)
        assert [key for key in here if here[key] != there[key]] == []
        assert set(here) == set(there)
        for trace in (b"site-packages", b"/tmp", str(ROOT).encode(), b".py", b"test_saved"):
            assert not [key for key, content in here.items() if trace in content]


@pytest.mark.parametrize("name", ["full", "strings", "recurrent", "averaged"])
def test_what_it_saves_goes_on_from_there(name: str, trained: Path, places: Iterator[Path]) -> None:
    """Saved after four steps and loaded again, and saved in the end, it comes out as without."""
    directory, losses = trained / name, []
    for step, rows in enumerate(STEPS):
        if step in (0, 4):
            trainer = form.load_training(directory)
        losses.append(trainer.step(CASES[name].inputs(rows), true(rows)))
        if step == 2:
            trainer.end_epoch()
        if step in (3, 5):
            directory = next(places)
            trainer.save(directory)
    expected = dict(np.load(trained / name / "expected.npz"))
    state = form.load_training(directory).state()
    answer = form.load(directory)(CASES[name].inputs(11))["probabilities"]
    assert differing({"loss": np.array(losses), "answer": answer, **state}, expected) == {}
    for key, (file, offset, nbytes, _) in form.weights(directory).items():
        content = (directory / file).read_bytes()[offset : offset + nbytes]
        assert content == expected[f"net/{key}"].tobytes()


@pytest.mark.parametrize("name", ["full", "strings"])
def test_the_same_state_gives_the_same_bytes(
    name: str, trained: Path, places: Iterator[Path]
) -> None:
    """Nothing done: those of the export. Two trainers alike: the same, and others than before."""
    saved = []
    for steps in (0, 2, 2):
        trainer, directory = form.load_training(trained / name), next(places)
        for _ in range(steps):
            trainer.step(CASES[name].inputs(7), true(7))
        trainer.end_epoch() if steps else None
        trainer.save(directory)
        saved.append(files(directory))
    assert saved[0] == files(trained / name)
    assert saved[1] == saved[2] != saved[0]


def test_an_epoch_counts_in_the_bytes_even_without_a_schedule(
    trained: Path, places: Iterator[Path]
) -> None:
    trainer, directory = form.load_training(trained / "plain"), next(places)
    trainer.end_epoch()
    trainer.save(directory)
    changed = {k for k, v in files(directory).items() if v != files(trained / "plain")[k]}
    assert changed == {f"{form.FOLDER}/{form.DATA}", f"{form.FOLDER}/{form.INDEX}"}


def test_a_table_that_can_be_changed_keeps_its_words(places: Iterator[Path]) -> None:
    class Lookup(layers.Layer):
        def __init__(self) -> None:
            super().__init__(name="lookup")
            self.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, 0)
            self.table.insert(tf.constant(["Oslo", "Łódź"]), tf.constant([2, 3], tf.int64))

        def call(self, city: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(self.table.lookup(city), city.shape)

        def compute_output_spec(self, city: Any) -> Any:
            return keras.KerasTensor(city.shape, "int64")

    city = keras.Input((), dtype="string", name="city")
    values = layers.Embedding(4, 3)(Lookup()(city))
    model = keras.Model(city, layers.Dense(4, activation="softmax")(values))
    specs = {"city": {"shape": [], "dtype": "string"}}
    framework.configure(1)
    training = Case(lambda: model, optimizer=optimizers.Adam).of(specs, None)
    words = {"city": np.array(["Oslo", "Roma", "Łódź"])}
    first, second = next(places), next(places)
    form.export(model, words, ["probabilities"], first, training, true(3))
    trainer = form.load_training(first)
    trainer.step(words, true(3))
    trainer.save(second)
    expected = trainer.predict(words)["probabilities"]
    assert len(np.unique(expected, axis=0)) == 3
    assert np.array_equal(form.load(second)(words)["probabilities"], expected)


THEN_SAVED_AGAIN = """
numpy.save("answer.npy", outputs)
true = data["target.label"][rows]
loss = model.train_step(batch, true)
tensorflow.saved_model.save(model, "third", model.signatures)
third = tensorflow.saved_model.load("third")
third.end_epoch()
assert third.train_step(batch, true) != loss
assert sorted(third.signatures) == ["serve", "serving_default"]
"""
ITS_CARD_IN_EACH = """
import os, sys
for directory in sys.argv[1:]:
    os.chdir(directory)
    print("in", os.path.basename(directory))
    exec(open("card.py").read(), {})
"""


@pytest.fixture(scope="module")
def followed(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Models whose cards one process has followed, one after the other, and what it said."""
    root = tmp_path_factory.mktemp("followed")
    for name in ("full", "strings"):
        directory = shutil.copytree(trained / name, root / name)
        inputs = list(CASES[name].inputs(1))
        card = form.training_card(inputs, ["probabilities"], ["target.label"], directory)
        assert ("end_epoch" in card) == (name == "full")
        assert len(card.splitlines()) < 17
        assert max(map(len, card.splitlines())) < 100
        (directory / "card.py").write_text(f"{card}\n{THEN_SAVED_AGAIN}")
    models = root / "full", root / "strings"
    return root, python(ITS_CARD_IN_EACH, *models, cwd=root, TF_NUM_INTRAOP_THREADS="1")


@pytest.mark.parametrize("name", ["full", "strings"])
def test_its_card_trains_on_with_tensorflow_alone(
    name: str, trained: Path, followed: tuple[Path, str]
) -> None:
    """What TensorFlow itself saves of it trains on and predicts too, and so does what it saves of
    that."""
    root, said = followed
    of_this = said.partition(f"in {name}\n")[2].partition("\nin ")[0]
    lines = [line.split() for line in of_this.splitlines() if line.startswith("loss ")]
    assert [line[1].rstrip(",") == line[-1] for line in lines] == [True] * len(STEPS)
    expected = np.load(trained / name / "expected.npz")["answer"]
    assert np.array_equal(np.load(root / name / "answer.npy"), expected)


def test_gradients_are_kept_where_they_may_be_taken_and_none_is_missed(trained: Path) -> None:
    """swish has its own in `serve` and `evaluate`; what the step holds of gradients is used up."""
    for name, expected in (("recurrent", 2), ("full", 0)):
        library = form.read_graphs(trained / name / form.FOLDER).meta_graphs[0].graph_def.library
        kept = {each.registered_op_type.encode() for each in library.registered_gradients}
        nodes = [node for function in library.function for node in function.node_def]
        assert {n.attr["_gradient_op_type"].s for n in nodes if "_gradient_op_type" in n.attr} == (
            kept
        )
        assert len(kept) == expected


@pytest.mark.parametrize("name", RATES)
def test_an_epochs_learning_rate_has_the_bits_that_the_schedule_gives(name: str) -> None:
    schedule = RATES[name]()
    rate, _ = form.rate_after(schedule)
    signature = [tf.TensorSpec((), tf.int64)]
    traced = tf.function(lambda epoch: tf.cast(rate(epoch), tf.float32), signature)
    for epoch in range(200):
        expected = np.asarray(schedule(epoch), np.float32)
        assert traced(epoch).numpy().tobytes() == expected.tobytes(), epoch


class InPython(keras.losses.Loss):
    def call(self, target: Any, found: Any) -> Any:
        twice = tf.numpy_function(lambda each: each * 2, [target], tf.int64)
        return Classes()(target, found) + tf.cast(tf.reduce_sum(twice), tf.float32)


class Remembering(keras.losses.Loss):
    def __init__(self) -> None:
        super().__init__()
        self.seen = tf.Variable(0.0, name="seen")

    def call(self, target: Any, found: Any) -> Any:
        return ops.mean(found, axis=-1) * self.seen.assign_add(1.0)


class Untraceable(optimizers.SGD):
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        if float(learning_rate) > 0:
            super().update_step(gradient, variable, learning_rate)


class Writing(optimizers.SGD):
    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        tf.io.write_file("/tmp/never", "x")
        super().update_step(gradient, variable, learning_rate)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (Case(optimizer=lambda: Untraceable(0.1)), "optimizer Untraceable, .*cannot be traced"),
        (Case(optimizer=lambda: Writing(0.1)), "WriteFile of writing/"),
        (Case(loss=InPython), "PyFunc of compile_loss/in_python/"),
        (Case(loss=Remembering), "loss Remembering: change seen"),
        (Case(schedule=lambda: lambda e: 0.1 if e < 3 else 0.2), "schedule <lambda> cannot be"),
        (Case(schedule=lambda: lambda e: getattr(e, "real", 0.1)), "schedule <lambda> gives 0.1"),
    ],
)
def test_what_it_cannot_carry_is_named(case: Case, said: str, tmp_path: Path) -> None:
    framework.configure(1)
    specs = {"pixels": {"shape": [12], "dtype": "float32"}}
    training = case.of(specs, None)
    training.schedule = case.schedule() if case.schedule else None
    with pytest.raises(ValueError, match=f"^saved_model: .*{said}") as raised:
        form.export(training.model, case.inputs(3), ["probabilities"], tmp_path, training, true(3))
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_training_without_a_target_is_refused(tmp_path: Path) -> None:
    training = CASES["plain"].build()
    with pytest.raises(ValueError, match=r"^saved_model: .*found no target"):
        form.export(training.model, CASES["plain"].inputs(3), ["p"], tmp_path, training)
    assert not list(tmp_path.iterdir())


def test_one_that_only_predicts_says_so(tmp_path: Path) -> None:
    training = CASES["plain"].build()
    form.export(training.model, CASES["plain"].inputs(3), ["probabilities"], tmp_path)
    assert form.optimizer_state(tmp_path) == {}
    with pytest.raises(ValueError, match="holds no training program; export it with one"):
        form.load_training(tmp_path)


def test_exporting_leaves_the_training_as_it_was(tmp_path: Path) -> None:
    training = CASES["full"].build()
    before = framework.state(training)
    arrays = CASES["full"].inputs(3)
    form.export(training.model, arrays, ["probabilities"], tmp_path, training, true(3))
    assert differing(framework.state(training), before) == {}
    assert training.epochs == 1


def test_one_that_only_says_that_it_trains_is_refused(tmp_path: Path) -> None:
    training = CASES["plain"].build()
    form.export(training.model, CASES["plain"].inputs(3), ["probabilities"], tmp_path)
    said = {"inputs": ["pixels"], "outputs": ["probabilities"], "training": {"schedule": False}}
    (tmp_path / form.FOLDER / form.SIGNATURE).write_text(json.dumps(said))
    with pytest.raises(ValueError, match="lacks optimizer; export it again"):
        form.load_training(tmp_path)


def test_one_from_before_targets_had_names_trains_on(
    trained: Path, copy: Callable[[str], Path]
) -> None:
    file = copy("plain") / form.FOLDER / form.SIGNATURE
    signature = json.loads(file.read_text())
    assert signature["training"].pop("targets") == ["label"]
    file.write_text(json.dumps(signature))
    trainer, rows = form.load_training(file.parents[2]), STEPS[0]
    loss = trainer.step(CASES["plain"].inputs(rows), {"target": true(rows)["label"]})
    assert loss == np.load(trained / "plain/expected.npz")["loss"][0]


@pytest.mark.parametrize("endpoint", ["train_step", "end_epoch"])
@pytest.mark.parametrize("operator", ["PyFunc", "WriteFile", "RestoreV2"])
def test_an_operator_that_reaches_out_is_refused_in_training_too(
    endpoint: str, operator: str, copy: Callable[[str], Path]
) -> None:
    directory = copy("full")
    content = form.read_graphs(directory / form.FOLDER)
    library = content.meta_graphs[0].graph_def.library.function
    function = next(f for f in library if f.signature.name.startswith(f"__inference_{endpoint}"))
    function.node_def.add(name="harmless", op=operator)
    (directory / form.FILE).write_bytes(content.SerializeToString())
    with pytest.raises(ValueError, match=f"operator {operator} of harmless"):
        form.load_training(directory)


def test_what_a_trainer_was_loaded_from_may_go(
    copy: Callable[[str], Path], places: Iterator[Path]
) -> None:
    directory, target = copy("strings"), next(places)
    trainer = form.load_training(directory)
    shutil.rmtree(directory)
    trainer.step(CASES["strings"].inputs(7), true(7))
    trainer.save(target)
    said = json.loads((target / form.FOLDER / form.SIGNATURE).read_text())["training"]
    seeds = ["seed_generator/seed_generator_state"]
    assert said == {"schedule": False, "seeds": seeds, "targets": ["label"]}
    form.load_training(target).step(CASES["strings"].inputs(7), true(7))


def test_it_evaluates_and_takes_a_seed_and_a_learning_rate_as_the_framework_does(
    copy: Callable[[str], Path],
) -> None:
    case = CASES["strings"]
    trainer = form.load_training(copy("strings"))
    outputs, loss = trainer.evaluate(case.inputs(7), true(7))
    asked = trainer.predict(case.inputs(7))
    assert all(np.array_equal(outputs[name], asked[name]) for name in asked)
    assert loss.shape == () and np.isfinite(loss)
    trainer.seed(5)
    (state,) = (array for name, array in trainer.state().items() if "seed_generator" in name)
    assert state.tolist() == [int(np.random.SeedSequence([5, 0]).generate_state(1)[0] >> 1), 0]
    trainer.set_learning_rate(0.25)
    rates = [array for name, array in trainer.state().items() if name.endswith("/learning_rate")]
    assert [float(rate) for rate in rates] == [0.25]
    scheduled = form.load_training(copy("full"))
    with pytest.raises(ValueError, match="the schedule of the model sets it"):
        scheduled.set_learning_rate(0.25)


def test_a_weight_that_is_set_moves_the_answers_and_set_back_leaves_no_trace(
    copy: Callable[[str], Path],
) -> None:
    trainer, inputs = form.load_training(copy("strings")), CASES["strings"].inputs(7)
    before, state = trainer.predict(inputs), trainer.state()
    kernels = {n: a for n, a in state.items() if n.startswith("net/") and n.endswith("/kernel")}
    trainer.set_weights({name: array * 2 for name, array in kernels.items()})
    moved = trainer.predict(inputs)
    assert any(not np.array_equal(moved[name], before[name]) for name in before)
    trainer.set_weights(kernels)
    again = trainer.predict(inputs)
    assert all(np.array_equal(again[name], before[name]) for name in before)
