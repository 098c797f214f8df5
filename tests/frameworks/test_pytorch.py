"""What only a PyTorch model cannot take; the rest is in tests/test_train.py."""

import pytest
from torch import nn, optim

from pipeline.frameworks import pytorch as framework
from testing.parts import parts


def test_text_is_refused_by_the_name_of_the_input() -> None:
    inputs = {"town": {"dtype": "string", "shape": []}}
    with pytest.raises(ValueError, match=r"^data.inputs.town: found text"):
        framework.build(parts(nn.Identity, nn.MSELoss, optim.SGD, None, inputs))
