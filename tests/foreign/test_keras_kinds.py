"""What Keras writes, in each of its ways, becomes the model that wrote it, bit for bit, and trains
on as it would have."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline import foreign
from pipeline.errors import DataError, ModelError
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


def built(
    net: Net, optimizer: Callable[[], Any] = keras.optimizers.Adam, inputs: Any = ONE
) -> framework.Training:
    keras.utils.clear_session(free_memory=False)
    framework.seed(7)
    loss = keras.losses.SparseCategoricalCrossentropy
    return framework.build(parts(net, loss, optimizer, None, inputs, None, targets=LABEL))


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


def words() -> keras.Model:
    """Learns the words that it knows, which no variable holds."""
    rows = keras.Input((2,), dtype="int64", name="rows")
    values = layers.Flatten()(layers.Embedding(8, 3)(layers.IntegerLookup()(rows)))
    return keras.Model(rows, layers.Dense(2, activation="softmax")(values))


def test_a_vocabulary_is_taken_or_found_missing_and_is_never_learnt_anew(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model, rows = words(), np.array([[50, 40], [40, 9], [7, 50]])
    model.layers[1].adapt(np.array([50, 50, 50, 40, 40, 9]))
    ids = {"rows": {"dtype": "int64", "shape": [2]}}
    training = built(words, inputs=ids)
    model.save(tmp_path / "it.keras")
    taken(training, foreign.read(tmp_path / "it.keras"), whole=False)
    assert np.array_equal(np.asarray(training.model(rows)), np.asarray(model(rows)))
    assert training.model.layers[1].get_vocabulary() == model.layers[1].get_vocabulary()
    model.save_weights(tmp_path / "it.weights.h5")
    for way in ("weights.h5", "model only"):
        with pytest.raises(ModelError, match=r"vocabulary\.txt"):
            taken(built(words, inputs=ids), foreign.read(kept(model, way, tmp_path)), whole=False)


def test_another_optimizers_state_is_one_line_and_nothing_is_set(tmp_path: Path) -> None:
    model = made(sequential)
    for way in ("keras", "weights.h5", "h5", "checkpoint"):
        checkpoint = foreign.read(kept(model, way, tmp_path))
        for other in (
            MOMENTUM,
            keras.optimizers.RMSprop,
            partial(keras.optimizers.Adam, amsgrad=True),
        ):
            training = built(sequential, other)
            before = training.model.get_weights()
            with pytest.raises(
                ValueError, match=r"^model\.optimizer: .*train\.start_with"
            ) as caught:
                taken(training, checkpoint)
            assert "\n" not in str(caught.value)
            pairs = zip(before, training.model.get_weights(), strict=True)
            assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_setting_and_a_rate_that_differ_are_said(tmp_path: Path) -> None:
    model = made(sequential, keras.optimizers.Adam(0.25, beta_1=0.5))
    training = built(sequential)
    notes = taken(training, foreign.read(kept(model, "keras", tmp_path)))
    assert notes == [
        "the learning rate is the checkpoint's, 0.25 in place of 0.001",
        "model.optimizer.beta_1 is 0.9 and was 0.5 in the checkpoint's training",
    ]
    assert float(training.model.optimizer.learning_rate) == 0.25


def test_another_net_is_told_by_names_of_both_and_nothing_of_a_file_is_left_over(
    tmp_path: Path,
) -> None:
    def more() -> keras.Model:
        return keras.Sequential(
            [keras.Input((4,), name="rows"), *(layers.Dense(4) for _ in "abcd")]
        )

    model = made(sequential)
    for way in KINDS:
        (folder := tmp_path / way).mkdir()
        checkpoint = foreign.read(kept(model, way, folder))
        with pytest.raises(ModelError, match="2 are missing"):
            taken(built(more), checkpoint, whole=False)
        lacking = {name: v for name, v in checkpoint.weights.items() if not name.endswith("/0")}
        specs = framework.weight_specs(built(sequential), checkpoint.naming)
        extra = {**checkpoint.weights, "more/vars/0": next(iter(checkpoint.weights.values()))}
        with pytest.raises(ModelError):
            matching.match(specs, extra)
        if len(lacking) < len(specs):
            with pytest.raises(ModelError):
                matching.match(specs, lacking)


def keras_2(folder: Path, model: keras.Model) -> None:
    """Writes the weights as Keras 2 did: a .h5 of layers that were counted on, and a checkpoint."""
    one, two, three = model.layers
    with h5py.File(folder / "it.h5", "w") as file:
        file.attrs["layer_names"] = np.array([b"input_7", b"dense_9", b"dense_10", b"dense_11"])
        file.create_group("input_7").attrs["weight_names"] = np.array([])
        for number, layer in zip((9, 10, 11), (one, two, three), strict=True):
            names = [f"dense_{number}/{part}:0" for part in ("kernel", "bias")]
            group = file.create_group(f"dense_{number}")
            group.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name, value in zip(names, layer.get_weights(), strict=True):
                group[name] = value
    net = tf.train.Checkpoint()
    for place, layer in enumerate((one, two, three)):
        kernel, bias = map(tf.Variable, layer.get_weights())
        held = tf.train.Checkpoint(kernel=kernel, bias=bias)
        setattr(net, f"layer-{place + 1}", held)
        setattr(net, f"layer_with_weights-{place}", held)
    net.write(str(folder / "checkpoint/it"))


def test_what_keras_2_wrote_is_taken_though_it_counted_layers_on(tmp_path: Path) -> None:
    model = made(sequential)
    keras_2(tmp_path, model)
    for name in ("it.h5", "checkpoint"):
        training = built(sequential)
        taken(training, foreign.read(tmp_path / name))
        assert np.array_equal(np.asarray(training.model(ROWS)), np.asarray(model(ROWS))), name


def test_a_checkpoint_of_tensorflow_that_is_spoiled_is_one_line(tmp_path: Path) -> None:
    folder = kept(made(sequential), "checkpoint", tmp_path)
    index, data = folder / "ckpt-1.index", folder / "ckpt-1.data-00000-of-00001"
    whole = index.read_bytes(), data.read_bytes()

    def line() -> str:
        with pytest.raises(DataError) as caught:
            for value in foreign.read(folder).weights.values():
                np.asarray(value)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    for place in (3, 20, len(whole[0]) // 2):
        index.write_bytes(whole[0][:place] + b"\xff\xff" + whole[0][place + 2 :])
        line()
    index.write_bytes(whole[0])
    kernel = whole[1].index(
        np.asarray(foreign.read(folder).weights["layer_with_weights-0/kernel"]).tobytes()
    )
    data.write_bytes(whole[1][:kernel] + b"\xff" + whole[1][kernel + 1 :])
    assert "is damaged" in line()
    data.write_bytes(whole[1][:-9])
    assert "not whole" in line()
    data.unlink()
    assert "missing, expected it beside" in line()
    index.write_bytes(whole[0][:-1])
    assert "no checkpoint that is known" in line()


def preprocessed(
    ends: list[float] | None = None,
    words: list[str] | None = None,
    mean: float | None = None,
    inverted: list[float] | None = None,
) -> Net:
    """What layers in front of a net learn, or are given and have in their configuration alone."""

    def net() -> keras.Model:
        rows, text = keras.Input((4,), name="rows"), keras.Input((), dtype="string", name="text")
        variance = None if mean is None else 2.0
        values = layers.Normalization(mean=mean, variance=variance)(rows)
        binned = layers.Discretization(ends, num_bins=None if ends else 4)(values)
        other = layers.Discretization(inverted or [0.0, 3.0])(rows)
        known = layers.StringLookup(vocabulary=words or ["a", "b"])(text)
        joined = layers.Concatenate()(
            [keras.ops.cast(binned, "float32"), keras.ops.cast(other, "float32")]
        )
        joined = joined + keras.ops.reshape(keras.ops.cast(known, "float32"), (-1, 1))
        return keras.Model([rows, text], layers.Dense(2, activation="softmax")(joined))

    return net


BOTH = {**ONE, "text": {"dtype": "string", "shape": []}}


def learnt(net: Net, folder: Path) -> tuple[keras.Model, Path]:
    keras.utils.set_random_seed(1)
    model = net()
    for layer in model.layers:
        if type(layer).__name__ == "Discretization" and not layer.bin_boundaries:
            layer.adapt(ROWS)
        if type(layer).__name__ == "Normalization" and layer.input_mean is None:
            layer.adapt(ROWS)
    model.save(folder / "it.keras")
    return model, folder / "it.keras"


def test_boundaries_that_were_learnt_are_taken_over(tmp_path: Path) -> None:
    model, path = learnt(preprocessed(), tmp_path)
    training = built(preprocessed(), inputs=BOTH)
    taken(training, foreign.read(path), whole=False)
    text = np.array(["a", "b", "c"] * 16)
    expected = np.asarray(model([tf.constant(ROWS), tf.constant(text)]))
    (found,) = framework.evaluate(training, {"rows": ROWS, "text": text}, None)[0].values()
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"inverted": [0.0, 4.0]}, "bin_boundaries [0.0, 4.0], the checkpoint has [0.0, 3.0]"),
        ({"ends": [0.5, 2.0]}, "bin_boundaries [0.5, 2.0], the checkpoint has [0.5, 1.0]"),
        ({"words": ["b", "a"]}, "vocabulary ['b', 'a'], the checkpoint has ['a', 'b']"),
        ({"mean": 3.0}, "mean 3.0, the checkpoint has 1.0"),
    ],
)
def test_what_lies_in_the_configuration_alone_is_compared(
    tmp_path: Path, changed: dict[str, Any], line: str
) -> None:
    given = {"ends": [0.5, 1.0], "mean": 1.0}
    _, path = learnt(preprocessed(**given), tmp_path)  # type: ignore[arg-type]
    training = built(preprocessed(**{**given, **changed}), inputs=BOTH)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="build it with those") as raised:
        taken(training, foreign.read(path), whole=False)
    assert line in str(raised.value)


def test_of_weights_alone_it_is_said_that_they_hold_no_boundaries(tmp_path: Path) -> None:
    net = preprocessed(ends=[0.5, 1.0])
    model, _ = learnt(net, tmp_path)
    model.save_weights(tmp_path / "it.weights.h5")
    notes = taken(built(net, inputs=BOTH), foreign.read(tmp_path / "it.weights.h5"), whole=False)
    assert any("holds no boundaries; those of discretization" in note for note in notes)
    training = built(preprocessed(), inputs=BOTH)
    with pytest.raises(ValueError, match="builds it with none; build it with bin_boundaries"):
        taken(training, foreign.read(tmp_path / "it.weights.h5"), whole=False)
