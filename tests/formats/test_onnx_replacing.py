"""What stands for an operation that ONNX has no operator for answers as the operation."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

pytest.importorskip("tensorflow")

from pipeline.frameworks import keras as framework  # it chooses the backend
from testing.formats import form as plugin

import keras  # isort: skip
import tensorflow as tf  # isort: skip

form = plugin("onnx")
replacing: Any = importlib.import_module("formats.onnx._replacing")
X = np.float32([[-3, -0.5, -1e-3, 0, 0, 1e-4, 0.5, 2, 7]])
Y = np.float32([[2, 0.5, 3, 0, 4, 1e-3, 0.25, 0, 1]])


def function(operation: str) -> Any:
    """Returns the operation as a graph, of as many inputs as it takes."""
    raw = getattr(tf.raw_ops, operation)
    steps = replacing.STEPS[operation]
    takes = 1 + max(int(a[1:]) for _, *given in steps for a in given if str(a).startswith("x"))
    specs = [tf.TensorSpec((None, 9), tf.float32) for _ in range(takes)]
    names = ("x", "y")[:takes]
    return tf.function(lambda *values: raw(**dict(zip(names, values, strict=True))), specs)


@pytest.mark.parametrize("operation", replacing.STEPS)
def test_the_steps_answer_as_the_operation(operation: str) -> None:
    traced = function(operation).get_concrete_function()
    graph = traced.graph.as_graph_def()
    assert operation in {node.op for node in graph.node}
    replacing.replace(graph)
    assert operation not in {node.op for node in graph.node}
    names = [f"{each.name}" for each in (*traced.inputs, *traced.outputs)]
    given = [np.abs(X) if operation in ("Log1p", "Inv") else X, Y][: len(traced.inputs)]
    pruned = tf.compat.v1.wrap_function(lambda: tf.import_graph_def(graph, name=""), [])
    again = pruned.prune(names[: len(given)], names[len(given) :])
    expected = traced(*map(tf.constant, given))
    (answer,) = again(*map(tf.constant, given))
    np.testing.assert_allclose(answer.numpy(), np.array(expected).reshape(1, 9), atol=2e-6)


def test_a_model_that_has_them_becomes_onnx(tmp_path: Path) -> None:
    """A Gaussian error linear unit is TensorFlow's Erfc."""
    framework.configure(1)
    given = keras.Input((9,), name="x")
    hidden = keras.layers.Dense(
        8, activation=lambda x: keras.activations.gelu(x, approximate=False)
    )
    values = keras.ops.expm1(keras.ops.log1p(keras.ops.softplus(hidden(given))))
    model = keras.Model(given, keras.layers.Dense(3)(values))
    form.export(model, {"x": X}, ["logits"], tmp_path)
    graph = onnx.load(tmp_path / form.FILE, load_external_data=False).graph
    assert "Erf" in {node.op_type for node in graph.node}
    answer = form.load(tmp_path)({"x": X})["logits"]
    np.testing.assert_allclose(answer, model(X).numpy(), rtol=1e-4, atol=1e-6)
