"""What a net refuses of values its program refuses; what computes otherwise by them has none.

PYTEST_DONT_REWRITE: an `assert` of a net is to be one.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.frameworks import pytorch as framework
from tests.formats.test_torch_export_training import (
    Net,
    by_source,
    by_trainer,
    exported,
    form,
    trained,
)


class Checked(Net):
    """It raises where values are not as it wants them, in each of the ways in which nets do."""

    def __init__(self, asked: str) -> None:
        super().__init__()
        self.asked = asked

    def forward(self, pixels: Tensor) -> Tensor:
        if self.asked == "raise" and (pixels > 9).any():
            raise ValueError("pixels are at most 9")
        if self.asked == "assert":
            assert (pixels <= 9).all()
        if self.asked == "not a number" and torch.isnan(pixels).any():
            raise ValueError("pixels are numbers")
        if self.asked == "read" and (pixels > 9).any().item():
            raise RuntimeError("pixels are at most 9")
        if self.asked == "counted":
            for column in (0, 1):
                if (pixels[:, column] > 9).sum().item() > 0:
                    raise ValueError(f"pixels are at most 9, in {column}")
        if self.asked == "a float" and pixels.max().item() > 9:
            raise ValueError("pixels are at most 9")
        torch._check_tensor_all(pixels < 99)
        return super().forward(pixels)


CHECKS = {
    "raise": "pixels are at most 9",
    "assert": r"assert \(pixels <= 9\).all\(\)",
    "not a number": "pixels are numbers",
    "read": "pixels are at most 9",
    "counted": "Runtime assertion failed",
}


@pytest.mark.parametrize("asked", CHECKS)
def test_values_that_a_net_refuses_are_refused_by_its_program(asked: str, tmp_path: Path) -> None:
    training = trained(net=lambda: Checked(asked))
    directory = exported(training, tmp_path)
    predict, wrong = form.load(directory), np.nan if asked == "not a number" else 10.0
    pixels = np.ones((4, 12), np.float32)
    answers, _ = framework.evaluate(training, {"pixels": pixels}, None)
    assert predict({"pixels": pixels})["logits"].tobytes() == answers["logits"].tobytes()
    pixels[2, 1] = wrong
    with pytest.raises(form.refusals(), match=CHECKS[asked]):
        predict({"pixels": pixels})
    assert by_trainer(form.load_training(directory)) == by_source(training)


def test_a_float_that_is_read_is_told_for_no_program_asserts_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"if .*pixels.max.*: it goes by the values"):
        exported(trained(net=lambda: Checked("a float")), tmp_path)


class Choosing(Net):
    """It raises on one way, and computes otherwise on the other; or it raises on both."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always = always

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.sum() > 0:
            if self.always and (pixels > 0).all():
                raise ValueError("all are above 0")
            pixels = pixels * 2
        return super().forward(pixels)


@pytest.mark.parametrize("always", [False, True])
def test_what_computes_on_both_ways_is_no_check(always: bool, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="if pixels.sum.* > 0: it goes by the values"):
        exported(trained(net=lambda: Choosing(always)), tmp_path, trains=False)
