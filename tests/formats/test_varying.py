"""Programs hold for every size within the bounds of a dimension, or are refused in one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from testing.formats import form
from testing.varying import LENGTHS, dimensions, rows


class Positions(nn.Module):
    """A label a position, of all that the mask shows."""

    def __init__(self, places: int = 50) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, 3)
        self.place = nn.Parameter(torch.randn(places, 4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        hidden = self.first(x) + self.place[: x.shape[1]]
        mean = (hidden * mask.unsqueeze(-1)).sum(1, keepdim=True) / mask.sum(1)[:, None, None]
        answer: Tensor = self.last(torch.relu(hidden - mean))
        return answer


class Number(Positions):
    """The length is asked for as a number of Python's, and stays open."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x / int(x.shape[1]), mask)


class Constant(Positions):
    """A list of Python's is as long as the rows are."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return super().forward(x / len([*range(x.shape[1])]), mask)


def export(name: str, model: Any, directory: Path) -> Any:
    form(name).export(model, rows(4, 9), ["answer"], directory, dimensions=dimensions())
    return form(name).load(directory)


@pytest.mark.parametrize("net", [Positions, Number])
@pytest.mark.parametrize("name", ["torch_export", "onnx"])
def test_a_program_of_torchs_answers_in_every_size(
    name: str, net: type[Positions], tmp_path: Path
) -> None:
    model = net().eval()
    predict = export(name, model, tmp_path)
    for length in LENGTHS:
        inputs = rows(3, length)
        with torch.no_grad():
            expected = model(*map(torch.from_numpy, inputs.values())).numpy()
        found = predict(inputs)["answer"]
        assert np.abs(found - expected).max() <= (0 if name == "torch_export" else 1e-5)


@pytest.mark.parametrize("name", ["torch_export", "onnx"])
def test_a_length_that_became_a_constant_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the dimension length became a constant") as caught:
        export(name, Constant().eval(), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["torch_export", "onnx"])
def test_a_net_that_does_not_go_as_far_as_the_bounds_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="length") as caught:
        export(name, Positions(places=40).eval(), tmp_path)
    assert "40" in str(caught.value) and "\n" not in str(caught.value)


def test_a_program_refuses_what_is_out_of_bounds(tmp_path: Path) -> None:
    predict = export("torch_export", Positions(places=90).eval(), tmp_path)
    with pytest.raises(form("torch_export").refusals()):
        predict(rows(2, 51))


def test_inputs_that_share_a_dimension_share_its_size(tmp_path: Path) -> None:
    predict = export("torch_export", Positions().eval(), tmp_path)
    with pytest.raises(form("torch_export").refusals()):
        predict({"x": rows(2, 8)["x"], "mask": rows(2, 9)["mask"]})
