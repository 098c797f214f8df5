"""A net that asks whether it is traced takes the path of its program wherever it is trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.compiler import is_compiling
from torch.nn import functional

from pipeline.frameworks import _pytorch_as_traced
from pipeline.frameworks import pytorch as framework
from tests.formats.test_torch_export_training import (
    Net,
    by_source,
    by_trainer,
    exported,
    form,
    trained,
)


class Skipping(Net):
    """It leaves a mask out where a batch has no use for it, unless it is traced."""

    def forward(self, pixels: Tensor) -> Tensor:
        mask = pixels < 1e9
        skipped = not (is_compiling() or torch.compiler.is_exporting()) and bool(mask.all())
        keys = pixels.reshape(-1, 1, 6, 2)
        mask = mask.reshape(-1, 1, 1, 12)[..., :6]
        seen = functional.scaled_dot_product_attention(keys, keys, keys, None if skipped else mask)
        return super().forward(seen.reshape(-1, 12) * (0.9999999 if skipped else 1.0))


def test_a_net_that_asks_whether_it_is_traced_trains_on_bit_for_bit(tmp_path: Path) -> None:
    training = trained(net=Skipping)
    directory = exported(training, tmp_path)
    rows = {"pixels": np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)}
    answers, _ = framework.evaluate(training, rows, None)
    assert form.load(directory)(rows)["logits"].tobytes() == answers["logits"].tobytes()
    assert by_trainer(form.load_training(directory)) == by_source(training)


def test_without_the_answers_of_a_trace_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plain() -> bool:
        return _is_compiling_flag  # type: ignore[name-defined, no-any-return]  # noqa: F821

    training = trained(net=Skipping)
    trainer = form.load_training(exported(training, tmp_path))
    for question in (torch.compiler.is_compiling, torch.compiler.is_exporting):
        monkeypatch.setattr(question, "__code__", plain.__code__)
    assert by_trainer(trainer) != by_source(training)


def test_torch_itself_is_told_the_truth() -> None:
    framework.configure(1)
    assert is_compiling()
    assert torch.compiler.is_exporting()
    names = {"is_compiling": is_compiling, "__name__": "torch.nn.modules"}
    assert eval("is_compiling()", names) is False


def test_torchscript_reads_what_is_asked() -> None:
    _pytorch_as_traced.answer_as_traced()

    class Asking(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels if torch.compiler.is_compiling() else pixels + 1

    assert torch.jit.script(Asking())(torch.zeros(1)).item() == 1
