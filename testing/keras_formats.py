"""What every file that is written of a Keras model is held to, whichever format it is of."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.sandbox.worker.perturbation import largest, perturb
from testing.keras_cases import Case, unfit

MODELS = ("subclassed", "custom", "functional", "text")
OUTPUTS = ["probabilities"]


def demand_answers(form: Any, folder: Path, case: Case, batches: Iterable[int]) -> None:
    """Fails unless the file answers as the model does, for batches of these numbers of rows."""
    predict = form.load(folder)
    for rows in batches:
        inputs = case.inputs(rows)
        expected, answers = case.eager(inputs), predict(inputs)
        assert list(answers) == OUTPUTS
        answer = answers["probabilities"]
        assert (answer.shape, answer.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)


def demand_weights_count(form: Any, folder: Path, case: Case, copy: Path) -> None:
    """Fails unless another value of the largest weight makes other answers."""
    places = form.weights(folder)
    perturb(places, folder, copy, [largest(places)])
    inputs = case.inputs(7)
    answer, expected = form.load(copy)(inputs)["probabilities"], case.eager(inputs)
    assert np.abs(answer - expected).max() > 1e-4


def demand_refused(form: Any, title: str, name: str, folder: Path) -> None:
    """Fails unless a model that does not fit is refused in a line that names the layer."""
    case = unfit(name)
    with pytest.raises(ValueError, match=f"{title}: .*layer {name} \\(") as raised:
        form.export(case.model, case.inputs(3), OUTPUTS, folder)
    assert "\n" not in str(raised.value)
    assert not list(folder.iterdir())
