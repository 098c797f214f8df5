"""How a Keras training takes a step, and that nothing of it is lost between two of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.frameworks import keras as framework
from pipeline.frameworks.contract import Accumulation, Adapting, Averaging, Parts, Term
from testing.formats import form as plugin
from testing.stepping import SEED, STEPS, Stepping, in_bytes, small_table

import keras  # isort: skip  # by now the framework has chosen the backend

form = plugin("saved_model")
ROWS, LABELS = small_table()
STEPPING = Stepping(
    framework, form, ROWS, LABELS, "answer", lambda one, other: np.allclose(one, other, 1e-5, 1e-6)
)
stepped, exported, differing = STEPPING.stepped, STEPPING.exported, STEPPING.differing
still_and_moved = STEPPING.still_and_moved


def net() -> keras.Model:
    """Batch norm and dropout between two layers."""
    given = keras.Input((4,), name="x")
    values = keras.layers.BatchNormalization(name="norm")(
        keras.layers.Dense(8, name="first")(given)
    )
    values = keras.layers.Dropout(0.3)(keras.layers.Activation("relu")(values))
    return keras.Model(given, keras.layers.Dense(3, activation="softmax", name="last")(values))


def plain() -> keras.Model:
    given = keras.Input((4,), name="x")
    return keras.Model(given, keras.layers.Dense(3, activation="softmax", name="last")(given))


def built(
    net: Callable[[], keras.Model] = net,
    optimizer: Callable[..., Any] = keras.optimizers.AdamW,
    scheduler: Callable[..., Any] | None = None,
    **options: Any,
) -> framework.Training:
    framework.configure(1)
    framework.seed(1)
    parts: Mapping[str, Any] = {
        "net": net,
        "loss": {"model.loss": Term(loss=keras.losses.SparseCategoricalCrossentropy)},
        "optimizer": optimizer,
        "scheduler": scheduler,
        "inputs": {"x": {"dtype": "float32", "shape": [4]}},
        "targets": {"label": {"dtype": "int64", "shape": [], "classes": 3}},
        "outputs": {"answer": "answer"},
        "device": "cpu",
        "clip_norm": None,
    }
    return framework.build(Parts(**{**parts, **options}))


def cosine() -> Any:
    return keras.optimizers.schedules.CosineDecay(0.1, 6)


OPTIONS: dict[str, dict[str, Any]] = {
    "weighed": {"accumulation": Accumulation(3), "class_weights": (0.5, 2.0, 1.0)},
    "clipped by step": {
        "accumulation": Accumulation(3, 1),
        "clip_norm": 0.1,
        "scheduler": lambda: cosine(),
        "schedule_by": "step",
    },
    "frozen": {
        "freeze": ["first", "norm"],
        "clip_norm": 0.1,
        "averaging": Averaging("ema", 0.9, 1),
    },
    "swa from the second epoch on": {"averaging": Averaging("swa", 0.0, 2), "freeze": ["first"]},
    "bfloat16": {"precision": "bfloat16", "averaging": Averaging("ema", 0.9, 1)},
    "float16": {"precision": "float16", "accumulation": Accumulation(3, 1), "clip_norm": 0.1},
}
"""Several in one training: the programs and what is saved are compared bit for bit."""


@pytest.fixture(scope="module")
def beginning(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[[str], framework.Training]:
    """Returns the training with these options at its beginning; built and traced once."""
    root, made = tmp_path_factory.mktemp("beginnings"), dict[str, framework.Training]()

    def training(name: str) -> framework.Training:
        saved = root / f"{name}{framework.SUFFIX}"
        if name not in made:
            made[name] = built(**OPTIONS[name])
            framework.save(made[name], saved)
        framework.load(made[name], saved)
        return made[name]

    return training


@pytest.mark.parametrize("name", OPTIONS)
def test_it_trains_on_without_its_source_bit_for_bit(
    name: str, beginning: Callable[[str], framework.Training], tmp_path: Path
) -> None:
    STEPPING.demand_trains_on(beginning(name), tmp_path)


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_loaded_goes_on_as_what_was_saved(
    name: str, beginning: Callable[[str], framework.Training], tmp_path: Path
) -> None:
    STEPPING.demand_goes_on(beginning(name), built(**OPTIONS[name]), tmp_path)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_snapshot_is_what_is_saved_and_stays_while_training_goes_on(
    name: str, beginning: Callable[[str], framework.Training], tmp_path: Path
) -> None:
    STEPPING.demand_same_snapshot(beginning(name), tmp_path)


@pytest.mark.parametrize("rows", [64, 7, 1])
def test_a_gradient_in_batches_is_that_of_all_rows(rows: int) -> None:
    """The last batch of seven is smaller than the others, and weighs less."""

    def moved(accumulation: Accumulation) -> tuple[float, np.ndarray]:
        training = built(plain, lambda: keras.optimizers.SGD(1.0), accumulation=accumulation)
        loss = float(framework.step(training, ROWS, LABELS, np.arange(rows)))
        return loss, framework.state(training)["net/last/kernel"]

    STEPPING.demand_batches_add_up(moved)


def test_a_schedule_advances_at_each_step_or_at_each_end_of_an_epoch() -> None:
    def rates(schedule_by: str) -> list[float]:
        training, found = built(scheduler=cosine, schedule_by=schedule_by), []
        for number, rows in enumerate(STEPS):
            found.append(float(training.model.optimizer.learning_rate))
            framework.step(training, ROWS, LABELS, rows)
            if number == 1:
                framework.end_epoch(training, 0.5)
        return found

    assert rates("step") == pytest.approx([float(cosine()(n)) for n in range(4)])
    assert rates("epoch") == pytest.approx([float(cosine()(n)) for n in (0, 0, 1, 1)])


@pytest.mark.parametrize(("kind", "expected"), [("ema", [1, 1, 2, 4]), ("swa", [1, 1, 1, 1])])
def test_an_average_is_that_of_the_weights_after_each_step(
    kind: str, expected: list[float]
) -> None:
    """Of an ema with a decay of a half, from the second step on, the first has what is left."""
    training = built(averaging=Averaging(kind, 0.5, 1))
    after = []
    for rows in STEPS:
        framework.step(training, ROWS, LABELS, rows)
        after.append(framework.state(training)["trained/last/kernel"])
    mean = np.average(after, axis=0, weights=expected)
    np.testing.assert_allclose(framework.state(training)["net/last/kernel"], mean, rtol=1e-4)
    answer, _ = framework.evaluate(training, ROWS, None)
    framework.set_weights(training, {"net/last/kernel": after[-1]})
    assert not np.array_equal(
        framework.evaluate(training, ROWS, None)[0]["answer"], answer["answer"]
    )


SWA: dict[str, Any] = {"averaging": Averaging("swa", 0.0, 2)}


def resumed(path: Path) -> dict[str, bytes]:
    """Returns what a training that loads this comes to."""
    training = built(**SWA)
    framework.load(training, path)
    framework.seed(SEED, training)
    stepped(training)
    return in_bytes(framework.state(training))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], Any]:
    """Returns a checkpoint with an average, and what goes on from it comes to."""
    path, training = tmp_path_factory.mktemp("whole") / "whole.npz", built(**SWA)
    stepped(training)
    framework.save(training, path)
    return dict(np.load(path)), resumed(path)


@pytest.mark.parametrize("lost", ["trained/last/kernel", "average/steps", "epochs"])
def test_a_checkpoint_that_lacks_a_part_of_an_average_is_noticed(
    lost: str, whole: tuple[dict[str, np.ndarray], Any], tmp_path: Path
) -> None:
    state, end = whole
    np.savez(tmp_path / "lacking.npz", **state | {lost: np.zeros_like(state[lost])})
    assert resumed(tmp_path / "lacking.npz") != end


def test_a_frozen_part_stays_as_it_is_its_batch_norms_statistics_too() -> None:
    still, moved = still_and_moved(built(freeze=["first", "norm"]))
    assert still == {name for name in still | moved if name.startswith(("first/", "norm/"))}
    still, moved = still_and_moved(built(freeze=["*/bias", "norm/gamma"]))
    assert still == {"first/bias", "last/bias", "norm/gamma"}
    assert "norm/moving_mean" in moved


def test_a_pattern_that_freezes_nothing_or_everything_is_refused() -> None:
    said = "^train.freeze: found 'frist', which fits no weight, expected first or"
    with pytest.raises(ValueError, match=said):
        built(freeze=["frist"])
    with pytest.raises(ValueError, match="^train.freeze: .* fit every weight"):
        built(freeze=["*"])


def test_an_adapter_is_of_another_framework() -> None:
    with pytest.raises(ValueError, match="^train.adapter: found one, but model.framework is keras"):
        built(adapter=Adapting(2, 4.0, 0.0, ["first"], []))


def test_a_step_is_narrow_and_what_is_predicted_is_not() -> None:
    wide, narrow = built(plain), built(plain, precision="bfloat16")
    before = framework.evaluate(wide, ROWS, LABELS)
    assert np.array_equal(
        before[0]["answer"], framework.evaluate(narrow, ROWS, LABELS)[0]["answer"]
    )
    one, other = (float(framework.step(each, ROWS, LABELS, STEPS[0])) for each in (wide, narrow))
    assert one != other and one == pytest.approx(other, rel=0.02)
    assert {each.dtype for each in framework.state(narrow).values() if each.dtype.kind == "f"} == {
        np.dtype("float32")
    }


def test_a_layer_with_a_dtype_of_its_own_keeps_it() -> None:
    def own() -> keras.Model:
        given = keras.Input((4,), name="x")
        last = keras.layers.Dense(3, activation="softmax", name="last", dtype="float32")
        return keras.Model(given, last(keras.layers.Dense(8, name="first")(given)))

    narrow = [each.name for each in built(own, precision="bfloat16").precision.layers]
    assert "first" in narrow and "last" not in narrow


def test_a_step_whose_gradients_leave_the_numbers_is_passed_over_and_the_scale_halved() -> None:
    training = built(plain, precision="float16")
    before = framework.state(training)
    rows = {"x": np.full((16, 4), 1e6, np.float32)}  # infinite in float16
    framework.step(training, rows, LABELS, np.arange(16))
    after = framework.state(training)
    changed = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert changed == {"optimizer/loss_scale_optimizer/dynamic_scale"}
    scale = "optimizer/loss_scale_optimizer/dynamic_scale"
    assert after[scale] == before[scale] / 2


def test_a_class_weighs_what_it_is_given_in_a_step() -> None:
    def loss(label: int, **options: Any) -> float:
        training = built(plain, lambda: keras.optimizers.SGD(0.0), **options)
        rows = np.flatnonzero(LABELS["label"] == label)
        return float(framework.step(training, ROWS, LABELS, rows))

    for label, weight in enumerate((0.5, 2.0, 1.0)):
        weighed = loss(label, class_weights=(0.5, 2.0, 1.0))
        assert weighed == pytest.approx(weight * loss(label), rel=1e-6)


def test_averages_are_written_as_keras_archive_without_an_optimizer(tmp_path: Path) -> None:
    training = built(averaging=Averaging("ema", 0.9, 1))
    stepped(training)
    few = {"x": ROWS["x"][:7]}
    archive, model = plugin("keras_archive"), framework.predictor(training, few)
    archive.export(model, few, ["answer"], tmp_path)
    assert model.compiled and not keras.saving.load_model(tmp_path / "model.keras").compiled
    answers, _ = framework.evaluate(training, few, None)
    assert np.allclose(archive.load(tmp_path)(few)["answer"], answers["answer"], 1e-6, 1e-6)


class Told(keras.layers.Layer):
    """Adds a loss of its own while it is called."""

    def call(self, values: Any) -> Any:
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(values)))
        return values


@pytest.mark.parametrize("subclassed", [False, True])
def test_a_loss_that_is_added_within_call_counts_and_trains_on(
    subclassed: bool, tmp_path: Path
) -> None:
    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.told, self.last = Told(), keras.layers.Dense(3, activation="softmax", name="last")

        def call(self, x: Any) -> Any:
            return self.last(self.told(x))

    def functional() -> keras.Model:
        given = keras.Input((4,), name="x")
        last = keras.layers.Dense(3, activation="softmax", name="last")
        return keras.Model(given, last(Told()(given)))

    training = built(Model if subclassed else functional)
    answers, loss = framework.evaluate(training, ROWS, LABELS)
    right = answers["answer"][np.arange(64), LABELS["label"]]
    own = 0.1 * np.square(ROWS["x"]).mean()
    np.testing.assert_allclose(loss, own - np.log(right).mean(), rtol=1e-5)
    STEPPING.demand_trains_on(training, tmp_path)
