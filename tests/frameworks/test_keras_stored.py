"""A Keras state is written and read one array after the other, to the same bytes."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import written
from pipeline.frameworks import keras as framework
from pipeline.frameworks._keras_stored import StoredArrays, shape
from tests.frameworks.test_keras import built, keras

WIDTH, DEPTH = 512, 8
LAYER = WIDTH * WIDTH * 4
"""Bytes of one of the arrays."""


def deep() -> keras.Model:
    inputs = values = keras.Input((4,), name="rows")
    for _ in range(DEPTH):
        values = keras.layers.Dense(WIDTH)(values)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(values))


def peak(of: Callable[[], object]) -> int:
    """Returns the bytes of numpy's arrays that were there at once."""
    tracemalloc.start()
    of()
    try:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("net", [deep, None])
def test_what_is_written_one_by_one_is_what_the_copy_of_all_writes(
    tmp_path: Path, net: Callable[[], keras.Model] | None
) -> None:
    training = built(net) if net else built()
    framework.save(training, tmp_path / "one by one")
    framework.snapshot(training)(tmp_path / "copy")
    assert (tmp_path / "one by one").read_bytes() == (tmp_path / "copy").read_bytes()


def test_no_more_than_a_few_arrays_are_there_at_once(tmp_path: Path) -> None:
    training, path = built(deep), tmp_path / "net.npz"
    assert peak(lambda: framework.state(training)) > DEPTH * LAYER
    assert peak(lambda: framework.save(training, path)) < 5 * LAYER
    assert peak(lambda: [None for _ in framework.views(training)]) < 5 * LAYER
    assert peak(lambda: framework.load(built(deep), path)) < 5 * LAYER


def test_views_are_the_state() -> None:
    training = built()
    views = dict(framework.views(training))
    state = framework.state(training)
    assert list(views) == list(state)
    assert all(np.array_equal(views[name], each) for name, each in state.items())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3), np.float32),
        np.array(3),
        np.asfortranarray(np.ones((4, 5))),
        np.zeros(2, [("ü" * 40, "f4"), ("b", "U3")]),
    ],
)
def test_a_shape_is_known_before_the_array_is_read(tmp_path: Path, array: np.ndarray) -> None:
    np.savez(tmp_path / "file.npz", **{"net/a": array, "epochs": np.int64(1)})
    with np.load(tmp_path / "file.npz") as file:
        stored = StoredArrays(file)
        assert list(stored) == ["net/a"] and len(stored) == 1
        assert shape(stored, "net/a") == shape(dict(stored), "net/a") == array.shape


def test_a_checkpoint_has_the_bytes_of_savez_and_is_digested_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "LARGE", 1)
    path = written.WrittenPath(tmp_path / "net.npz")
    framework.save(built(), path)
    assert list(written.known_md5(tmp_path)) == [tmp_path / "net.npz"]
    with np.load(path) as arrays:
        np.savez(tmp_path / "numpy.npz", **dict(arrays))
    assert path.read_bytes() == (tmp_path / "numpy.npz").read_bytes()
