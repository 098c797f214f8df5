"""What `train` wrote of a Keras model starts another training, as a file of Keras' does."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import foreign
from pipeline.errors import DataError
from pipeline.foreign import keras_training, sets
from pipeline.foreign.lazy_mapping import LazyMapping
from pipeline.foreign.matching import match
from pipeline.frameworks import keras as framework
from pipeline.frameworks.contract import Averaging, Parts, Term
from testing.spoiled import one_line
from testing.stepping import STEPS, in_bytes

import keras  # isort: skip  # by now the framework has chosen the backend

RANDOM = np.random.default_rng(0)
ROWS = {"word": np.array(["red", "blue", "green", "red"] * 16), "size": RANDOM.random((64, 1))}
ROWS["size"] = ROWS["size"].astype(np.float32)
LABELS = {"label": RANDOM.integers(0, 3, 64)}


def net(words: list[str] | None = None) -> keras.Model:
    """Layers that learn words and boundaries, and one that draws."""
    inputs = {
        "word": keras.Input((), name="word", dtype="string"),
        "size": keras.Input((1,), name="size"),
    }
    looked_up = keras.layers.StringLookup(vocabulary=words, name="lookup")(inputs["word"])
    coded = keras.layers.Embedding(8, 4, name="embed")(looked_up)
    binned = keras.layers.Discretization(num_bins=3, name="bins")(inputs["size"])
    sized = keras.layers.Flatten()(keras.layers.Embedding(4, 4, name="sizes")(binned))
    values = keras.layers.Dropout(0.3)(keras.layers.Concatenate()([coded, sized]))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="last")(values))


def built(**options: Any) -> framework.Training:
    framework.configure(1)
    framework.seed(1)
    values: Mapping[str, Any] = {
        "net": net,
        "loss": {"model.loss": Term(loss=keras.losses.SparseCategoricalCrossentropy)},
        "optimizer": keras.optimizers.Adam,
        "scheduler": None,
        "inputs": {
            "word": {"dtype": "string", "shape": []},
            "size": {"dtype": "float32", "shape": [1]},
        },
        "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3}},
        "outputs": {"answer": "answer"},
        "device": "cpu",
        "clip_norm": None,
    }
    return framework.build(Parts(**{**values, **options}))


def adapted(**options: Any) -> framework.Training:
    training = built(**options)
    framework.adapt(training, ROWS)
    return training


def stepped(training: framework.Training) -> list[float]:
    return [float(framework.step(training, ROWS, LABELS, rows)) for rows in STEPS]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[framework.Training, Path]:
    """A training that took steps, and its checkpoint."""
    training = adapted()
    stepped(training)
    framework.end_epoch(training)
    framework.save(training, tmp_path / "epoch_0001.npz")
    return training, tmp_path / "epoch_0001.npz"


def started(path: Path, word: str | None = None, **options: Any) -> framework.Training:
    """A training that begins with all of the file, matched as strictly as any other."""
    checkpoint, training = foreign.read(path), built(**options)
    chosen = sets.chosen(checkpoint, word)
    pairs = match(framework.weight_specs(training, checkpoint.naming), chosen).pairs
    weights = LazyMapping(pairs, chosen.__getitem__)
    assert sets.has_optimizer(checkpoint, word)
    notes = framework.start(training, checkpoint.naming, weights, checkpoint.optimizer, None)
    assert not notes
    return training


def test_it_goes_on_bit_for_bit_with_words_boundaries_and_what_dropout_draws(
    saved: tuple[framework.Training, Path],
) -> None:
    first, path = saved
    second = started(path)
    assert foreign.recognized(path) == "keras_training" and foreign.read(path).epoch == 1
    assert stepped(first) == stepped(second)
    assert in_bytes(framework.state(first)) == in_bytes(framework.state(second))


def test_a_net_that_was_built_with_other_words_takes_the_checkpoints(
    saved: tuple[framework.Training, Path],
) -> None:
    first, path = saved
    second = started(path, net=lambda: net(["green", "blue", "red"]))
    assert stepped(first) == stepped(second)


def test_the_optimizer_is_of_the_weights_that_are_trained_not_of_their_average(
    tmp_path: Path,
) -> None:
    training, path = adapted(averaging=Averaging("ema", 0.9, 1)), tmp_path / "averaged"
    stepped(training)
    framework.save(training, path)
    checkpoint = foreign.read(path)
    assert not sets.has_optimizer(checkpoint, None) and sets.has_optimizer(checkpoint, "trained")
    assert stepped(started(path, "trained")) == stepped(training)
    average, trained = checkpoint.weights, checkpoint.others["trained"]
    assert not np.array_equal(average["last/kernel"], trained["last/kernel"])


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        foreign.read(path)
    assert keras_training.recognizes(path)
    return one_line(error, path)


def test_what_is_damaged_or_packed_is_refused_in_one_line(
    saved: tuple[framework.Training, Path], tmp_path: Path
) -> None:
    content, path = saved[1].read_bytes(), tmp_path / "spoiled"
    for length in (100, len(content) // 2, len(content) - 30):
        path.write_bytes(content[:length])
        assert "damaged" in refused(path)
    place = content.index(b"NUMPY", len(content) // 2) + 200
    path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
    assert "checksum" in refused(path)
    arrays = dict(np.load(saved[1]))
    np.savez_compressed(path.with_suffix(".npz"), **arrays)
    assert "packed" in refused(path.with_suffix(".npz"))
    with zipfile.ZipFile(saved[1], "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("epochs.npy", archive.read("epochs.npy"))
    assert "twice" in refused(saved[1])


def test_python_objects_are_never_opened(saved: tuple[framework.Training, Path]) -> None:
    arrays = dict(np.load(saved[1]))
    for name in ("net/last/kernel", "vocabulary/lookup", "epochs"):
        np.savez(saved[1], **{**arrays, name: np.array([{}], object)})
        assert "damaged" in refused(saved[1])
