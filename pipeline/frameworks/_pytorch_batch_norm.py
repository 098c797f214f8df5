"""A batch norm over ranks takes its statistics of all rows of the step, whoever holds them, as one
process does. (torch's own SyncBatchNorm works on GPUs alone.)"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn import functional as over_ranks
from torch.nn.modules.batchnorm import _BatchNorm

Counts = Callable[[], bool]
"""Whether the rows that go through are rows of the step, and not there for the calls' sake."""


def join(net: nn.Module, counts: Counts) -> None:
    """Has each batch norm learn of all ranks' rows. Raises ValueError for one with a forward of its
    own."""
    for path, module in net.named_modules():
        if not isinstance(module, _BatchNorm):
            continue
        if type(module).forward is not _BatchNorm.forward:
            raise ValueError(
                f"model.net: {path} is a {type(module).__name__}, which is a batch norm with a "
                "forward of its own, expected one of torch.nn's (BatchNorm1d, BatchNorm2d, "
                "BatchNorm3d) over ranks; or set train.distributed.processes=1"
            )
        vars(module)["forward"] = partial(_forward, module, counts)


def _forward(module: _BatchNorm, counts: Counts, values: Tensor) -> Tensor:
    if not module.training:
        return _BatchNorm.forward(module, values)
    module._check_input_dim(values)  # type: ignore[no-untyped-call]
    axes = [axis for axis in range(values.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(values.ndim)]
    wide = values.float()
    alive = float(counts())
    here = torch.tensor(alive * values.numel() / values.shape[1], dtype=torch.float64)
    distributed.all_reduce(here)
    total = float(here)
    mean = _sum(wide.sum(axes) * alive) / total
    away = wide - mean.view(shape)
    variance = _sum(away.square().sum(axes) * alive) / total
    _learn(module, mean.detach(), variance.detach(), total)
    result: Tensor = away * torch.rsqrt(variance + module.eps).view(shape)
    if module.affine:
        result = result * module.weight.view(shape) + module.bias.view(shape)
    return result.to(values.dtype)


def _sum(here: Tensor) -> Tensor:
    """Returns the sum over ranks, through which gradients go."""
    total: Tensor = over_ranks.all_reduce(here)  # type: ignore[no-untyped-call]
    return total


def _learn(module: _BatchNorm, mean: Tensor, variance: Tensor, rows: float) -> None:
    """Brings the running statistics on, with the variance that is of no bias."""
    if not module.track_running_stats or module.running_mean is None:
        return
    assert module.running_var is not None
    with torch.no_grad():
        share = module.momentum
        if module.num_batches_tracked is not None:
            module.num_batches_tracked.add_(1)
            if share is None:
                share = 1.0 / float(module.num_batches_tracked)
        unbiased = variance * (rows / max(rows - 1, 1))
        module.running_mean.mul_(1 - (share or 0.0)).add_(mean, alpha=share or 0.0)
        module.running_var.mul_(1 - (share or 0.0)).add_(unbiased, alpha=share or 0.0)
