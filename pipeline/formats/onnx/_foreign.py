"""An ONNX graph that was made elsewhere: what it takes and answers, and where its weights lie.

onnx reads the message, which runs nothing; the screen judges what is made of it before a runtime
sees it.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._onnx_proto import DTYPES
from ..programs import Port
from ._rewriting import without_large
from .screen import NUMBER

LARGEST = 1 << 31  # bytes; a protobuf message ends there
SUFFIX = ".onnx"
TEXT, BFLOAT16 = 8, 16
NAMES = DTYPES | {TEXT: "string", BFLOAT16: "bfloat16"}
FOLDER = "adopt the folder that holds the graph and the files of its weights, and nothing else"


def graph_file(path: Path) -> Path:
    """Returns the graph itself, of a folder that holds one. Raises ValueError."""
    if not path.is_dir():
        return path
    graphs = sorted(each.name for each in path.iterdir() if each.suffix == SUFFIX)
    if len(graphs) != 1:
        raise ValueError(f"holds {len(graphs)} files {SUFFIX}, expected one, with its weights")
    return path / graphs[0]


Places = dict[str, tuple[int, int]]


def read(path: Path) -> tuple[Any, Places]:
    """Returns the onnx.ModelProto without the bytes of large weights, and where in the file these
    lie. Raises ValueError for what is none."""
    import onnx
    from google.protobuf.message import DecodeError

    file = graph_file(path)
    if file.stat().st_size > LARGEST:
        raise ValueError("is larger than a protobuf message can be")
    try:
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped,
            memoryview(mapped) as view,
        ):
            content, places = without_large(view)
        model = onnx.ModelProto.FromString(content)
    except (DecodeError, ValueError, LookupError) as error:
        raise ValueError(f"is no ONNX that can be read ({error}); damaged or cut off") from error
    if not model.HasField("graph"):
        raise ValueError("is no ONNX model: it holds no graph; damaged or cut off")
    return model, places


def inputs(model: Any) -> dict[str, Port]:
    """Returns what the graph takes. What has a value of its own, as IR 3 lists it, is a weight."""
    stored = {each.name for each in model.graph.initializer}
    return {each.name: _port(each) for each in model.graph.input if each.name not in stored}


def outputs(model: Any) -> dict[str, Port]:
    """Returns what it answers."""
    return {each.name: _port(each) for each in model.graph.output}


def _port(value: Any) -> Port:
    """Returns dtype and shape; of what is no tensor the kind, such as sequence, and no shape."""
    kind = value.type.WhichOneof("value") or "nothing"
    if kind != "tensor_type":
        return Port(kind.removesuffix("_type"), None)
    tensor = value.type.tensor_type
    sizes = [
        each.dim_value if each.HasField("dim_value") and each.dim_value > 0 else None
        for each in tensor.shape.dim
    ]
    dtype = NAMES.get(tensor.elem_type, f"ONNX' number {tensor.elem_type}")
    return Port(dtype, tuple(sizes) if tensor.HasField("shape") else None)


def external(model: Any) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yields the weights that lie in other files, and what is said of where."""
    for tensor in model.graph.initializer:
        if tensor.data_location == tensor.EXTERNAL or tensor.external_data:
            yield tensor, {entry.key: entry.value for entry in tensor.external_data}


def weight_place(path: Path, name: str, said: dict[str, str], size: int) -> tuple[Path, int]:
    """Returns file and offset of a weight that lies in a plain file of the same folder, whole.
    Raises ValueError for any other."""
    location = said.get("location", "")
    if not path.is_dir():
        raise ValueError(f"keeps weights in another file, {location[:200]!r}; {FOLDER}")
    file = path / location
    offset, length = said.get("offset", "0"), said.get("length", str(size))
    plain = location not in ("", ".", "..") and Path(location).name == location
    if not plain or file.is_symlink() or (file.exists() and not file.is_file()):
        raise ValueError(
            f"keeps the weight {name!r} in {location[:200]!r}, expected a plain file beside it; do "
            "not load it"
        )
    if not file.is_file():
        raise ValueError(f"lacks {location[:200]}, which holds weights; {FOLDER}")
    if not (NUMBER.fullmatch(offset) and NUMBER.fullmatch(length)) or int(length) != size:
        raise ValueError(f"the weight {name!r} takes {size} bytes, and is said to have {length}")
    if int(offset) + size > file.stat().st_size:
        raise ValueError(f"{location}: cut off before the end of the weight {name!r}")
    return file, int(offset)
