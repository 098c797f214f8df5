"""A Keras model trains, is saved and goes on, bit for bit, whatever its layers hold."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import provenance
from pipeline.frameworks import _keras_preprocessing, _npz
from pipeline.frameworks import keras as framework
from pipeline.training.epochs import epoch_batches, mean_loss, steps
from pipeline.training.parts import seed as seed_of
from testing import preloaded
from testing.parts import LABEL, answers, parts
from testing.project import Project, make_project
from testing.training import settings_of

import keras  # isort: skip  # by now the framework has chosen the backend
import tensorflow as tf  # isort: skip

ROWS = np.random.default_rng(0).normal(3, 5, (70, 4)).astype(np.float32)
LABELS = (ROWS[:, 0] > ROWS[:, 1]).astype(np.int64)
TRUE = {"label": LABELS}
ONE = {"rows": {"dtype": "float32", "shape": [4]}}
Classes = keras.losses.SparseCategoricalCrossentropy


def full() -> keras.Model:
    """Everything with a state of its own: statistics, moving averages, two random generators."""
    inputs = keras.Input((4,), name="rows")
    values = keras.layers.Normalization()(inputs)
    values = keras.layers.GaussianNoise(0.1)(values)
    values = keras.layers.Dense(8, kernel_regularizer="l2")(values)
    values = keras.layers.BatchNormalization()(values)
    values = keras.layers.Dropout(0.5)(values)
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(values))


def plain() -> keras.Model:
    inputs = keras.Input((4,), name="rows")
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(inputs))


def pair() -> keras.Model:
    inputs = [keras.Input((4,), name=name) for name in ("left", "right")]
    return keras.Model(inputs, keras.layers.Add()(inputs))


def cosine() -> Any:
    return keras.optimizers.schedules.CosineDecay(0.1, 4)


def built(
    net: Callable[[], keras.Model] = full,
    *,
    loss: Callable[[], Any] | None = Classes,
    optimizer: Callable[[], Any] = keras.optimizers.AdamW,
    scheduler: Callable[[], Any] | None = cosine,
    inputs: Any = ONE,
    clip: float | None = None,
    targets: Any = LABEL,
) -> framework.Training:
    framework.configure(1)
    framework.seed(seed_of(0, 0))
    return framework.build(parts(net, loss, optimizer, scheduler, inputs, clip, targets=targets))


def fit(training: framework.Training, epochs: range) -> list[float]:
    found = []
    for epoch in epochs:
        framework.seed(seed_of(0, epoch), training)
        batches = epoch_batches(settings_of(), epoch, len(ROWS))
        found.append(
            mean_loss(steps(framework, training, {"rows": ROWS}, TRUE, batches, []), batches)
        )
        framework.end_epoch(training)
    return found


def saved(training: framework.Training, path: Path) -> bytes:
    framework.save(training, path)
    return path.read_bytes()


@pytest.mark.parametrize("mapped", [1, _npz.MAPPED])
def test_a_run_resumed_after_any_epoch_ends_in_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mapped: int
) -> None:
    """Whether the state is read or mapped, of which no step writes anything to the file."""
    monkeypatch.setattr(_npz, "MAPPED", mapped)
    undisturbed = built()
    framework.adapt(undisturbed, {"rows": ROWS})
    losses = fit(undisturbed, range(1, 2))
    first = saved(undisturbed, tmp_path / "1.npz")
    losses += fit(undisturbed, range(2, 4))
    expected = saved(undisturbed, tmp_path / "3.npz")

    resumed = built()
    framework.load(resumed, tmp_path / "1.npz")
    assert fit(resumed, range(2, 4)) == losses[1:]
    assert saved(resumed, tmp_path / "again.npz") == expected
    assert (tmp_path / "1.npz").read_bytes() == first


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    first, second = built(), None
    framework.adapt(first, {"rows": ROWS})
    fit(first, range(1, 2))
    before = saved(first, tmp_path / "first.npz")
    outputs, _ = answers(framework, first, {"rows": ROWS})
    second = built()
    framework.load(second, tmp_path / "first.npz")
    assert saved(second, tmp_path / "second.npz") == before
    again, _ = answers(framework, second, {"rows": ROWS})
    assert np.array_equal(again["output"], outputs["output"])


def resumed(path: Path) -> np.ndarray:
    """Returns what it answers two epochs after the checkpoint."""
    training = built()
    framework.load(training, path)
    fit(training, range(2, 4))
    return answers(framework, training, {"rows": ROWS})[0]["output"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns a checkpoint, and what its training answers in the end."""
    path, training = tmp_path_factory.mktemp("whole") / "1.npz", built()
    framework.adapt(training, {"rows": ROWS})
    fit(training, range(1, 2))
    framework.save(training, path)
    return dict(np.load(path)), resumed(path)


@pytest.mark.parametrize(
    "part",
    [
        "/mean",
        "/moving_mean",
        "/dense/kernel",
        "/iteration",
        "/learning_rate",
        "kernel_momentum",
        "epochs",
    ],
)
def test_no_part_of_a_checkpoint_is_idle(
    whole: tuple[dict[str, np.ndarray], np.ndarray], tmp_path: Path, part: str
) -> None:
    """A resumed run with any one thing changed ends otherwise."""
    state, end = whole
    (name, *_) = [key for key in state if key.endswith(part)]
    np.savez(tmp_path / "changed.npz", **state | {name: state[name] + 1})
    assert not np.array_equal(resumed(tmp_path / "changed.npz"), end)


def test_the_random_numbers_of_an_epoch_hang_on_seed_and_epoch_alone() -> None:
    training = built()
    states = [v for v in training.model.variables if "seed_generator" in v.path]
    assert len(states) == 2

    def after(value: int) -> list[Any]:
        framework.seed(value, training)
        return [state.numpy().tolist() for state in states]

    first = after(7)
    fit(training, range(1, 2))
    assert after(7) == first != after(8)
    assert first[0] != first[1]


def uses(draw: Callable[[Any], Any]) -> Callable[[], keras.Model]:
    class Draws(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.answer = keras.layers.Dense(2, activation="softmax")

        def call(self, rows: Any, training: bool = False) -> Any:
            return self.answer(rows + draw(rows) if training else rows)

    return Draws


@pytest.mark.parametrize(
    ("draw", "name"),
    [
        (lambda rows: keras.random.normal((4,)), "seed_generator_state"),
        (lambda rows: tf.random.normal(tf.shape(rows)), "random_normal"),
        (lambda rows: tf.function(lambda: tf.random.normal(tf.shape(rows)))(), "random_normal"),
    ],
)
def test_randomness_that_no_checkpoint_could_hold_is_refused(draw: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.* resumed run would differ") as said:
        framework.adapt(built(uses(draw)), {"rows": ROWS})
    assert "\n" not in str(said.value)


def test_a_function_that_holds_no_state_is_taken() -> None:
    """Keras calls a grouped convolution as one, on a CPU."""
    inputs = keras.Input((4,), name="rows")
    hidden = keras.layers.Conv2D(4, 1, groups=2)(keras.layers.Reshape((1, 1, 4))(inputs))
    answer = keras.layers.Dense(2, activation="softmax")(keras.layers.Flatten()(hidden))
    framework.adapt(built(lambda: keras.Model(inputs, answer)), {"rows": ROWS})


def test_another_models_checkpoint_is_refused_by_the_name_of_a_variable(tmp_path: Path) -> None:
    framework.save(built(plain), tmp_path / "plain.npz")
    with pytest.raises(ValueError, match=r"plain.npz: of another model: .*batch_normalization"):
        framework.load(built(), tmp_path / "plain.npz")
    state = dict(np.load(tmp_path / "plain.npz"))
    np.savez(tmp_path / "wide.npz", **state | {"net/dense/bias": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"net/dense/bias has shape \(3,\), expected \(2,\)"):
        framework.load(built(plain), tmp_path / "wide.npz")


def test_the_loss_is_the_mean_over_all_rows() -> None:
    still = built(plain, optimizer=lambda: keras.optimizers.SGD(0.0), scheduler=None)
    batches = [np.arange(60), np.arange(60, 70)]
    found = mean_loss(steps(framework, still, {"rows": ROWS}, TRUE, batches, []), batches)
    outputs, whole = answers(framework, still, {"rows": ROWS}, TRUE)
    _, parted = answers(framework, still, {"rows": ROWS}, TRUE, 32)
    exact = -np.log(outputs["output"][np.arange(70), LABELS]).mean()
    assert [found, whole, parted] == pytest.approx([exact] * 3, rel=1e-5)


def test_clipping_bounds_the_norm_of_the_whole_gradient() -> None:
    def moved(clip: float | None) -> float:
        optimizer = partial(keras.optimizers.SGD, 1.0)
        training = built(plain, optimizer=optimizer, scheduler=None, clip=clip)
        before = training.model.get_weights()
        rows = [np.arange(70)]
        mean_loss(steps(framework, training, {"rows": ROWS}, TRUE, rows, []), rows)
        after = training.model.get_weights()
        return sum(((a - b) ** 2).sum() for a, b in zip(after, before, strict=True)) ** 0.5

    assert moved(None) > 0.5
    assert moved(0.5) == pytest.approx(0.5, rel=1e-3)


def test_the_schedule_advances_once_an_epoch() -> None:
    training, rates = built(), []
    for epoch in range(1, 4):
        rates.append(float(training.model.optimizer.learning_rate))
        fit(training, range(epoch, epoch + 1))
    assert rates == pytest.approx([float(cosine()(epoch)) for epoch in range(3)])


def test_two_schedules_are_one_too_many() -> None:
    with pytest.raises(ValueError, match=r"^model.scheduler: .*expected one of them$"):
        built(plain, optimizer=lambda: keras.optimizers.SGD(cosine()))


def words() -> keras.Model:
    """One layer looks up what another has prepared, one comes with its vocabulary."""
    town, age = keras.Input((), dtype="string", name="town"), keras.Input((1,), name="age")
    index = keras.layers.StringLookup(max_tokens=9)(town)
    known = keras.layers.StringLookup(vocabulary=["b", "a"], output_mode="one_hot")(town)
    cut = keras.layers.Discretization(num_bins=3, output_mode="one_hot")(age)
    scaled = keras.layers.Normalization()(keras.layers.Rescaling(0.5)(age))
    parts = [keras.layers.Embedding(9, 2)(index), known, cut, scaled]
    together = keras.layers.Concatenate()([keras.ops.cast(part, "float32") for part in parts])
    answer = keras.layers.Dense(2, activation="softmax")(together)
    return keras.Model({"age": age, "town": town}, answer)


TOWNS = {"town": {"dtype": "string", "shape": []}, "age": {"dtype": "float32", "shape": [1]}}
TABLE = {
    "town": np.array(["ü", "a", "a", "b", "", "a"] * 9, "<U5"),
    "age": np.arange(54.0)[:, None],
}
TABLE["age"] = TABLE["age"].astype(np.float32)


def test_layers_of_a_functional_model_are_adapted_to_what_reaches_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_keras_preprocessing, "ADAPT_ROWS", 16)
    training = built(words, inputs=TOWNS)
    framework.adapt(training, TABLE)
    framework.save(training, tmp_path / "words.npz")
    state = dict(np.load(tmp_path / "words.npz"))
    assert state["vocabulary/string_lookup"].tolist() == ["a", "ü", "b", ""]
    assert state["vocabulary/string_lookup_1"].tolist() == ["b", "a"]
    assert state["net/normalization/mean"] == pytest.approx((TABLE["age"] / 2).mean(), rel=1e-5)
    assert state["net/normalization/variance"] == pytest.approx((TABLE["age"] / 2).var(), rel=1e-5)
    assert len(state["boundaries/discretization"]) == 2

    expected = answers(framework, training, TABLE)[0]["output"]
    again = built(words, inputs=TOWNS)
    framework.load(again, tmp_path / "words.npz")
    assert np.array_equal(answers(framework, again, TABLE)[0]["output"], expected)


def test_a_lookup_whose_size_nobody_knows_is_refused() -> None:
    many = keras.layers.StringLookup(output_mode="one_hot")
    net = takes(lambda self, town: many(town))
    with pytest.raises(ValueError, match=r"^model.net: .*must set the layer's vocabulary"):
        built(net, inputs={"town": TOWNS["town"]})


def test_a_layer_that_holds_more_than_a_checkpoint_is_refused() -> None:
    def net() -> keras.Model:
        town = keras.Input((1,), dtype="string", name="town")
        counts = keras.layers.StringLookup(
            output_mode="tf_idf", max_tokens=4, pad_to_max_tokens=True, name="weighed"
        )(town)
        return keras.Model(town, keras.layers.Dense(2)(counts))

    with pytest.raises(ValueError, match=r"^model.net: weighed: found output_mode tf_idf"):
        built(net, inputs={"town": {"dtype": "string", "shape": [1]}})


class Adapts(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.normalization = keras.layers.Normalization()
        self.answer = keras.layers.Dense(2, activation="softmax")

    def adapt(self, rows: np.ndarray) -> None:
        self.normalization.adapt(np.asarray(rows))

    def call(self, rows: Any) -> Any:
        return self.answer(self.normalization(rows))


def test_a_model_with_an_adapt_gets_its_inputs_by_name() -> None:
    training = built(Adapts)
    framework.adapt(training, {"rows": ROWS})
    mean = training.model.normalization.mean
    np.testing.assert_allclose(np.ravel(mean), ROWS.mean(axis=0), rtol=1e-5)


class Chooses(keras.Model):
    """Compiled by a method of its own, which names no loss and chooses one."""

    def __init__(self) -> None:
        super().__init__()
        self.out = keras.layers.Dense(2)

    def call(self, inputs: Any) -> Any:
        return self.out(inputs)

    def compile(self, optimizer: Any, distance: str = "auto", **more: Any) -> None:
        chosen = "mean_absolute_error" if distance == "auto" else distance
        super().compile(optimizer=optimizer, loss=chosen, **more)

    def compute_loss(self, x: Any, y: Any, y_pred: Any, *_: Any, **__: Any) -> Any:
        return super().compute_loss(x, keras.ops.one_hot(y, 2), y_pred)


def test_a_model_whose_own_compile_chooses_the_loss_is_compiled_without_one() -> None:
    training = built(Chooses, loss=None)
    true = keras.ops.one_hot(LABELS[:4], 2)
    off = float(keras.ops.mean(keras.ops.abs(training.model(ROWS[:4]) - true)))
    labels = {"label": LABELS}
    loss = float(framework.step(training, {"rows": ROWS}, labels, np.arange(4)))
    assert loss == pytest.approx(off)


def test_a_model_that_defines_no_loss_is_not_compiled_without_one() -> None:
    with pytest.raises(ValueError, match=r"^model.loss: found null, but Functional does not"):
        built(plain, loss=None)


def takes(call: Callable[..., Any]) -> Callable[[], keras.Model]:
    return lambda: type("Takes", (keras.Model,), {"call": call})()


@pytest.mark.parametrize(
    ("net", "inputs", "said"),
    [
        (pair, ONE, r"its inputs are \['left', 'right'\], data.inputs has \['rows'\]"),
        (takes(lambda self, cells: cells), ONE, r"its call takes 'cells', data.inputs has 'rows'"),
        (
            takes(lambda self, inputs: inputs["city"]),
            TOWNS,
            r"'city'; data.inputs has \['town', 'age'\]",
        ),
        (plain, {"rows": {"dtype": "float32", "shape": [5]}}, r"expected shape=\(None, 4\)"),
    ],
)
def test_a_call_that_does_not_fit_the_inputs_is_refused(net: Any, inputs: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^model.net: .*{said}") as caught:
        built(net, inputs=inputs)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there_is_refused() -> None:
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    framework.configure(1)
    with pytest.raises(ValueError, match=r"^train.device: found cuda, but TensorFlow sees no GPU"):
        framework.build(parts(plain, Classes, keras.optimizers.SGD, None, ONE, device="cuda"))


def doubled(values: Any) -> Any:
    return 2 * values


def test_sources_are_where_layers_and_their_functions_come_from() -> None:
    assert framework.sources(built()) == []
    here = Adapts.__module__.split(".")[0]
    assert framework.sources(built(Adapts)) == [here]

    def net() -> keras.Model:
        inputs = keras.Input((4,), name="rows")
        return keras.Model(inputs, keras.layers.Dense(2, activation=doubled)(inputs))

    assert framework.sources(built(net)) == [here]


def test_regression_with_two_outputs_is_judged_by_the_first() -> None:
    def net() -> keras.Model:
        inputs = keras.Input((4,), name="rows")
        return keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(3)(inputs)])

    training = built(
        net,
        loss=keras.losses.MeanSquaredError,
        optimizer=lambda: keras.optimizers.SGD(0.01),
        scheduler=None,
        targets={"sum": {"dtype": "float32", "shape": []}},
    )
    true, losses = {"sum": ROWS @ np.float32([1, -2, 0, 1])}, []
    for _ in range(40):
        rows = [np.arange(35), np.arange(35, 70)]
        losses.append(mean_loss(steps(framework, training, {"rows": ROWS}, true, rows, []), rows))
    outputs, loss = answers(framework, training, {"rows": ROWS}, true, 32)
    assert [output.shape for output in outputs.values()] == [(70, 1), (70, 3)]
    assert loss == pytest.approx(((outputs["0"][:, 0] - true["sum"]) ** 2).mean(), rel=1e-4)
    assert loss < losses[0] / 100


SAY = """
import os, runpy, sys
end_at_once, os._exit = os._exit, sys.exit
for stage in sys.argv[1:]:
    sys.argv = stage.split()
    try:
        runpy.run_module("pipeline." + sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        loaded = sorted({"torch", "tensorflow"} & set(sys.modules))
        print("ended with", end.code, loaded, flush=True)
end_at_once(0)
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """keras_functional, trained by the stages' own processes. Read it, do not change it."""
    project = make_project(tmp_path_factory.mktemp("keras") / "project")
    project.params("model=keras_functional", "train.epochs=3", "train.batch_size=128")
    project.stage("prepare")
    said = project.stage("train").stdout.splitlines()
    assert [line.split("  ")[0] for line in said] == [f"epoch {n}/3" for n in (1, 2, 3)]
    return project


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(
    run: Project, copy_of: Callable[[Project], Project]
) -> None:
    """With Normalization, dropout, batch norm, AdamW and a schedule; also two runs agree."""
    project = copy_of(run)
    output = project.root / "artifacts/train"
    command = [preloaded.python(), "-m", "pipeline.train", "--data", "artifacts/data"]
    command += ["--models", "models", "--output", "artifacts/train"]
    running = subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True)
    assert running.stdout
    for line in running.stdout:
        if line.startswith("epoch 1/3"):  # a kill takes a moment to come through
            os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not (output / provenance.NAME).exists()
    assert "going on after epoch" in project.stage("train").stdout
    theirs = run.root / "artifacts/train"
    assert (output / provenance.NAME).read_bytes() == (theirs / provenance.NAME).read_bytes()
    assert provenance.faults(output) == []


@pytest.mark.parametrize(
    ("model", "loaded"), [("keras_functional", "tensorflow"), ("torch_mlp", "torch")]
)
def test_a_run_loads_one_framework(
    run: Project, copy_of: Callable[[Project], Project], model: str, loaded: str
) -> None:
    project = copy_of(run)
    project.params(f"model={model}", "train.epochs=1", "train.batch_size=128")
    paths = "--data artifacts/data --models models --output artifacts"
    stages = f"train {paths}/train", f"checkpoint --train artifacts/train {paths}/checkpoint"
    said = project.run(sys.executable, "-c", SAY, *stages).stdout
    ends = [line for line in said.splitlines() if line.startswith("ended")]
    assert ends == [f"ended with 0 ['{loaded}']"] * 2
