"""The pieces of a folder that torch.distributed.checkpoint wrote, each read where it lies, and the
tensors that are made of them."""

import math
import mmap
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.errors import DataError

from . import _pickle, _torch_file
from ._pickle import Global, Made
from ._tensors import Tensors

if TYPE_CHECKING:
    from torch import Tensor

METADATA = ".metadata"
MODULE = "torch.distributed.checkpoint.metadata"
Shape = tuple[int, ...]


class Piece(NamedTuple):
    """Where a piece lies."""

    file: str
    start: int
    size: int


class Chunk(NamedTuple):
    """A part of a tensor."""

    offsets: Shape
    sizes: Shape


@dataclass(frozen=True)
class Folder:
    """What the metadata say: what there is, and where its pieces lie."""

    path: Path
    tensors: Mapping[str, tuple[str, Shape, tuple[Chunk, ...]]]
    """Name -> dtype, shape, chunks."""
    values: tuple[str, ...]
    """Names of what is no tensor."""
    paths: Mapping[str, tuple[Any, ...]]
    """Name -> where it stood in the nested dict that was saved."""
    pieces: Mapping[tuple[str, Shape], Piece]


class Reader:
    """Reads the pieces of a folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.places: Counter[str] = Counter()
        self._mapped: dict[str, mmap.mmap] = {}

    def value(self, name: str) -> Any:
        """Returns what was saved under the name: a tensor, a number, a text or the like."""
        if name not in self.folder.tensors:
            return self._read(self._piece(name, ()))
        dtype, shape, chunks = self.folder.tensors[name]
        sharded = Sharded(self, name, shape, dtype, chunks)
        return sharded.tensor() if len(chunks) == 1 else sharded

    def chunk(self, name: str, chunk: Chunk, dtype: str) -> "Tensor":
        """Returns a part of a tensor, mapped. Raises ValueError for one of another shape."""
        import torch

        tensor = self._read(self._piece(name, chunk.offsets))
        fits = isinstance(tensor, torch.Tensor) and tuple(tensor.shape) == chunk.sizes
        if not fits or str(tensor.dtype) != f"torch.{dtype}":
            raise ValueError(f"the piece of {name} is not of {dtype} and shape {chunk.sizes}")
        return tensor  # type: ignore[no-any-return]

    def _piece(self, name: str, offsets: Shape) -> Piece:
        try:
            return self.folder.pieces[name, offsets]
        except KeyError:
            raise ValueError(f"no piece of {name} at {list(offsets)}") from None

    def _read(self, piece: Piece) -> Any:
        path = self.folder.path / piece.file
        if piece.file not in self._mapped:
            self._mapped[piece.file] = _torch_file.mapped(path)
        file = _torch_file.opened(path, (piece.start, piece.size))
        tensors = Tensors(file, self._mapped[piece.file])
        value = tensors.within(file.pickle.value)
        self.places += tensors.places
        return value


class Sharded:
    """A tensor in several pieces, put together when it is asked for and not before."""

    def __init__(
        self, reader: Reader, name: str, shape: Shape, dtype: str, chunks: tuple[Chunk, ...]
    ) -> None:
        self._reader, self._name, self._chunks = reader, name, chunks
        self.shape, self.dtype = shape, dtype
        _demand_cover(name, shape, chunks)

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        values = self.tensor().numpy()
        return values if dtype is None else values.astype(dtype)

    def __dlpack__(self, **options: Any) -> Any:
        return self.tensor().__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def tensor(self) -> "Tensor":
        """Returns the whole, which is mapped where it is one piece. Raises DataError, one line."""
        import torch

        reader, name = self._reader, self._name
        with _torch_file.reading(reader.folder.path, "folder of torch.distributed.checkpoint"):
            parts = [(each, reader.chunk(name, each, self.dtype)) for each in self._chunks]
            if len(parts) == 1:
                return parts[0][1]
            whole = torch.empty(self.shape, dtype=getattr(torch, self.dtype))
            for (offsets, sizes), part in parts:
                where = tuple(slice(o, o + n) for o, n in zip(offsets, sizes, strict=True))
                whole[where] = part
            return whole


def _demand_cover(name: str, shape: Shape, chunks: tuple[Chunk, ...]) -> None:
    """Raises ValueError unless the chunks are the whole tensor, each element once."""
    for offsets, sizes in chunks:
        if not len(offsets) == len(sizes) == len(shape) or any(
            o + n > whole for o, n, whole in zip(offsets, sizes, shape, strict=True)
        ):
            raise ValueError(f"a piece of {name} that lies outside it")
    total = sum(math.prod(each.sizes) for each in chunks)
    apart = all(_are_apart(one, other) for i, one in enumerate(chunks) for other in chunks[i + 1 :])
    if total != math.prod(shape) or not apart:
        raise ValueError(f"pieces of {name} that are not the whole of it, each part once")


def _are_apart(one: Chunk, other: Chunk) -> bool:
    rows = zip(one.offsets, one.sizes, other.offsets, other.sizes, strict=True)
    return any(o + n <= p or p + m <= o for o, n, p, m in rows) or 0 in (*one.sizes, *other.sizes)


def folder(path: Path) -> Folder:
    """Reads the metadata of a folder. Raises one of _torch_file.UNREADABLE."""
    content = _pickle.read_bytes((path / METADATA).read_bytes()).value
    if not _is(content, f"{MODULE}.Metadata"):
        raise ValueError(f"{METADATA} is no Metadata")
    described = content.state["state_dict_metadata"]
    tensors = {
        _text(name): _tensor(each)
        for name, each in described.items()
        if _is(each, f"{MODULE}.TensorStorageMetadata")
    }
    values = [name for name in described if name not in tensors]
    if odd := [n for n in values if not _is(described[n], f"{MODULE}.BytesStorageMetadata")]:
        raise ValueError(f"{odd[0]!r:.100} is neither a tensor nor bytes")
    planned = content.state.get("planner_data")
    paths = planned if isinstance(planned, dict) else {}
    pieces = {_index(k): _place(v) for k, v in content.state["storage_data"].items()}
    _demand_there(path, pieces.values())
    return Folder(
        path,
        tensors,
        tuple(map(_text, values)),
        {name: _path(paths.get(name, (name,))) for name in described},
        pieces,
    )


def _demand_there(path: Path, pieces: Iterable[Piece]) -> None:
    """Raises DataError, one line, for a file that is missing or shorter than its pieces."""
    ends: dict[str, int] = {}
    for file, start, size in pieces:
        ends[file] = max(ends.get(file, 0), start + size)
    for file, end in ends.items():
        place = path / file
        there = place.stat().st_size if place.is_file() else None
        if there is None or there < end:
            problem = "missing" if there is None else f"{there} bytes"
            raise DataError(
                f"{place}: {problem}, though {METADATA} names {end} bytes of it; copy the whole "
                "folder again"
            )


def _tensor(described: Made) -> tuple[str, Shape, tuple[Chunk, ...]]:
    state = described.state
    properties = state["properties"]
    fields = properties.state if isinstance(properties, Made) else properties
    dtype = fields[0] if isinstance(fields, tuple) else fields["dtype"]
    if not isinstance(dtype, Global) or dtype.module != "torch":
        raise ValueError("a tensor without a dtype")
    chunks = [Chunk(_shape(c.state["offsets"]), _shape(c.state["sizes"])) for c in state["chunks"]]
    return dtype.name, _shape(state["size"]), tuple(chunks)


def _index(key: Any) -> tuple[str, Shape]:
    state = key.state
    return _text(state["fqn"]), _shape(state.get("offset") or ())


def _place(info: Any) -> Piece:
    state = info.state
    if state.get("transform_descriptors"):
        raise ValueError("pieces that are compressed or otherwise transformed")
    name, start, size = state["relative_path"], state["offset"], state["length"]
    if not isinstance(name, str) or Path(name).name != name or name in (".", ".."):
        raise ValueError(f"a piece in {name!r:.100}, outside the folder")
    _shape((start, size))
    return Piece(name, start, size)


def _shape(value: Any) -> Shape:
    """Returns it, where it is a few numbers."""
    if not isinstance(value, tuple) or not all(type(n) is int and 0 <= n < 1 << 62 for n in value):
        raise ValueError("an impossible shape or place")
    return value


def _path(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, tuple) or not all(isinstance(each, str | int) for each in value):
        raise ValueError("a name in no dict")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"something that is called {value!r:.100}")
    return value


def _is(value: Any, name: str) -> bool:
    return isinstance(value, Made) and value.name == name
