"""A model fills what is missing itself, in training, in answering and where it is fitted."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipeline import frameworks
from pipeline.frameworks._averaging import Averaging
from pipeline.frameworks._filling import Filled
from testing.parts import parts

nan = float("nan")
INPUTS = {
    "x": {"dtype": "float32", "shape": [2], "missing": [1.5, -2.0]},
    "y": {"dtype": "float32", "shape": [], "missing": "keep"},
}
ROWS = {
    "x": np.array([[nan, 3], [4, nan], [nan, nan], [1, 2]], np.float32),
    "y": np.array([1, 2, 3, 4], np.float32),
}
KNOWN = {**ROWS, "x": np.array([[1.5, 3], [4, -2], [1.5, -2], [1, 2]], np.float32)}
TARGETS = {"label": np.array([0, 1, 1, 0])}


def torch_net() -> Any:
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2)
            self.register_buffer("shift", torch.zeros(2))

        def adapt(self, x: Any, y: Any) -> None:
            self.shift.copy_(torch.from_numpy(x[:].mean(axis=0)))

        def forward(self, x: Any, y: Any) -> Any:
            return self.linear(torch.cat([x - self.shift, y[:, None]], 1))

    return Net


def keras_net() -> Any:
    import keras

    def net() -> Any:
        x, y = keras.Input((2,), name="x"), keras.Input((), name="y")
        both = [keras.layers.Normalization()(x), keras.layers.Reshape((1,))(y)]
        answers = keras.layers.Dense(2, activation="softmax")(keras.layers.concatenate(both))
        return keras.Model({"x": x, "y": y}, answers)

    return net


def built(name: str, inputs: Any = INPUTS, net: Any = None) -> tuple[Any, Any]:
    framework = frameworks.framework(name)
    if name == "pytorch":
        from torch import nn, optim

        made = parts(
            net or torch_net(),
            nn.CrossEntropyLoss,
            lambda weights: optim.SGD(weights, 0.1),
            None,
            inputs,
            outputs=["answers"],
        )
    else:
        import keras

        loss = keras.losses.SparseCategoricalCrossentropy
        optimizer = keras.optimizers.SGD
        made = parts(net or keras_net(), loss, optimizer, None, inputs, outputs=["answers"])
    framework.seed(0)
    training = framework.build(made)
    framework.seed(0, training)
    framework.adapt(training, ROWS if inputs is INPUTS else KNOWN)
    return framework, training


PLAIN = {name: {k: v for k, v in spec.items() if k != "missing"} for name, spec in INPUTS.items()}


@pytest.mark.parametrize("name", ["pytorch", "keras"])
def test_rows_with_gaps_are_answered_and_learnt_from_as_filled_ones(name: str) -> None:
    (framework, gaps), (_, plain) = built(name), built(name, PLAIN)
    for _ in range(3):
        loss = float(framework.step(gaps, ROWS, TARGETS, np.arange(4)))
        assert loss == float(framework.step(plain, KNOWN, TARGETS, np.arange(4)))
    answers, other = (
        framework.evaluate(gaps, ROWS, TARGETS),
        framework.evaluate(plain, KNOWN, TARGETS),
    )
    assert np.array_equal(answers[0]["answers"], other[0]["answers"]) and answers[1] == other[1]
    assert np.isfinite(answers[0]["answers"]).all()


@pytest.mark.parametrize("name", ["pytorch", "keras"])
def test_what_is_kept_reaches_the_net_as_it_is(name: str) -> None:
    framework, training = built(name)
    rows = {**ROWS, "y": np.array([nan, 2, 3, 4], np.float32)}
    answers = framework.evaluate(training, rows, None)[0]["answers"]
    assert np.isnan(answers[0]).all() and np.isfinite(answers[1:]).all()


def test_a_net_with_something_else_of_that_name_is_refused() -> None:
    class Taken(torch_net()):  # type: ignore[misc]
        missing_x = 3

    with pytest.raises(
        ValueError, match=r"^model.net: Taken has a missing_x, which is the name of"
    ):
        built("pytorch", net=Taken)


def test_a_keras_model_with_a_loss_of_its_own_judges_what_is_filled() -> None:
    import keras

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.out = keras.layers.Dense(2)

        def call(self, inputs: Any) -> Any:
            return self.out(inputs["x"])

        def compute_loss(self, x: Any, y: Any, y_pred: Any, *_: Any, **__: Any) -> Any:
            return keras.ops.mean((y_pred - x["x"]) ** 2)

    def made(inputs: Any) -> Any:
        plain = parts(Own, None, keras.optimizers.SGD, None, inputs, outputs=["answers"])
        keras.utils.clear_session(free_memory=False)
        framework.seed(0)
        return framework.build(replace(plain, averaging=Averaging("ema", 0.5, 0)))

    framework = frameworks.framework("keras")
    gaps, plain = made(INPUTS), made(PLAIN)
    for _ in range(3):
        loss = float(framework.step(gaps, ROWS, TARGETS, np.arange(4)))
        assert np.isfinite(loss)
        assert loss == float(framework.step(plain, KNOWN, TARGETS, np.arange(4)))
    assert (
        framework.evaluate(gaps, ROWS, TARGETS)[1] == framework.evaluate(plain, KNOWN, TARGETS)[1]
    )


def test_rows_are_filled_as_they_are_read() -> None:
    rows = Filled(ROWS["x"], np.array([1.5, -2.0], np.float32))
    assert len(rows) == 4 and rows.shape == (4, 2) and rows.dtype == np.float32
    for index in (slice(None), slice(1, 3), np.array([2, 0]), 1):
        assert np.array_equal(rows[index], KNOWN["x"][index])
    assert np.array_equal(np.asarray(rows), KNOWN["x"])
