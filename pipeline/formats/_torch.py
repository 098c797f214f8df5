"""What formats of PyTorch's models share: numpy's arrays go in and come out."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import Arrays

if TYPE_CHECKING:
    from torch import Tensor, nn


ROWS = "batch"
"""The dimension that every array begins with."""
CONSTANT = re.compile(r"marked (\w+) as dynamic but your code specialized it to be a constant")
"""What torch says of a size that it cannot leave open."""
REFUSALS = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
"""What a program or module raises on rows that it does not take; torch's own are RuntimeErrors."""


def refusals() -> tuple[type[Exception], ...]:
    """Returns REFUSALS, as the part `load` has it."""
    return REFUSALS


def constant(text: str) -> str:
    """Returns what is said where torch cannot leave a size open; "" where that is not its error."""
    match = CONSTANT.search(text)
    if match is None:
        return ""
    what = "number of rows" if match[1] == ROWS else f"dimension {match[1]}"
    axis, fixed = (0, "") if match[1] == ROWS else (1, ", or give it one size in data.inputs")
    return (
        f"the {what} became a constant, as len(x), range(x.shape[{axis}]), int(x.shape[{axis}]) or "
        f"a literal make it: write x.shape[{axis}], torch.arange, x.new_zeros or a shape of -1"
        f"{fixed}"
    )


def check_evaluation_mode(model: "nn.Module", form: str) -> None:
    """Raises ValueError where a part of the model would answer as in training."""
    if any(module.training for module in model.modules()):
        raise ValueError(f"{form}: found the model in training mode, expected model.eval()")


def tensor(array: np.ndarray) -> "Tensor":
    """Returns a tensor over the array's memory, or over a copy where that is read-only."""
    import torch

    return torch.from_numpy(np.require(array, None, ["C", "W"]))


def tensors(arrays: Arrays, names: list[str]) -> list["Tensor"]:
    """Returns those of these names, in their order."""
    return [tensor(arrays[name]) for name in names]


def array(values: "Tensor") -> np.ndarray:
    """Returns the tensor's values; a bfloat16, which numpy lacks, as the uint16 of its bits."""
    import torch

    plain = values.detach()
    return (plain.view(torch.uint16) if plain.dtype == torch.bfloat16 else plain).numpy()


def set_values(target: "Tensor", values: np.ndarray) -> None:
    """Sets a tensor, in place, to what `array` gives of it or the like."""
    import torch

    given = torch.from_numpy(np.asarray(values, order="C"))  # a scalar stays one
    target.copy_(given.view(target.dtype) if target.dtype == torch.bfloat16 else given)


def predict(module: Any, inputs: Arrays, signature: dict[str, list[str]]) -> Arrays:
    """Returns the module's answers by the signature's names of outputs, computed without gradients
    from its inputs."""
    import torch

    with torch.no_grad():
        answers = module(*tensors(inputs, signature["inputs"]))
    values = answers if isinstance(answers, tuple | list) else (answers,)
    return dict(zip(signature["outputs"], map(in_numpy, values), strict=True))


def in_numpy(tensor: "Tensor") -> np.ndarray:
    """Returns an answer as numpy's. Raises ValueError where numpy has no such numbers."""
    try:
        return tensor.numpy()
    except TypeError as error:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ValueError(
            f"found an answer in {kind}, which numpy lacks; cast it to float32 in the model"
        ) from error
