"""Keras' formats hold every size within the bounds of a dimension, or are refused in one line."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

from keras import Input, Model, layers, ops

from testing.formats import form
from testing.varying import LENGTHS, dimensions, rows


def attending() -> Model:
    x, mask = Input((None, 2), name="x"), Input((None,), name="mask")
    hidden = layers.Dense(8, activation="relu")(x)
    seen = ops.expand_dims(ops.cast(mask, "bool"), 1)
    hidden = layers.MultiHeadAttention(2, 4)(hidden, hidden, attention_mask=seen)
    return Model({"x": x, "mask": mask}, layers.Dense(3)(hidden))


def recurrent() -> Model:
    x, mask = Input((None, 2), name="x"), Input((None,), name="mask")
    hidden = layers.GRU(4, return_sequences=True)(x, mask=ops.cast(mask, "bool"))
    return Model({"x": x, "mask": mask}, layers.Dense(3)(hidden))


@pytest.mark.parametrize("name", ["saved_model", "keras_archive", "onnx", "litert"])
def test_a_keras_model_answers_in_every_size(name: str, tmp_path: Path) -> None:
    model = attending()
    form(name).export(model, rows(4, 9), ["answer"], tmp_path, dimensions=dimensions())
    predict = form(name).load(tmp_path)
    for length in LENGTHS:
        inputs = rows(3, length)
        expected = np.asarray(model(inputs, training=False))
        assert np.abs(predict(inputs)["answer"] - expected).max() < 1e-5


def test_litert_refuses_a_recurrent_layer_over_a_varying_length_in_one_line(
    tmp_path: Path,
) -> None:
    with pytest.raises(ValueError, match="LiteRT has no operator for .* in layer gru") as caught:
        arguments = (recurrent(), rows(4, 9), ["answer"], tmp_path)
        form("litert").export(*arguments, dimensions=dimensions())
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())
