"""What each class weighs, before any training."""

import numpy as np
import pytest

from pipeline.errors import ParamsError
from pipeline.training.class_weights import class_weights
from testing.training import settings_of

SCHEMA = {"targets": {"label": {"classes": 3, "labels": ["cat", "dog", "owl"]}}}
LABELS = {"label": np.array([0, 0, 0, 1, 1, 2, -100])}


def test_balanced_weights_are_such_that_every_class_weighs_as_much():
    weights = class_weights(settings_of(class_weights="balanced"), SCHEMA, LABELS)
    assert weights == pytest.approx((6 / 9, 1, 2))
    assert np.multiply(weights, (3, 2, 1)) == pytest.approx([2, 2, 2])
    again = class_weights(settings_of(class_weights="balanced"), SCHEMA, None)
    assert again == (1.0, 1.0, 1.0)  # until a checkpoint sets them
    assert class_weights(settings_of(), SCHEMA, LABELS) is None


def test_named_weights_are_in_the_order_of_the_classes():
    named = settings_of(class_weights={"owl": 3, "cat": 1, "dog": 2})
    assert class_weights(named, SCHEMA, LABELS) == (1.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("weights", "schema", "said"),
    [
        ({"cta": 1.0}, SCHEMA, "found 'cta'; did you mean cat?"),
        ({"cat": 1.0, "owl": 1.0}, SCHEMA, "dog: missing"),
        ("balanced", {"targets": {}}, r"found the targets \[\] with classes, expected one"),
    ],
)
def test_weights_of_other_classes_are_refused(weights, schema, said):
    with pytest.raises(ParamsError, match=f"^train.class_weights: {said}"):
        class_weights(settings_of(class_weights=weights), schema, LABELS)
