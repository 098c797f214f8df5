"""The Keras models that come with the pipeline: what they compute, and that they learn."""

import csv
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from pipeline.config.component import component
from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.reading import Component
from pipeline.config.targets import Kind
from pipeline.frameworks import keras as framework
from pipeline.reference.edges import edges
from pipeline.training.epochs import epoch_batches, steps
from testing.parts import answers, parts
from testing.project import ROOT
from testing.training import settings_of

import keras  # isort: skip  # by now the framework has chosen the backend
from models.keras_custom import Affine, GeneralizedCrossEntropy  # isort: skip
from models.keras_functional import REACH, soft_clip  # isort: skip

NAMES = ("keras_mlp", "keras_custom", "keras_functional", "keras_text_tabular")
Split = tuple[dict[str, np.ndarray], np.ndarray]


def digits() -> Split:
    rows = np.loadtxt(ROOT / "data/digits.csv", delimiter=",", skiprows=1, dtype=np.int64)
    return {"pixels": rows[:, :-1].astype(np.float32)}, rows[:, -1]


def parcels() -> Split:
    with (ROOT / "data/parcels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    numbers = np.stack([found[name] for name in ("weight", "distance", "hour")], axis=1)
    inputs = {name: found[name] for name in ("carrier", "town", "service")}
    return inputs | {"numbers": numbers.astype(np.float32)}, found["late"].astype(np.int64)


def data_of(name: str) -> Split:
    return parcels() if name == "keras_text_tabular" else digits()


def built(name: str) -> framework.Training:
    """As conf/model/<name>.yaml has it, with a learning rate of 0.01."""
    data = "parcels" if name == "keras_text_tabular" else "digits"
    overrides = (f"model={name}", f"data={data}", "train.lr=0.01", "train.epochs=5")
    conf: Mapping[str, Any] = interpolated(compose_conf(ROOT / "conf", overrides))
    chosen = {part: conf["model"][part] for part in ("net", "loss", "optimizer", "scheduler")}
    made: list[Any] = [
        component(Component(part), "model", Kind(bases=(framework.BASES[name],), **framework.PARTS))
        if part
        else None
        for name, part in chosen.items()
    ]
    framework.configure(1)
    framework.seed(1)
    inputs = conf["data"]["inputs"]
    return framework.build(parts(*made, inputs, outputs=conf["model"]["outputs"]))


def answer(training: framework.Training, inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Returns its only output."""
    outputs, _ = answers(framework, training, inputs)
    (output,) = outputs.values()
    return output


@pytest.fixture(scope="module", params=NAMES)
def fitted(request: pytest.FixtureRequest) -> tuple[framework.Training, Split, Split]:
    """Five epochs on all but each fifth row."""
    training, (inputs, target) = built(request.param), data_of(request.param)
    unseen = np.arange(len(target)) % 5 == 0
    mine = {name: array[~unseen] for name, array in inputs.items()}
    framework.adapt(training, mine)
    for epoch in range(1, 6):
        framework.seed(epoch, training)
        batches = epoch_batches(settings_of(), epoch, int((~unseen).sum()))
        list(steps(framework, training, mine, {"label": target[~unseen]}, batches, []))
        framework.end_epoch(training)
    others = {name: array[unseen] for name, array in inputs.items()}
    return training, (mine, target[~unseen]), (others, target[unseen])


def test_a_model_learns(fitted: tuple[framework.Training, Split, Split]) -> None:
    training, _, (inputs, target) = fitted
    probabilities = answer(training, inputs)
    least = 0.75 if "town" in inputs else 0.93
    assert (probabilities.argmax(axis=1) == target).mean() > least


def test_probabilities_come_out_whatever_goes_in(
    fitted: tuple[framework.Training, Split, Split],
) -> None:
    """Rows never seen, words never seen, the empty text, and both ranges left behind."""
    training, (inputs, _), _ = fitted
    odd = {name: edges(array) for name, array in inputs.items()}
    probabilities = answer(training, odd)
    assert probabilities.dtype == np.float32
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    for rows in (1, 7):
        some = {name: array[:rows] for name, array in inputs.items()}
        assert len(answer(training, some)) == rows


def test_a_model_comes_back_from_its_configuration(
    fitted: tuple[framework.Training, Split, Split],
) -> None:
    """What a .keras archive keeps of an architecture."""
    training, (inputs, _), _ = fitted
    model = framework.predictor(training, {name: array[:1] for name, array in inputs.items()})
    again = type(model).from_config(model.get_config())
    assert again.get_config() == model.get_config()
    loss = model.loss
    assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()


def test_each_input_matters_and_words_are_told_apart() -> None:
    training, (inputs, _) = built("keras_text_tabular"), parcels()
    framework.adapt(training, inputs)
    base = {name: array[:1] for name, array in inputs.items()}
    expected = answer(training, base)
    for name, other in {"carrier": "Egret", "town": "Łódź", "service": "express"}.items():
        assert base[name][0] != other
        changed = answer(training, base | {name: np.array([other])})
        assert not np.array_equal(expected, changed)


def test_an_affine_layer_is_matmul_plus_bias() -> None:
    layer, rows = Affine(3), np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    layer.build((None, 4))
    layer.bias.assign([1.0, 2.0, 3.0])
    expected = rows @ layer.weight.numpy() + [1, 2, 3]
    np.testing.assert_allclose(layer(rows), expected, rtol=1e-5)


def test_generalized_cross_entropy_lies_between_its_limits() -> None:
    probabilities = np.float32([[0.7, 0.3], [0.2, 0.8], [0.9, 0.1]])
    target, true = np.array([0, 1, 1]), np.array([0.7, 0.8, 0.1])
    near, far = (float(GeneralizedCrossEntropy(q)(target, probabilities)) for q in (1e-3, 1.0))
    assert near == pytest.approx(-np.log(true).mean(), rel=2e-3)
    assert far == pytest.approx((1 - true).mean(), rel=1e-5)


def test_a_soft_clip_leaves_small_values_and_bounds_large_ones() -> None:
    values = np.float32([-1e9, -0.1, 0, 0.1, 1e9])
    np.testing.assert_allclose(soft_clip(values), [-REACH, -0.1, 0, 0.1, REACH], atol=1e-4)


def test_a_constant_pixel_that_varies_at_last_does_no_harm() -> None:
    training, (inputs, _) = built("keras_functional"), digits()
    flat = inputs["pixels"].copy()
    flat[:, 0] = 0.1
    framework.adapt(training, {"pixels": flat})
    bright = flat[:1].copy()
    bright[0, 0] = 16
    hidden = answer(training, {"pixels": bright})
    assert np.isfinite(hidden).all()
    assert keras.ops.max(hidden) < 1
