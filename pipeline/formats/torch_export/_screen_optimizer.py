"""`optimizer.pt` has to be a zip of torch's with one pickle, which names nothing but tensors and
plain values.

torch's own reader (weights_only) also makes what the process has been told to trust.
"""

import io
import pickle
import pickletools
import re
import struct
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

from .._zip import Span, read_span, spans
from ._errors import in_one_line
from ._screen_payloads import check_within

LIMIT = 1 << 24  # bytes of the pickle
MEMBER = re.compile(
    r"[\w-]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)",
    re.ASCII,
)
OPCODES = frozenset(Path(__file__).with_name("pickle_opcodes.txt").read_text().split())
PLAIN_CLASSES = {("collections", kind.__name__): kind for kind in (OrderedDict, Counter)}
ITEM_SIZES = {"DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2}
ITEM_SIZES |= {"LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1}
ITEM_SIZES |= {"ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8}
ITEM_SIZES |= {"ComplexDoubleStorage": 16}
UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, IndexError),
    *(KeyError, OverflowError, RecursionError, MemoryError, struct.error),
)


def check_optimizer(path: Path) -> None:
    """Raises ValueError for anything else, and for a class that is no name."""
    read_optimizer(path)


def read_optimizer(path: Path) -> dict[str, Any]:
    """Returns what the file holds, with stand-ins for tensors. Raises ValueError as
    `check_optimizer` does; torch is not loaded."""
    members = spans(path)
    root = _root(path, members)
    span = members[f"{root}/data.pkl"]
    if span[1] > LIMIT:
        raise ValueError(f"{path}: a pickle of {span[1]} bytes, expected at most {LIMIT}")
    sizes = {name.rpartition("/")[2]: n for name, (_, n) in members.items() if "/data/" in name}
    saved: dict[str, Any] = _unpickled(read_span(path, span), sizes, path)
    kinds = [saved["class"], *([saved["scheduler"]["class"]] if saved["scheduler"] else [])]
    for each in kinds:
        if not (isinstance(each, str) and each.isidentifier()):
            raise ValueError(f"{path}: {each!r} is no class of torch.optim; do not load it")
    return saved


def _root(path: Path, members: dict[str, Span]) -> str:
    """Returns the one folder that all members lie in; raises ValueError for members of others."""
    roots = {name.partition("/")[0] for name in members}
    strange = [name for name in members if not MEMBER.fullmatch(name)]
    if strange or len(roots) != 1:
        names = strange or sorted(roots)
        raise ValueError(f"{path}: found {names} in it, expected torch's own; do not load it")
    return roots.pop()


def _unpickled(content: bytes, sizes: dict[str, int], path: Path) -> Any:
    """Returns what it holds, with stand-ins for tensors; raises ValueError where it names or does
    anything else."""
    try:
        for opcode, argument, _ in pickletools.genops(content):
            remote = opcode.name.endswith(("PUT", "GET")) and int(argument or 0) > len(content)
            if opcode.name not in OPCODES or remote:
                raise ValueError(f"opcode {opcode.name}")
        return _Reader(content, sizes).load()
    except UNREADABLE as error:
        raise ValueError(
            f"{path}: its pickle holds more than tensors and plain values "
            f"({in_one_line(error)[:200]}); do not load it"
        ) from error


class _Reader(pickle.Unpickler):
    """An unpickler that calls nothing but what stands here."""

    def __init__(self, content: bytes, sizes: dict[str, int]):
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in PLAIN_CLASSES:
            return PLAIN_CLASSES[module, name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch" and name in ITEM_SIZES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}"[:200])

    def persistent_load(self, reference: Any) -> int:
        """Returns how many elements a storage has."""
        _, kind, key, _, count = reference
        stored = self.sizes[key]
        if type(count) is not int or count * ITEM_SIZES[kind] != stored:
            raise pickle.UnpicklingError(f"storage {key} of {count} elements has {stored} bytes")
        return count

    @staticmethod
    def tensor(count: int, offset: int, shape: Any, strides: Any, *_: Any) -> None:
        check_within(shape, strides, offset, count, "a tensor")
