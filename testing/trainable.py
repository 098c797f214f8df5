"""A small classifier as a complete model that programs in other languages train on: it draws masks,
where this processor draws them as others do, and goes on from where Adam stands."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testing import linear
from testing.linear import Linear, bias, logits, pixels, weight
from testing.parts import LABEL, parts

SEED, STEPS = 5, (4, 3, 4, 3)


def demand_masks() -> None:
    """Skips a test on a processor on which PyTorch draws masks as no other runtime can."""
    if other := _drawn_otherwise():
        pytest.skip(other)


def _drawn_otherwise() -> str:
    from testing.formats import form

    try:
        form("onnx_train").check_drawn_alike()
    except ValueError as other:
        return str(other)
    return ""


def make(root: Path) -> Linear:
    """Returns the linear model with `onnx_train/` and what a source came to in a few more steps."""
    from pipeline.frameworks import pytorch
    from testing.formats import form

    made, rows = linear.make(root), pixels()[: sum(STEPS)]
    source, step = _training(), np.repeat(np.arange(len(STEPS)), STEPS)
    inputs, targets = {"pixels": rows}, {"label": logits(rows).argmax(axis=1)}
    pytorch.step(source, inputs, targets, np.arange(9))
    pytorch.set_weights(source, {"net/1.weight": weight().T, "net/1.bias": bias()})
    source.net.eval()
    exporter = form("onnx_train")
    exporter.export(source.net, inputs, ["logits"], made.complete_model, source, targets, seed=SEED)
    pytorch.seed(SEED)
    losses = [
        pytorch.step(source, inputs, targets, np.flatnonzero(step == n)).detach().numpy()
        for n in range(len(STEPS))
    ]
    _write_reference(made, rows, targets["label"], step, losses, pytorch.state(source))
    return made


def _training() -> Any:
    import torch
    from torch import nn

    from pipeline.frameworks import pytorch

    class Net(nn.Sequential):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return super().forward(pixels)

    rate = 0.0 if _drawn_otherwise() else 0.25
    net = Net(nn.Dropout(rate), nn.Linear(linear.FEATURES, linear.CLASSES))
    shape = {"pixels": {"dtype": "float32", "shape": (linear.FEATURES,)}}

    def adam(parameters: Any) -> Any:
        return torch.optim.Adam(parameters, 0.05)

    return pytorch.build(
        parts(lambda: net, nn.CrossEntropyLoss, adam, None, shape, None, ("logits",), LABEL)
    )


def _write_reference(
    made: Linear, rows: Any, label: Any, step: Any, losses: list[Any], state: dict[str, Any]
) -> None:
    ends = np.arange(len(STEPS)) == 1
    arrays = {"input.pixels": rows, "target.label": label, "step": step, "ends_epoch": ends}
    after = pixels()[:7] @ state["net/1.weight"].T + state["net/1.bias"]
    trained = {f"state/{name}": array for name, array in state.items()}
    reference = made.checkpoint / "reference"
    np.savez(reference / "training.npz", loss=np.stack(losses), **arrays)
    np.savez(reference / "trained.npz", **trained, **{"answers/logits": after})
    content = (reference / "training.npz").read_bytes()
    (made.complete_model / "examples/training.npz").write_bytes(content)
