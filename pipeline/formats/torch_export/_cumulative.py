"""Batch norm with `momentum=None` keeps the mean over all batches; a program can compute it, too.

Its share of a batch is 1 / (batches so far), a number of Python's that tracing would make constant.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@contextmanager
def own_means(net: "nn.Module") -> Iterator[None]:
    """Has each such layer compute its statistics out of tensors alone while the net is traced."""
    from torch.nn.modules.batchnorm import _BatchNorm

    layers = [
        module
        for module in net.modules()
        if isinstance(module, _BatchNorm)
        and module.momentum is None
        and module.track_running_stats
        and module.training
    ]
    for layer in layers:
        layer.forward = MethodType(_forward, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _forward(self: Any, input: "Tensor") -> "Tensor":
    """Computes what torch does, bit for bit where it is built to multiply and add in one (x86_64):
    a batch's own statistics are those after a share of 1."""
    import torch

    self.num_batches_tracked.add_(1)
    share = self.num_batches_tracked.double().reciprocal().float()
    mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
    answer = torch.nn.functional.batch_norm(
        input, mean, variance, self.weight, self.bias, True, 1.0, self.eps
    )
    self.running_mean.copy_(share * mean + (1 - share) * self.running_mean)
    rest = ((1 - share) * self.running_var).double()
    self.running_var.copy_(share.double() * variance.double() + rest)
    return answer
