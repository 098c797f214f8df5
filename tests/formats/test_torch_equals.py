"""An operator of a library that is listed as one of torch's own trains on as that, bit for bit; one
that computes otherwise is told."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.formats.test_torch_export_training import (
    ROWS,
    Net,
    by_source,
    by_trainer,
    exported,
    form,
    framework,
    trained,
)

ROWS_OF_A_GROUP = (0.25, 0.5, 1.0)


@torch.library.custom_op("equals::grouped", mutates_args=())
def grouped(values: Tensor, weights: Tensor, offs: Tensor) -> Tensor:
    parts = zip(offs.tolist(), weights, strict=True)
    begin, found = 0, []
    for end, weight in parts:
        found.append(values[begin:end] @ weight)
        begin = end
    return torch.cat(found)


@grouped.register_fake
def _(values: Tensor, weights: Tensor, offs: Tensor) -> Tensor:
    return values.new_empty(values.shape[0], weights.shape[2])


def keep(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    values, weights, offs = ctx.saved_tensors
    begin, of_values, of_weights = 0, [], []
    for end, weight in zip(offs.tolist(), weights, strict=True):
        of_values.append(gradient[begin:end] @ weight.T)
        of_weights.append(values[begin:end].T @ gradient[begin:end])
        begin = end
    return torch.cat(of_values), torch.stack(of_weights), None


grouped.register_autograd(gradients, setup_context=keep)


class Grouped(Net):
    """Its rows go by three weights, the first quarter by the first, as experts' do."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.Parameter(torch.randn(3, 12, 12))

    def forward(self, pixels: Tensor) -> Tensor:
        shares = torch.tensor(ROWS_OF_A_GROUP) * pixels.shape[0]
        return super().forward(torch.ops.equals.grouped(pixels, self.experts, shares.int()))


@pytest.fixture
def equals(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    listed: dict[str, str] = {}
    module = importlib.import_module("formats._torch_equals")
    monkeypatch.setattr(module, "EQUALS", listed)
    return listed


def test_what_is_listed_as_torchs_own_goes_on_bit_for_bit(
    equals: dict[str, str], tmp_path: Path
) -> None:
    equals["equals.grouped.default"] = "_grouped_mm"
    training = trained(net=Grouped)
    directory = exported(training, tmp_path)
    answers, _ = framework.evaluate(training, ROWS, None)
    assert form.load(directory)(ROWS)["logits"].tobytes() == answers["logits"].tobytes()
    assert by_trainer(form.load_training(directory)) == by_source(training)


def test_what_is_not_listed_is_told(equals: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="operator equals.grouped.default is not PyTorch's own"):
        exported(trained(net=Grouped), tmp_path)


def test_each_that_is_listed_is_an_operator_of_its_library_and_one_of_torchs() -> None:
    importlib.import_module("transformers.integrations.moe")
    for name, own in importlib.import_module("formats._torch_equals").EQUALS.items():
        library, operator, overload = name.split(".")
        theirs = getattr(getattr(getattr(torch.ops, library), operator), overload)._schema
        ours = getattr(torch.ops.aten, own).default._schema
        assert len(theirs.arguments) <= len(ours.arguments)
        assert [each.type for each in theirs.returns] == [each.type for each in ours.returns]
