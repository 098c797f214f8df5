"""`model.pickle.pt`: `torch.save(model)`, kept because people ask for it, no complete model."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

Arrays = dict[str, np.ndarray]


FILE = "model.pickle.pt"
INDEX = "model.pickle.json"


def export(model: "nn.Module", inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes FILE, and in INDEX what only unpickling would tell: names, and where weights lie."""
    import torch

    if any(module.training for module in model.modules()):
        raise ValueError("torch_pickle: found the model in training mode, expected model.eval()")
    buffer = io.BytesIO()  # a path's name would become part of the bytes
    try:
        torch.save(model, buffer)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(f"torch_pickle: this model cannot be pickled: {error}") from error
    (directory / FILE).write_bytes(buffer.getbuffer())
    index = {"inputs": list(inputs), "outputs": outputs, "weights": _places(model, directory)}
    (directory / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Runs code from the file; ModuleNotFoundError where the model's source is not importable."""
    import torch

    model = torch.load(directory / FILE, weights_only=False)
    index = json.loads((directory / INDEX).read_text())

    def predict(inputs: Arrays) -> Arrays:
        tensors = [
            torch.from_numpy(np.require(inputs[n], None, ["C", "W"])) for n in index["inputs"]
        ]
        with torch.no_grad():
            found = model(*tensors)
        found = found if isinstance(found, (tuple, list)) else (found,)
        return {n: each.numpy() for n, each in zip(index["outputs"], found, strict=True)}

    return predict


def screen(directory: Path) -> None:
    """Always ValueError: loading a pickle is running it."""
    raise ValueError(
        f"{directory / FILE}: a pickle, which runs whatever code it names; load it only where you "
        "trust whoever wrote it"
    )


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Read from INDEX, since the archive's own table is a pickle: (file, offset, nbytes, dtype)."""
    index = json.loads((directory / INDEX).read_text())
    return {name: (FILE, *place) for name, place in index["weights"].items()}


def card(inputs: list[str], outputs: list[str]) -> str:
    arguments = ", ".join(f'torch.from_numpy(example["input.{name}"])' for name in inputs)
    return (
        "import numpy, torch  # and the model's source must be importable\n"
        'example = numpy.load("examples/one.npz")\n'
        f'model = torch.load("{FILE}", weights_only=False)  # runs code from the file\n'
        "with torch.no_grad():\n"
        f"    outputs = model({arguments})"
    )


def _places(model: "nn.Module", directory: Path) -> dict[str, tuple[int, int, str]]:
    """Finds each contiguous tensor's bytes among the archive's members, none of them used twice."""
    import torch

    free: dict[bytes, list[int]] = {}
    with zipfile.ZipFile(directory / FILE) as archive, (directory / FILE).open("rb") as file:
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            free.setdefault(archive.read(info), []).append(start)
    places: dict[str, tuple[int, int, str]] = {}
    shared: dict[int, int] = {}
    for name, tensor in model.state_dict().items():
        data = tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
        at = shared.get(tensor.data_ptr()) or next(iter(free.get(data, [])), None)
        if at is not None:
            if tensor.data_ptr() not in shared:
                free[data].remove(at)
            shared[tensor.data_ptr()] = at
            places[name] = (at, len(data), _numpy_name(str(tensor.dtype), tensor.itemsize))
    return places


def _numpy_name(dtype: str, itemsize: int) -> str:
    """What numpy lacks is given as unsigned integers of its size."""
    name = dtype.removeprefix("torch.")
    return name if name in np.sctypeDict else f"uint{8 * itemsize}"
