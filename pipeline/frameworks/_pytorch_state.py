"""What modules hold beside the parameters and buffers that a checkpoint writes."""

from collections.abc import Mapping

import torch
from torch import nn

from ._attributes import digest

MODULES_OWN = frozenset(vars(nn.Module()))
"""Attributes that every module has, among them the tables of parameters, buffers and hooks."""


def outside(roots: Mapping[str, nn.Module]) -> dict[str, bytes]:
    """Returns digests of plain attributes and of buffers that are not persistent, by name."""
    digests: dict[str, bytes] = {}
    for root, module in roots.items():
        for path, part in module.named_modules(prefix=root):
            values = {k: v for k, v in vars(part).items() if k not in MODULES_OWN}
            passing = part._non_persistent_buffers_set
            values |= {k: v for k, v in part._buffers.items() if k in passing}
            for name, value in values.items():
                if (content := digest(value, _as_bytes)) is not None:
                    digests[f"{path}.{name}"] = content
    return digests


def _as_bytes(value: object) -> bytes | None:
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, nn.Module):
        return b""  # it has names of its own
    if not isinstance(value, torch.Tensor) or value.device.type == "meta":
        return None
    flat = value.detach().cpu().contiguous().reshape(-1)
    return f"{value.dtype} {list(value.shape)} ".encode() + flat.view(torch.uint8).numpy().tobytes()
