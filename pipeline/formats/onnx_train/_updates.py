"""The updates of torch's optimizers, each of one tensor, in operators that ONNX has."""

from typing import Any

Tensors = dict[str, Any]


def updates() -> dict[type, Any]:
    """Returns the update by optimizer: a function of group, learning rate, weight, gradient and
    slots, to weight and slots."""
    from torch import optim

    return {
        optim.SGD: _sgd,
        optim.Adam: _adam,
        optim.AdamW: _adam,
        optim.NAdam: _nadam,
        optim.Adamax: _adamax,
        optim.RMSprop: _rmsprop,
        optim.Adagrad: _adagrad,
        optim.Adadelta: _adadelta,
    }


def _decayed(group: dict[str, Any], rate: Any, weight: Any, gradient: Any) -> tuple[Any, Any]:
    """Returns weight and gradient: the one shrinks where the decay is decoupled, else it adds to
    the other."""
    decay = group["weight_decay"]
    if decay and group.get("decoupled_weight_decay"):
        return weight * (1 - rate * decay).to(weight.dtype), gradient
    return weight, gradient + decay * weight if decay else gradient


def _sgd(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.SGD."""
    weight, gradient = _decayed(group, rate, weight, gradient)
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

    first, second = map(float, group["betas"])
    weight, gradient = _decayed(group, rate, weight, gradient)
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


def _rmsprop(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.RMSprop."""
    weight, gradient = _decayed(group, rate, weight, gradient)
    alpha, rate = group["alpha"], rate.to(weight.dtype)
    after = {"step": slots["step"] + 1}
    after["square_avg"] = alpha * slots["square_avg"] + (1 - alpha) * gradient * gradient
    size = after["square_avg"]
    if group["centered"]:
        mean = slots["grad_avg"] + (1 - alpha) * (gradient - slots["grad_avg"])
        size, after["grad_avg"] = size - mean * mean, mean
    change = gradient / (size.sqrt() + group["eps"])
    if group["momentum"] > 0:
        change = after["momentum_buffer"] = group["momentum"] * slots["momentum_buffer"] + change
    return weight - rate * change, after


def _adagrad(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.Adagrad."""
    weight, gradient = _decayed(group, rate, weight, gradient)
    after = {"step": slots["step"] + 1, "sum": slots["sum"] + gradient * gradient}
    slower = rate / (1 + (after["step"].double() - 1) * group["lr_decay"])
    return weight - slower.to(weight.dtype) * gradient / (after["sum"].sqrt() + group["eps"]), after


def _adadelta(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.Adadelta."""
    weight, gradient = _decayed(group, rate, weight, gradient)
    rho, eps, after = group["rho"], group["eps"], {"step": slots["step"] + 1}
    after["square_avg"] = rho * slots["square_avg"] + (1 - rho) * gradient * gradient
    change = (slots["acc_delta"] + eps).sqrt() / (after["square_avg"] + eps).sqrt() * gradient
    after["acc_delta"] = rho * slots["acc_delta"] + (1 - rho) * change * change
    return weight - rate.to(weight.dtype) * change, after


def _adamax(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.Adamax."""
    import torch

    weight, gradient = _decayed(group, rate, weight, gradient)
    (first, second), after = map(float, group["betas"]), {"step": slots["step"] + 1}
    after["exp_avg"] = slots["exp_avg"] + (1 - first) * (gradient - slots["exp_avg"])
    after["exp_inf"] = torch.maximum(slots["exp_inf"] * second, gradient.abs() + group["eps"])
    size = (rate / (1 - torch.pow(first, after["step"].double()))).to(weight.dtype)
    return weight - size * after["exp_avg"] / after["exp_inf"], after


def _nadam(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Tensors) -> Any:
    """Does as torch.optim.NAdam, whose products of momenta are of float32."""
    import torch

    weight, gradient = _decayed(group, rate, weight, gradient)
    (first, second), after = map(float, group["betas"]), {"step": slots["step"] + 1}
    count, decay = after["step"].double(), group["momentum_decay"]
    now = first * (1 - 0.5 * torch.pow(0.96, count * decay))
    then = first * (1 - 0.5 * torch.pow(0.96, (count + 1) * decay))
    product = after["mu_product"] = slots["mu_product"] * now.to(slots["mu_product"].dtype)
    after["exp_avg"] = slots["exp_avg"] + (1 - first) * (gradient - slots["exp_avg"])
    after["exp_avg_sq"] = second * slots["exp_avg_sq"] + (1 - second) * gradient * gradient
    corrected = after["exp_avg_sq"] / (1 - torch.pow(second, count)).to(weight.dtype)
    size = corrected.sqrt() + group["eps"]
    of_gradient = (rate * (1 - now) / (1 - product.double())).to(weight.dtype)
    of_mean = (rate * then / (1 - product.double() * then)).to(weight.dtype)
    return weight - of_gradient * gradient / size - of_mean * after["exp_avg"] / size, after
