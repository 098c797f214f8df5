"""Tensors of `model.pt2` have to be raw bytes, and to lie within them."""

import re
from typing import Any

from .._zip import Span
from ._archive import dtype_of
from ._screen_program import check_state_name, check_tensor

PAYLOAD = re.compile(r"(weight|tensor)_[0-9]+")


def check_payloads(
    config: dict[str, Any], folder: str, members: dict[str, Span], where: str
) -> None:
    """Raises ValueError for a tensor that is stored as a pickle or reaches beyond its member."""
    for name, payload in config.items():
        check_state_name(name, where)
        check_tensor(payload["tensor_meta"], f"{where}: {name}")
        if payload["use_pickle"] is not False or not PAYLOAD.fullmatch(payload["path_name"]):
            raise ValueError(
                f"{where}: {name!r} is stored as a pickle, expected raw bytes; do not load it"
            )
        size = members[f"{folder}/{payload['path_name']}"][1]
        tensor = payload["tensor_meta"]
        shape, strides = ([each["as_int"] for each in tensor[key]] for key in ("sizes", "strides"))
        offset, count = tensor["storage_offset"]["as_int"], size // dtype_of(tensor).itemsize
        check_within(shape, strides, offset, count, f"{where}: {name}")


def check_within(shape: Any, strides: Any, offset: Any, count: int, where: str) -> None:
    """Raises ValueError unless a tensor lies within the `count` elements that are stored."""
    numbers = [*shape, *strides, offset]
    if any(type(each) is not int or each < 0 for each in numbers) or len(shape) != len(strides):
        raise ValueError(f"{where} has the shape {shape} and strides {strides}; do not load it")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= count:
        raise ValueError(
            f"{where} of shape {shape} reaches to element {last} of the {count} that are stored; "
            "do not load it"
        )
