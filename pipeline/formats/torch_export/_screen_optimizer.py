"""`optimizer.pt` has to be a zip of torch's with one pickle, which names nothing but tensors and
plain values.

torch's own reader (weights_only) also makes what the process has been told to trust.
"""

import io
import pickle
import pickletools
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from .._torch_errors import in_one_line
from .._zip import Span, read_span, spans
from ._screen_payloads import check_within

LIMIT = 1 << 24  # bytes of the pickle
DEEPEST, MOST_VALUES = 20, 1 << 22
MEMBER = re.compile(
    r"[\w-]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)",
    re.ASCII,
)
OPCODES = frozenset(Path(__file__).with_name("pickle_opcodes.txt").read_text().split())
CLASSES = frozenset(Path(__file__).with_name("optimizers.txt").read_text().split())
KEYS = {"class", "arguments", "params", "state", "scheduler", "clip_norm", "seed"}
PARTS = {"class", "arguments", "state"}
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
    try:
        _check_content(saved)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; do not load it") from error
    return saved


def _check_content(saved: Any) -> None:
    """Raises ValueError unless torch's own classes are made of it, by names that are none of
    Python's own."""
    scheduler = saved["scheduler"]
    made = [(saved, "torch.optim")]
    if scheduler is not None:
        made.append((scheduler, "torch.optim.lr_scheduler"))
    for part, package in made:
        kind = part["class"]
        if not isinstance(kind, str) or f"{package}.{kind}" not in CLASSES:
            named = kind[:200] if isinstance(kind, str) else type(kind).__name__
            raise ValueError(f"{named!r} is no class of {package} known here")
        for name in [*part["arguments"], *part["state"]]:
            if not isinstance(name, str) or not name.isidentifier() or name.startswith("__"):
                raise ValueError(f"{str(name)[:200]!r} is no name of an argument or a state")
    if set(saved) - {"stepping"} != KEYS or (scheduler is not None and set(scheduler) != PARTS):
        raise ValueError(f"expected {', '.join(sorted(KEYS))} alone")
    _check_stepping(saved.get("stepping", {}))
    if any(type(name) is not str for names in saved["params"] for name in names):
        raise ValueError("a parameter without a name")
    if type(saved["seed"]) is not int or type(saved["clip_norm"]) not in (int, float, type(None)):
        raise ValueError("a seed or a norm that is no number")


def _check_stepping(stepping: Any) -> None:
    """Raises ValueError unless it says how a step is taken, in the values that are known here."""
    if not isinstance(stepping, dict):
        raise ValueError("a stepping that is no mapping")
    for name, value in stepping.items():
        if name not in STEPPING or not STEPPING[name](value):
            raise ValueError(f"{str(name)[:200]!r} does not say how a step is taken")


def _are_counts(value: Any) -> bool:
    return (
        isinstance(value, list) and [type(each) for each in value] == [int, int] and min(value) > 0
    )


def _is_average(value: Any) -> bool:
    numbers = {"start": int, "epochs": int, "steps": int, "decay": float}
    return (
        isinstance(value, dict)
        and set(value) == {"kind", *numbers}
        and value["kind"] in ("ema", "swa")
        and all(type(value[name]) is kind and value[name] >= 0 for name, kind in numbers.items())
    )


def _is_adapter(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"scale", "layers"}
        and type(value["scale"]) is float
        and isinstance(value["layers"], list)
        and all(type(each) is str for each in value["layers"])
    )


def _is_scaling(value: Any) -> bool:
    kinds: dict[str, type] = dict.fromkeys(("scale", "growth_factor", "backoff_factor"), float)
    kinds |= dict.fromkeys(("growth_interval", "_growth_tracker"), int)
    return (
        isinstance(value, dict)
        and set(value) == set(kinds)
        and all(type(value[name]) is kind and value[name] >= 0 for name, kind in kinds.items())
    )


STEPPING: dict[str, Callable[[Any], bool]] = {
    "accumulate": _are_counts,
    "adapter": _is_adapter,
    "averaging": _is_average,
    "precision": lambda value: value in ("bfloat16", "float16"),
    "scaling": _is_scaling,
    "schedule_by": lambda value: value == "step",
}


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
