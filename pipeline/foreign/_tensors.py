"""The tensors of a file of torch.save, each a view of the file's mapped bytes."""

import mmap
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ._pickle import Global, Made, Stored
from ._torch_file import WIDTHS, Piece, TorchFile, mapped

if TYPE_CHECKING:
    from torch import Tensor

PLAIN = ("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")
TYPED = "torch._utils._rebuild_tensor_v3"
WRAPPED = ("torch._utils._rebuild_parameter", "torch._utils._rebuild_parameter_with_state")
SUBCLASS = "torch._tensor._rebuild_from_type_v2"
OWN_CLASSES = frozenset({"torch.nn.parameter.Parameter", "torch.Tensor", "torch._tensor.Tensor"})
REASONS = {
    "torch._utils._rebuild_qtensor": "is quantized",
    "torch._utils._rebuild_sparse_tensor": "is sparse",
    "torch._utils._rebuild_nested_tensor": "is nested",
    "torch._utils._rebuild_meta_tensor_no_storage": "is a meta tensor, which has no values",
    "torch._utils._rebuild_wrapper_subclass": "is of a class of tensors of its own",
    SUBCLASS: "is of a class of tensors of its own",
}
MOST_EXPANDED = 1 << 31
"""Elements of a tensor that has more of them than its bytes hold, as `expand` makes one."""


class Tensors:
    """Brings the tensors of a file in place of what its pickle says of them."""

    def __init__(self, file: TorchFile, content: mmap.mmap | None = None) -> None:
        self.file = file
        self.places: Counter[str] = Counter()
        """Where tensors lay when they were written, other than on the CPU -> how many."""
        self._storages: dict[str, Tensor] = {}
        self._bytes = content
        self._known: dict[int, Any] = {}

    def within(self, value: Any) -> Any:
        """Returns the value with its tensors; what is anything else than a tensor, plain or in a
        dict, list or tuple, stays as it is. Raises ValueError."""
        if id(value) not in self._known:
            self._known[id(value)] = self._brought(value)
        return self._known[id(value)]

    def _brought(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.within(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.within(each) for each in value]
        if isinstance(value, tuple):
            return tuple(self.within(each) for each in value)
        return self._tensor(value) if isinstance(value, Made) else value

    def _tensor(self, made: Made) -> Any:
        name, args = made.name, made.args
        if name in PLAIN:
            return self._view(args[0], args[1], args[2], args[3])
        if name == TYPED:
            return self._view(args[0], args[1], args[2], args[3], args[6])
        if name in WRAPPED:
            return self.within(args[0])
        if name == SUBCLASS and isinstance(args[0], Global) and str(args[1]) in OWN_CLASSES:
            return self.within(Made(args[0], args[2]))
        return made

    def _view(
        self, stored: Stored, offset: int, size: Any, stride: Any, dtype: Global | None = None
    ) -> "Tensor":
        import torch

        _, kind, key, place, _, *view = stored.key
        if any(view):
            raise ValueError("a storage that is a view of another")
        name = dtype.name if dtype else WIDTHS[kind.name][0]
        element = getattr(torch, name, None)
        if not isinstance(element, torch.dtype):
            raise ValueError(f"a tensor of {name[:100]}")
        if place != "cpu":
            self.places[str(place)[:50]] += 1
        flat = self._storage(key).view(element)
        _demand_within(offset, size, stride, len(flat))
        return flat.as_strided(size, stride, offset)

    def _storage(self, key: str) -> "Tensor":
        if key not in self._storages:
            self._storages[key] = self._mapped(key, self.file.pieces[key])
        return self._storages[key]

    def _mapped(self, key: str, piece: Piece) -> "Tensor":
        import torch

        if not piece.size:
            return torch.empty(0, dtype=torch.uint8)
        if self._bytes is None:
            self._bytes = mapped(self.file.path)
        with memoryview(self._bytes) as content:
            if piece.crc not in (None, zlib.crc32(content[piece.start : piece.start + piece.size])):
                raise ValueError(f"the bytes of storage {key} are not those of its checksum")
        return torch.frombuffer(
            self._bytes, dtype=torch.uint8, count=piece.size, offset=piece.start
        )


def _demand_within(offset: int, size: Any, stride: Any, elements: int) -> None:
    """Raises ValueError unless a view lies within its storage, and is not much larger than it."""
    numbers = [offset, *size, *stride]
    if not all(type(each) is int and 0 <= each < 1 << 62 for each in numbers):
        raise ValueError("a tensor of impossible shape")
    if len(size) != len(stride):
        raise ValueError("a tensor with other strides than dimensions")
    count = 1
    for each in size:
        count *= each
    last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
    if count and (last >= elements or (count > elements and count > MOST_EXPANDED)):
        raise ValueError("a tensor that ends behind its storage")


def tensors_of(values: Mapping[str, Any], left: list[str]) -> "dict[str, Tensor]":
    """Returns the tensors by name; names of what is a module's extra state are added to `left`.
    Raises ValueError for what is no dense tensor."""
    import torch

    result = {}
    for name, value in values.items():
        if not isinstance(name, str):
            raise ValueError(f"a weight that is called {name!r:.100}")
        if isinstance(value, torch.Tensor):
            result[name] = value
        elif name.endswith("_extra_state"):
            left.append(name)
        else:
            raise ValueError(f"{name} {reason(value)}, expected a dense tensor")
    return result


def reason(value: Any) -> str:
    """Returns what a value is, where it is no tensor."""
    if isinstance(value, Made):
        return REASONS.get(value.name, f"is a {value.name[:100] or 'call'}")
    return f"is a {type(value).__name__}"


def is_plain(value: Any) -> bool:
    """Returns whether all within is numbers, text and tensors."""
    if isinstance(value, dict):
        return all(map(is_plain, value)) and all(map(is_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return not isinstance(value, Made | Global | Stored)


def said_places(places: Mapping[str, int]) -> Iterable[str]:
    """Yields a note of each device that tensors lay on."""
    for place, count in sorted(places.items()):
        yield f"{count} tensors lay on {place}, and are read into the CPU's memory."
