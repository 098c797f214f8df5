"""Tensors of a net lie where a checkpoint's file is mapped, so that loading copies nothing; a page
becomes the process' own once a step writes to it."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

ALONE = 2
"""Who uses a storage that one tensor has: the tensor, and Python's word for the storage."""


def lay(net: nn.Module, state: Mapping[str, Any]) -> None:
    """Exchanges the memory of tensors that differ from those of a state_dict in their values alone.
    Loading the state_dict then copies the others."""
    given: set[int] = set()
    taken: set[int] = set()
    for name, tensor in net.state_dict(keep_vars=True).items():
        value = state.get(name)
        if not isinstance(value, Tensor) or id(tensor) in taken:
            continue
        place = value.untyped_storage().data_ptr()
        if place not in given and _alike(tensor, value) and _is_alone(tensor):
            tensor.data = value
            given.add(place)
            taken.add(id(tensor))


def _alike(tensor: Any, value: Tensor) -> bool:
    both = (tensor, value)
    if any(type(each) not in (Tensor, nn.Parameter) or each.device.type != "cpu" for each in both):
        return False
    one, other = ((each.dtype, each.layout, each.shape, each.stride()) for each in both)
    return one == other and all(
        each.layout == torch.strided and each.untyped_storage().nbytes() == each.nbytes
        for each in both
    )


def _is_alone(tensor: Tensor) -> bool:
    """Returns whether no other tensor, as a view that a module keeps, has the same memory."""
    storage = tensor.untyped_storage()
    return int(torch._C._storage_Use_Count(storage._cdata)) <= ALONE
