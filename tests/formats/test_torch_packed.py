"""Sequences that are packed by their lengths have a program for any lengths, and it goes on bit for
bit."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

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

LONGEST = 4


class Packed(Net):
    """Rows of one to four steps; the layer's answer, or its last state, is what the net reads."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, pixels: Tensor) -> Tensor:
        lengths = (pixels[:, :LONGEST] > 0).sum(1).clamp(min=1)
        steps = pixels.unflatten(1, (LONGEST, 3))
        packed = pack_padded_sequence(steps, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return super().forward(self.read(packed, pixels))

    def read(self, packed: PackedSequence, pixels: Tensor) -> Tensor:
        whole, _ = pad_packed_sequence(self.layer(packed)[0], True, 0.5, total_length=LONGEST)
        return whole.sum(1)


class BeginningAnew(Packed):
    """Gives the layer its first state, and unpacks no further than the longest row."""

    def read(self, packed: PackedSequence, pixels: Tensor) -> Tensor:
        begin = pixels[None, :, : self.layer.hidden_size].contiguous()
        answers, last = self.layer(packed, begin)
        padded, lengths = pad_packed_sequence(answers)
        return (padded.sum(0) + last.sum(0)) / lengths[:, None]


class Looking(Packed):
    """Takes the packed steps apart by itself."""

    def read(self, packed: PackedSequence, pixels: Tensor) -> Tensor:
        return packed.data[: packed.batch_sizes.tolist()[0]].repeat(1, 4)


LAYERS = {
    "lstm": lambda: Packed(nn.LSTM(3, 6, num_layers=2, dropout=0.2, bidirectional=True)),
    "projected": lambda: Packed(nn.LSTM(3, 14, proj_size=12, batch_first=True)),
    "gru": lambda: Packed(nn.GRU(3, 12, bias=False)),
    "tanh": lambda: Packed(nn.RNN(3, 6, bidirectional=True)),
    "relu": lambda: BeginningAnew(nn.RNN(3, 12, nonlinearity="relu")),
    "begun": lambda: BeginningAnew(nn.GRU(3, 12, batch_first=True)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_packed_steps_go_on_bit_for_bit_for_any_lengths(
    tmp_path: Path, name: str
) -> None:
    training = trained(net=LAYERS[name])
    exported(training, tmp_path)
    predict = form.load(tmp_path)
    for rows in (slice(7), slice(20, 31), slice(3, 4)):
        inputs, _ = of_rows(rows)
        answers, _ = framework.evaluate(training, inputs, None)
        np.testing.assert_array_equal(predict(inputs)["logits"], answers["logits"])
    assert by_trainer(form.load_training(tmp_path)) == by_source(training)


class Unmended(Packed):
    """Packs rows of no steps, which torch refuses."""

    def forward(self, pixels: Tensor) -> Tensor:
        lengths = (pixels[:, :LONGEST] > -9).sum(1)
        steps = pixels.unflatten(1, (LONGEST, 3))
        packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        return Net.forward(self, self.read(packed, pixels))


def test_a_row_without_steps_is_refused_by_the_program_as_by_the_net(tmp_path: Path) -> None:
    predict = form.load(exported(trained(net=lambda: Unmended(nn.GRU(3, 12))), tmp_path))
    with pytest.raises(RuntimeError, match="greater than 0"):
        predict({"pixels": np.full((2, 12), -10, np.float32)})


def test_a_net_that_takes_packed_steps_apart_is_told_the_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"batch_sizes\.tolist\(\)\[0\].*: it goes by the values"):
        exported(trained(net=lambda: Looking(nn.GRU(3, 12))), tmp_path)


def test_operators_are_torchs_own_again_after_a_trace() -> None:
    packed: Any = import_module("formats._torch_packed")
    before = kernels()
    with packed.shaped_packs():
        assert kernels() != before
        assert nn.LSTM(2, 3).hidden_size == 3  # which asks whether the sizes are integers
    assert kernels() == before
    assert "int" not in vars(nn.modules.rnn)


def kernels() -> list[dict[Any, Any]]:
    """Returns what torch computes the operators of a recurrent layer with, in Python."""
    aten = torch.ops.aten
    operators = (aten.lstm.data, aten.gru.data, aten._pad_packed_sequence.default)
    return [dict(each.py_kernels) for each in operators]
