"""The pickle in a zip of torch's is read with stand-ins for tensors; it may name tensors and plain
values alone."""

import io
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from .._torch_errors import in_one_line
from ._screen_payloads import check_within

LIMIT = 1 << 24  # bytes of the pickle
DEEPEST, MOST_VALUES = 20, 1 << 22
OPCODES = frozenset(Path(__file__).with_name("pickle_opcodes.txt").read_text().split())
ITEM_SIZES = {"DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2}
ITEM_SIZES |= {"LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1}
ITEM_SIZES |= {"ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8}
ITEM_SIZES |= {"ComplexDoubleStorage": 16}
UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, IndexError),
    *(KeyError, OverflowError, RecursionError, MemoryError, struct.error),
)


def unpickled(content: bytes, sizes: dict[str, int], path: Path) -> Any:
    """Returns what it holds, with stand-ins for tensors; raises ValueError where it names or does
    anything else."""
    try:
        for opcode, argument, _ in pickletools.genops(content):
            remote = opcode.name.endswith(("PUT", "GET")) and int(argument or 0) > len(content)
            if opcode.name not in OPCODES or remote:
                raise ValueError(f"opcode {opcode.name}")
        value = _Reader(content, sizes).load()
        if _count(value, {}) > MOST_VALUES:
            raise ValueError(f"over {MOST_VALUES} values")
        return value
    except UNREADABLE as error:
        raise ValueError(
            f"{path}: its pickle holds more than tensors and plain values "
            f"({in_one_line(error)[:200]}); do not load it"
        ) from error


def _count(value: Any, counts: dict[int, int], depth: int = 0) -> int:
    """Returns how many values there are for whoever walks through all of them: one that stands in
    two places, in a pickle once, counts twice. Raises ValueError for one within itself."""
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in counts:
        parts = value.values() if isinstance(value, dict) else value
        counts[id(value)] = 1 + sum(_count(each, counts, depth + 1) for each in parts)
    return counts[id(value)]


class _Reader(pickle._Unpickler):
    """An unpickler that calls nothing but what stands here.

    It is Python's own in Python, since the other hashes whatever stands as a key: tuples of tuples
    of tuples, which take no room, for ever.
    """

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch}
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, content: bytes, sizes: dict[str, int]):
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.sizes = sizes

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([(key, value)])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        self._set(list(zip(items[::2], items[1::2], strict=True)))

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems

    def _set(self, items: list[tuple[Any, Any]]) -> None:
        if not isinstance(self.stack[-1], dict):
            raise pickle.UnpicklingError("it sets an item of what is no dict")
        for key, value in items:
            if type(key) not in SCALARS:
                raise pickle.UnpicklingError(f"a key of {type(key).__name__}")
            self.stack[-1][key] = value

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in MADE:
            return MADE[module, name]
        if module == "torch" and name in ITEM_SIZES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}"[:200])

    def persistent_load(self, reference: Any) -> int:
        """Returns how many elements a storage has."""
        _, kind, key, _, count = reference
        if not (isinstance(kind, str) and isinstance(key, str) and type(count) is int):
            raise pickle.UnpicklingError("a storage that is none")
        stored = self.sizes[key]
        if count * ITEM_SIZES[kind] != stored:
            raise pickle.UnpicklingError(f"storage {key} of {count} elements has {stored} bytes")
        return count


def _tensor(count: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> None:
    numbers = [count, offset, *shape, *strides]
    if any(type(each) is not int for each in numbers):  # not told: a text of it might not end
        raise pickle.UnpicklingError("a tensor without a shape in numbers")
    check_within(shape, strides, offset, count, "a tensor")


def _mapping(*content: Any) -> dict[Any, Any]:
    """Returns what an OrderedDict or a Counter is made of: nothing, or a dict."""
    if content and not (len(content) == 1 and isinstance(content[0], dict)):
        raise pickle.UnpicklingError("a mapping of what is no dict")
    return dict(*content)


SCALARS = (str, int, float, bool, type(None))
MADE = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "Counter"): _mapping,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch", "Size"): tuple,
}
