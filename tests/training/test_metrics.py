"""Metrics see one batch after the other, and say what they compare."""

import sys

import numpy as np
import pytest
from sklearn import metrics as sklearn

from pipeline.config.params import Metric
from pipeline.config.reading import Component
from pipeline.errors import ParamsError
from pipeline.training.decision import Decision, axis_of_classes
from pipeline.training.metrics import Scores, score

DRAWN = np.random.default_rng(0)
LABELS = DRAWN.integers(0, 3, 50)
LOGITS = DRAWN.normal(size=(50, 3)).astype(np.float32)
BY_LABEL = Decision(output="logits", target="label", kind="argmax", classes=3)
AS_IT_IS = Decision(output="logits", target="label", kind="value", classes=3)


def scored(config: Component | Metric, decision: Decision, size: int) -> float:
    """Returns a metric over LABELS and LOGITS in batches of so many rows."""
    batches = [
        ({"label": LABELS[start : start + size]}, {"logits": LOGITS[start : start + size]})
        for start in range(0, 50, size)
    ]
    return score({"it": config}, {"it": decision}, batches)["it"]


@pytest.mark.parametrize("size", [50, 16, 1])
def test_a_function_sees_the_decisions_of_all_batches_at_once(size: int) -> None:
    config = Component(_target_="sklearn.metrics.f1_score", average="macro")
    expected = sklearn.f1_score(LABELS, LOGITS.argmax(axis=1), average="macro")
    assert scored(config, BY_LABEL, size) == expected


@pytest.mark.parametrize("size", [50, 16])
def test_a_class_of_torchmetrics_counts_batch_by_batch(size: int) -> None:
    config = Component(
        _target_="torchmetrics.classification.MulticlassF1Score", num_classes=3, average="macro"
    )
    expected = sklearn.f1_score(LABELS, LOGITS.argmax(axis=1), average="macro")
    assert scored(config, AS_IT_IS, size) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [50, 16])
def test_a_class_of_keras_counts_batch_by_batch(size: int) -> None:
    config = Component(_target_="keras.metrics.SparseCategoricalAccuracy")
    expected = sklearn.accuracy_score(LABELS, LOGITS.argmax(axis=1))
    assert scored(config, AS_IT_IS, size) == pytest.approx(expected, abs=1e-6)


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    config = Component(_target_="torchmetrics.MeanSquaredError")
    with pytest.raises(ParamsError, match=r"^train.metrics.it: .* pip install torchmetrics$"):
        Scores({"it": config}, {"it": AS_IT_IS})


@pytest.mark.parametrize(
    "target", ["torchmetrics.functional.accuracy", "keras.models.load_model", "keras.Model"]
)
def test_of_these_packages_only_a_metric_may_be_named(target: str) -> None:
    with pytest.raises(ParamsError, match=r"^train.metrics.it"):
        Scores({"it": Component(_target_=target)}, {"it": AS_IT_IS})


def test_what_a_metric_raises_ends_in_one_line_that_names_it() -> None:
    config = Component(_target_="sklearn.metrics.f1_score")  # of two classes, and there are three
    with pytest.raises(ParamsError, match=r"^train.metrics.it: .*multiclass but average"):
        scored(config, BY_LABEL, 50)


def test_places_without_a_class_do_not_count() -> None:
    truth = np.array([[0, 1, -100], [2, -100, -100]])
    answers = np.eye(3, dtype=np.float32)[np.array([[0, 1, 1], [1, 0, 0]])]
    decision = Decision(output="o", target="t", kind="argmax", classes=3, axis=2)
    true, decided = decision.pairs(truth, answers)
    assert (true.tolist(), decided.tolist()) == ([0, 1, 2], [0, 1, 1])


LONGEST = 5
LENGTHS = np.array([5, 1, 3, 2, 4, 1])
PLACES = np.arange(LONGEST)[None] < LENGTHS[:, None]
MEASURED = np.random.default_rng(3).normal(size=(6, LONGEST, 2)).astype(np.float32)
ANSWERED = (MEASURED + np.where(PLACES, 0.5, 100.0)[..., None]).astype(np.float32)
"""What is padded is answered, too, and far off."""


@pytest.mark.parametrize("size", [6, 4])
@pytest.mark.parametrize(
    "target",
    [
        "sklearn.metrics.mean_absolute_error",
        "torchmetrics.MeanAbsoluteError",
        "keras.metrics.MeanAbsoluteError",
    ],
)
def test_numbers_where_rows_are_padded_do_not_count(target: str, size: int) -> None:
    batches = []
    for start in range(0, 6, size):
        rows = slice(start, start + size)
        longest = LENGTHS[rows].max()
        truth, answers, places = (each[rows, :longest] for each in (MEASURED, ANSWERED, PLACES))
        batches.append(({"t": truth}, {"o": answers}, {"t": places}))
    it = {"it": Component(_target_=target)}
    decisions = {"it": Decision(output="o", target="t", kind="value")}
    assert score(it, decisions, batches)["it"] == pytest.approx(0.5, abs=1e-6)
    padded = [each[:2] for each in batches[:1]]
    if size == 6 and not target.startswith("sklearn"):  # which takes no three dimensions
        assert score(it, decisions, padded)["it"] > 10


@pytest.mark.parametrize("function", ["accuracy_score", "log_loss"])
def test_labels_that_are_padded_with_a_class_do_not_count_either(function: str) -> None:
    truth = np.where(PLACES, 1, 0)
    answers = np.where(PLACES[..., None], [0.0, 9.0], [0.0, 9.0]).astype(np.float32)
    it = {"it": Component(_target_=f"sklearn.metrics.{function}")}
    decisions = {"it": Decision(output="o", target="t", kind="argmax", classes=2, axis=2)}
    value = score(it, decisions, [({"t": truth}, {"o": answers}, {"t": PLACES})])["it"]
    assert value == pytest.approx(1.0 if function == "accuracy_score" else 0.0, abs=1e-3)


def test_several_labels_a_row_are_decided_each_for_itself() -> None:
    truth = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    decision = Decision(output="o", target="t", kind="threshold", threshold=0.0)
    _, decided = decision.pairs(truth, np.array([[2.0, -1, 0.5], [-1, 3, -2]], np.float32))
    assert decided.tolist() == [[1, 0, 1], [0, 1, 0]]


def test_a_function_of_numpy_may_decide() -> None:
    rounding = Metric(
        function=Component(_target_="sklearn.metrics.accuracy_score"),
        decision=Component(_target_="numpy.rint"),
    )
    answers = np.float32([0.2, 0.9, 1.6])
    decision = Decision(output="o", target="t", kind="value")
    batch = ({"t": np.float32([0, 1, 1])}, {"o": answers})
    with pytest.raises(ParamsError, match="numpy.rint"):  # a ufunc is no function
        score({"it": rounding}, {"it": decision}, [batch])
    rounding.decision["_target_"] = "numpy.round"  # type: ignore[index]
    assert score({"it": rounding}, {"it": decision}, [batch])["it"] == 2 / 3


@pytest.mark.parametrize(
    ("answer", "truth", "axis"),
    [((5, 3), (5,), 1), ((5, 3, 8, 8), (5, 8, 8), 1), ((5, 8, 3), (5, 8), 2), ((5, 4), (5,), None)],
)
def test_the_dimension_of_the_classes_is_the_one_that_the_target_lacks(
    answer: tuple[int, ...], truth: tuple[int, ...], axis: int | None
) -> None:
    assert axis_of_classes(answer, truth, 3, "it") == axis


def test_two_dimensions_that_could_be_the_classes_are_named() -> None:
    with pytest.raises(ParamsError, match=r"^it.axis: .* \[1, 2\]; name it"):
        axis_of_classes((5, 3, 3), (5, 3), 3, "it")


def test_a_function_that_ranks_needs_no_threshold_and_one_that_does_not_says_so() -> None:
    truth, answers = np.array([0, 1, 1, 0]), np.float32([-3, 2, 5, 1])
    undecided = Decision(output="o", target="t", kind="threshold", classes=2)
    batch = ({"t": truth}, {"o": answers})
    ranks = Component(_target_="sklearn.metrics.roc_auc_score")
    assert score({"it": ranks}, {"it": undecided}, [batch])["it"] == 1.0
    for name in ("accuracy_score", "brier_score_loss"):
        other = Component(_target_=f"sklearn.metrics.{name}")
        with pytest.raises(ParamsError, match="does not tell whether it is a logit"):
            score({"it": other}, {"it": undecided}, [batch])
