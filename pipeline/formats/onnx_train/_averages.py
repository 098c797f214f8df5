"""Average pooling's gradient, as a product with a matrix for each axis.

A pooled value is the mean of a window, and a window is one of rows by one of columns; so is what
every value of the input gets back of it, whatever padding and ceil_mode say.
"""

from collections.abc import Callable
from typing import Any


def average_pooling_backward(axes: int) -> Callable[..., Any]:
    """Returns aten.avg_pool<axes>d_backward."""

    def backward(
        gradient: Any,
        values: Any,
        kernel_size: list[int],
        stride: list[int],
        padding: list[int],
        ceil_mode: bool,
        count_include_pad: bool,
        divisor_override: int | None,
    ) -> Any:
        if divisor_override:
            raise ValueError("onnx_train: ONNX has no average pooling with a divisor_override")
        kernel, padded = _each(kernel_size, axes), _each(padding, axes)
        strides = _each(stride, axes) if stride else kernel
        for axis in range(axes):
            place = values.dim() - axes + axis
            size, pooled = values.shape[place], gradient.shape[place]
            first = _arange(pooled, gradient) * strides[axis] - padded[axis]
            last = (first + kernel[axis]).clamp(max=size + padded[axis])
            within = last.clamp(max=size) - first.clamp(min=0)
            divisor = last - first if count_include_pad else within
            gradient = _along(place, gradient, _shares(size, first, last, divisor, gradient))
        return gradient

    return backward


def adaptive_pooling_backward(gradient: Any, values: Any) -> Any:
    """Returns aten._adaptive_avg_pool2d_backward."""
    for axis in (-2, -1):
        size, pooled = values.shape[axis], gradient.shape[axis]
        number = _arange(pooled, gradient)
        first, last = number * size // pooled, ((number + 1) * size + pooled - 1) // pooled
        gradient = _along(axis, gradient, _shares(size, first, last, last - first, gradient))
    return gradient


def _each(values: list[int], axes: int) -> list[int]:
    return list(values) * axes if len(values) == 1 else list(values)


def _arange(size: Any, like: Any) -> Any:
    import torch

    return torch.arange(size, device=like.device)


def _shares(size: Any, first: Any, last: Any, divisor: Any, like: Any) -> Any:
    """Returns by window and value what share the value has in the window's mean."""
    number = _arange(size, like)
    within = (number >= first[:, None]) & (number < last[:, None])
    return within.to(like.dtype) / divisor.to(like.dtype)[:, None]


def _along(axis: int, values: Any, matrix: Any) -> Any:
    return (values.movedim(axis, -1) @ matrix).movedim(-1, axis)
