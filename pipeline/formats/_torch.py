"""What formats of PyTorch's models share: numpy's arrays go in and come out."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .contract import Arrays

if TYPE_CHECKING:
    from torch import Tensor, nn


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

    given = torch.from_numpy(np.ascontiguousarray(values))
    target.copy_(given.view(target.dtype) if target.dtype == torch.bfloat16 else given)


def predict(module: Any, inputs: Arrays, signature: dict[str, list[str]]) -> Arrays:
    """Returns the module's answers by the signature's names of outputs, computed without gradients
    from its inputs."""
    import torch

    with torch.no_grad():
        answers = module(*tensors(inputs, signature["inputs"]))
    values = answers if isinstance(answers, tuple | list) else (answers,)
    return {name: each.numpy() for name, each in zip(signature["outputs"], values, strict=True)}
