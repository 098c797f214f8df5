"""What a training cannot start from is said before its first step."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn, optim

from pipeline.errors import ModelError
from pipeline.foreign.contract import Foreign
from pipeline.frameworks import pytorch as framework
from pipeline.training.start import Start
from testing.parts import parts

INPUTS = {"input": {"dtype": "float32", "shape": [4]}}


def start(checkpoint: Foreign, start_with: str = "weights") -> Any:
    net = lambda: nn.Linear(4, 2)  # noqa: E731
    training = framework.build(parts(net, nn.CrossEntropyLoss, optim.Adam, None, INPUTS))
    params: Any = SimpleNamespace(
        train=SimpleNamespace(start="0" * 64, start_with=start_with, new_weights=[], adapter=None),
        model=SimpleNamespace(framework="pytorch", rename={}, weights_of=None),
    )
    return Start(framework, params, Path("checkpoints/0"), checkpoint)(training, {})


def test_a_checkpoint_of_another_framework_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^checkpoints/0: a checkpoint of keras, but model.fram"):
        start(Foreign(framework="keras", weights={}))


def test_an_optimizer_that_is_asked_for_has_to_be_there() -> None:
    weights = nn.Linear(4, 2).state_dict()
    with pytest.raises(ModelError, match=r"^checkpoints/0: has no optimizer's state .* to weights"):
        start(Foreign(framework="pytorch", weights=weights), "optimizer")


def test_a_state_that_does_not_fit_is_one_line_with_the_path() -> None:
    weights = nn.Linear(4, 2).state_dict()
    state = optim.SGD(nn.Linear(4, 2).parameters(), momentum=0.9).state_dict()
    with pytest.raises(ModelError, match=r"^checkpoints/0: model.optimizer: found Adam") as raised:
        start(Foreign(framework="pytorch", weights=weights, optimizer=state), "optimizer")
    assert "\n" not in str(raised.value)
