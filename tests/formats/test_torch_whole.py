"""What torch composes one way or another by sizes is whole in a program, and goes the way of the
source."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.frameworks import pytorch as framework
from tests.formats.test_torch_export_training import (
    Net,
    by_source,
    by_trainer,
    exported,
    form,
    of_rows,
    trained,
)

BY_PRODUCTS = 30
"""Rows of which torch computes the distances by a product of matrices: more than 25."""


class Apart(Net):
    """How far each row is from all others."""

    def forward(self, pixels: Tensor) -> Tensor:
        apart = torch.cdist(pixels, pixels).mean(1, keepdim=True)
        return super().forward(pixels + apart)


def test_distances_between_few_rows_or_many_go_on_bit_for_bit(tmp_path: Path) -> None:
    training = trained(net=Apart)
    predict = form.load(exported(training, tmp_path))
    for count in (2, BY_PRODUCTS):
        inputs, _ = of_rows(slice(count))
        answers, _ = framework.evaluate(training, inputs, None)
        np.testing.assert_array_equal(predict(inputs)["logits"], answers["logits"])
    assert by_trainer(form.load_training(tmp_path)) == by_source(training)


def test_the_two_ways_differ_so_that_one_of_them_would_be_noticed() -> None:
    rows = torch.randn(BY_PRODUCTS, 12, generator=torch.Generator().manual_seed(0))
    few = torch.cat([torch.cdist(each, rows[:9]) for each in rows.split(9)])
    assert not torch.equal(torch.cdist(rows, rows)[:, :9], few)


def test_an_operator_is_composed_again_after_a_trace() -> None:
    whole: Any = import_module("formats._torch_whole")
    kernels = torch.ops.aten.cdist.default.py_kernels
    before = dict(kernels)
    with whole.whole_distances():
        assert kernels != before
    assert kernels == before
