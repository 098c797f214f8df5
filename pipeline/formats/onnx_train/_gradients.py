"""Gradients for which ONNX has no operator are spelt out in those that it has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._averages import adaptive_pooling_backward, average_pooling_backward


def decompositions() -> dict[Any, Callable[..., Any]]:
    """Returns, by operator of torch, how it is computed from others while training."""
    import torch

    table = dict(torch.export.default_decompositions())
    for operator, written in torch._decomp.decomposition_table.items():
        if "backward" in str(operator) or "batch_norm" in str(operator):
            table[operator] = written
    aten = torch.ops.aten
    table[aten.convolution_backward.default] = _convolution_backward
    table[aten._adaptive_avg_pool2d_backward.default] = adaptive_pooling_backward
    for axes in (2, 3):
        operator = getattr(aten, f"avg_pool{axes}d_backward")
        table[operator.default] = average_pooling_backward(axes)
    return table


@dataclass(frozen=True, kw_only=True)
class _Convolution:
    """A number for each axis, as torch.nn.Conv names them."""

    stride: list[int]
    padding: list[int]
    dilation: list[int]
    groups: int

    def __call__(self, values: Any, weight: Any) -> Any:
        return self._convolve(values, weight, False, [0] * len(self.stride))

    def transposed(self, values: Any, weight: Any, output_padding: list[int]) -> Any:
        return self._convolve(values, weight, True, output_padding)

    def _convolve(self, values: Any, weight: Any, transposed: bool, output_padding: Any) -> Any:
        import torch

        how = self.stride, self.padding, self.dilation, transposed, output_padding, self.groups
        return torch.ops.aten.convolution.default(values, weight, None, *how)


def _convolution_backward(
    gradient: Any,
    values: Any,
    weight: Any,
    bias_sizes: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    output_mask: list[bool],
) -> tuple[Any, Any, Any]:
    """Returns the gradients of values, weight and bias, as convolutions."""
    convolve = _Convolution(stride=stride, padding=padding, dilation=dilation, groups=groups)
    if transposed:
        of_values = convolve(gradient, weight)
        pair = (gradient, values)
    else:
        missing = _missing(convolve, gradient, values, weight)
        of_values = convolve.transposed(gradient, weight, missing)
        pair = (values, gradient)
    of_bias = gradient.sum([0, *range(2, gradient.dim())]) if output_mask[2] else None
    return of_values, _of_weight(convolve, *pair, weight), of_bias


def _missing(convolve: _Convolution, gradient: Any, values: Any, weight: Any) -> list[int]:
    """Returns, for each axis, how many values at the end no output has seen."""
    missing = []
    for n, stride in enumerate(convolve.stride):
        within = (gradient.shape[n + 2] - 1) * stride - 2 * convolve.padding[n]
        reached = within + convolve.dilation[n] * (weight.shape[n + 2] - 1) + 1
        missing.append(values.shape[n + 2] - reached)
    return missing


def _of_weight(convolve: _Convolution, values: Any, gradient: Any, weight: Any) -> Any:
    """Returns the gradient of the weights: a convolution in which channels take the rows' place,
    and stride and dilation each other's."""
    swapped = _Convolution(
        stride=convolve.dilation,
        padding=convolve.padding,
        dilation=convolve.stride,
        groups=convolve.groups,
    )
    axes = range(3, values.dim() + 1)
    values, gradient = (
        each.reshape(
            each.shape[0], convolve.groups, each.shape[1] // convolve.groups, *each.shape[2:]
        )
        for each in (values, gradient)
    )
    values = values.permute(2, 1, 0, *axes).flatten(1, 2)
    gradient = gradient.permute(1, 2, 0, *axes).flatten(0, 1)
    of_weight = swapped(values, gradient)
    for axis, size in enumerate(weight.shape[2:], 2):
        of_weight = of_weight.narrow(axis, 0, size)
    return of_weight.transpose(0, 1)
