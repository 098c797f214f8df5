"""Clipping and the optimizer's update of all weights, in operators that ONNX has."""

from typing import Any

from ._source import parameter_names
from ._updates import updates

CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_ has it

Tensors = dict[str, Any]


def updated(source: Any, gradients: Tensors, values: Tensors) -> Tensors:
    """Returns weights and slots after the update; `values` has those before and learning rates."""
    gradients = _clipped(gradients, source.clip_norm)
    names = parameter_names(source.net)
    update = updates()[type(source.optimizer)]
    after: Tensors = {}
    for n, group in enumerate(source.optimizer.param_groups):
        for name in (names[each] for each in group["params"]):
            if name not in gradients:
                continue
            prefix = f"optimizer/{name}/"
            slots = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
            sign = -1 if group.get("maximize") else 1
            rate, weight = values[f"lr/{n}"], values[f"net/{name}"]
            weight, slots = update(group, rate, weight, sign * gradients[name], slots)
            after |= {f"net/{name}": weight, **{prefix + k: v for k, v in slots.items()}}
    return after


def _clipped(gradients: Tensors, norm: float | None) -> Tensors:
    """Does as torch.nn.utils.clip_grad_norm_."""
    import torch

    if norm is None:
        return gradients
    norms = torch.stack([torch.linalg.vector_norm(each) for each in gradients.values()])
    factor = torch.clamp(norm / (torch.linalg.vector_norm(norms) + CLIP_EPSILON), max=1.0)
    return {name: gradient * factor for name, gradient in gradients.items()}
