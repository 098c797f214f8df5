"""The updates of torch's optimizers, in operators that ONNX has."""

from typing import Any

from ._source import parameter_names

CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_ has it

Tensors = dict[str, Any]


def updated(source: Any, gradients: Tensors, values: Tensors) -> Tensors:
    """Returns weights and slots after the update; `values` has those before and learning rates."""
    import torch

    gradients = _clipped(gradients, source.clip_norm)
    names = parameter_names(source.net)
    update = _sgd if type(source.optimizer) is torch.optim.SGD else _adam
    after: Tensors = {}
    for n, group in enumerate(source.optimizer.param_groups):
        for name in (names[each] for each in group["params"]):
            if name not in gradients:
                continue
            prefix = f"optimizer/{name}/"
            slots = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
            sign = -1 if group["maximize"] else 1
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


def _sgd(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.SGD."""
    gradient = gradient + group["weight_decay"] * weight if group["weight_decay"] else gradient
    momentum = group["momentum"]
    if momentum:
        buffer = momentum * slots["momentum_buffer"] + (1 - group["dampening"]) * gradient
        gradient = gradient + momentum * buffer if group["nesterov"] else buffer
        slots = {"momentum_buffer": buffer}
    return weight - rate.to(weight.dtype) * gradient, slots


def _adam(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.Adam and AdamW; the bias is corrected in float64, as Python does
    there."""
    import torch

    (first, second), decay = map(float, group["betas"]), group["weight_decay"]
    if decay and group["decoupled_weight_decay"]:
        weight = weight * (1 - rate * decay).to(weight.dtype)
    elif decay:
        gradient = gradient + decay * weight
    after = {"step": slots["step"] + 1}
    after["exp_avg"] = slots["exp_avg"] + (1 - first) * (gradient - slots["exp_avg"])
    after["exp_avg_sq"] = second * slots["exp_avg_sq"] + (1 - second) * gradient * gradient
    largest = after["exp_avg_sq"]
    if group["amsgrad"]:
        largest = after["max_exp_avg_sq"] = torch.maximum(slots["max_exp_avg_sq"], largest)
    count = after["step"].double()
    size = (rate / (1 - torch.pow(first, count))).to(weight.dtype)
    scale = (1 - torch.pow(second, count)).sqrt().to(weight.dtype)
    return weight - size * (after["exp_avg"] / (largest.sqrt() / scale + group["eps"])), after
