"""A net that masks only where a mask has anything in it has a program that masks always; what
computes otherwise there is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.formats.test_torch_export_training import (
    Net,
    by_source,
    by_trainer,
    exported,
    form,
    trained,
)

LARGE = 5.0


def filled(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(mask, 1.0) if mask.any() else values


def recomputed(values: Tensor, mask: Tensor) -> Tensor:
    if not (values <= LARGE).all():
        values = torch.where(values <= LARGE, values, torch.ones_like(values))
    return values


def inverted(values: Tensor, mask: Tensor) -> Tensor:
    return values if (~mask).all().item() else values.masked_fill(~~mask, 2.0)


def set_in_place(values: Tensor, mask: Tensor) -> Tensor:
    values = values.clone()
    if mask.any():
        values[mask] = 1.0
    return values + 1


def also_scaled(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(mask, 1.0) * 2 if mask.any() else values


def by_another(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(values > 1, 1.0) if mask.any() else values


def the_rest(values: Tensor, mask: Tensor) -> Tensor:
    return values.masked_fill(~mask, 1.0) if mask.any() else values


def changed_before(values: Tensor, mask: Tensor) -> Tensor:
    values = values.clone()
    some = (values > LARGE).any()
    values.mul_(2)
    return values.masked_fill(values > LARGE, 1.0) if some else values


def changed_after(values: Tensor, mask: Tensor) -> Tensor:
    values = values.clone()
    others = values.masked_fill(mask, 1.0) if mask.any() else values
    others.add_(1)
    return values + others


def drawn(values: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, torch.rand_like(values), values) if mask.any() else values


class Masking(Net):
    def __init__(self, how: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.how = [how]

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(self.how[0](pixels, pixels > LARGE))


class Learned(Net):
    """What it puts in has a gradient of None where nothing is masked, and of zeros in a program."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(12))

    def forward(self, pixels: Tensor) -> Tensor:
        mask = pixels > LARGE
        if mask.any():
            pixels = torch.where(mask, self.token, pixels)
        return super().forward(pixels)


@pytest.mark.parametrize("how", [filled, recomputed, inverted, set_in_place])
def test_what_masks_where_a_mask_has_some_masks_always(how: Any, tmp_path: Path) -> None:
    training = trained(net=lambda: Masking(how))
    directory = exported(training, tmp_path)
    predict, net = form.load(directory), training.net.eval()
    for largest in (1.0, 9.0):
        pixels = np.linspace(-1, largest, 36, dtype=np.float32).reshape(3, 12)
        with torch.no_grad():
            expected = net(torch.from_numpy(pixels)).numpy()
        np.testing.assert_array_equal(predict({"pixels": pixels})["logits"], expected)
    net.train()
    assert by_trainer(form.load_training(directory)) == by_source(training)


@pytest.mark.parametrize(
    "how", [also_scaled, by_another, the_rest, changed_before, changed_after, drawn]
)
def test_what_does_more_than_to_mask_is_refused(how: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="goes by the values of a tensor"):
        exported(trained(net=lambda: Masking(how)), tmp_path, trains=False)


def test_what_puts_in_what_is_learnt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="if mask.any.*: it goes by the values of a tensor"):
        exported(trained(net=Learned), tmp_path, trains=False)
