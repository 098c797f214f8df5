"""Writes the format: a pickle, and beside it what only unpickling would tell."""

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._torch import check_evaluation_mode
from .._zip import data_offset
from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from ._names import FILE, INDEX

if TYPE_CHECKING:
    from torch import Tensor, nn

Index = dict[str, tuple[int, int, str]]


def export(
    model: "nn.Module",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes the model, and an index of its names and of where its weights lie. Raises ValueError
    in one line where it cannot be pickled."""
    import torch

    check_evaluation_mode(model, "torch_pickle")
    buffer = io.BytesIO()  # a path's name would become part of the bytes
    try:
        torch.save(model, buffer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"torch_pickle: this model cannot be pickled: {error}") from error
    (directory / FILE).write_bytes(buffer.getbuffer())
    weights = _places(model, _members(directory / FILE))
    index = {"inputs": list(inputs), "outputs": outputs, "weights": weights}
    (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _members(path: Path) -> dict[bytes, list[int]]:
    """Returns where in the archive members with the same data begin."""
    offsets: dict[bytes, list[int]] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            offsets.setdefault(archive.read(info), []).append(data_offset(archive, info))
    return offsets


def _places(model: "nn.Module", members: dict[bytes, list[int]]) -> Index:
    """Returns offset, length and dtype of each tensor that lies in a member of its own, or shares
    one with another name; no member serves two tensors."""
    places: Index = {}
    offsets: dict[int, int] = {}  # by address
    for name, tensor in model.state_dict().items():
        data, address = _data(tensor), tensor.data_ptr()
        if address not in offsets and members.get(data):
            offsets[address] = members[data].pop(0)
        if address in offsets:
            places[name] = offsets[address], len(data), _numpy_name(tensor.dtype)
    return places


def _data(tensor: "Tensor") -> bytes:
    import torch

    return bytes(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())


def _numpy_name(dtype: Any) -> str:
    """Returns that of unsigned integers of the same size for what numpy lacks."""
    name = str(dtype).removeprefix("torch.")
    return name if name in np.sctypeDict else f"uint{8 * dtype.itemsize}"
