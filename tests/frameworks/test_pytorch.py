"""What only a PyTorch model cannot take; the rest is in tests/test_train.py."""

import numpy as np
import pytest
import torch
from torch import nn, optim

from pipeline.frameworks import pytorch as framework
from testing.parts import parts


def test_text_is_refused_by_the_name_of_the_input() -> None:
    inputs = {"town": {"dtype": "string", "shape": []}}
    with pytest.raises(ValueError, match=r"^data.inputs.town: found text"):
        framework.build(parts(nn.Identity, nn.MSELoss, optim.SGD, None, inputs))


class Scaled(nn.Linear):
    """A weight of its is a single number."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.scale = nn.Parameter(torch.tensor(0.5))


def test_a_weight_that_is_a_single_number_is_set() -> None:
    inputs = {"input": {"dtype": "float32", "shape": [2]}}
    training = framework.build(parts(Scaled, nn.MSELoss, optim.SGD, None, inputs))
    framework.set_weights(training, {"net/scale": np.asarray(2.0, np.float32)})
    assert framework.state(training)["net/scale"] == 2
