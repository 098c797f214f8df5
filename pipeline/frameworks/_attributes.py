"""Digests of what objects hold in their attributes."""

import hashlib
import random
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

DEEPEST = 8
"""Attributes of attributes that are followed."""
PLAIN = (bool, int, float, complex, str, bytes, type(None))

AsBytes = Callable[[Any], bytes | None]
"""Returns the content of what belongs to a framework; None for anything else."""


def digest(value: Any, as_bytes: AsBytes) -> bytes | None:
    """Returns a digest of all plain values, arrays and generators within `value`; None where it
    holds none, as a function does."""
    hashed = hashlib.sha256()
    complete = _feed(hashed.update, value, as_bytes, DEEPEST, set())
    return hashed.digest() if complete else None


def _feed(
    update: Callable[[bytes], None], value: Any, as_bytes: AsBytes, depth: int, above: set[int]
) -> bool:
    content = _content(value) if (own := as_bytes(value)) is None else own
    if content is not None:
        update(b"%d:" % len(content) + content)
        return True
    if depth == 0 or id(value) in above:
        return False
    fed = False
    for name, part in _parts(value):
        update(name.encode())
        fed |= _feed(update, part, as_bytes, depth - 1, above | {id(value)})
    return fed


def _content(value: Any) -> bytes | None:
    if isinstance(value, PLAIN):
        return f"{type(value).__name__} {value!r}".encode()
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            return repr(array.tolist()).encode()
        return f"{array.dtype} {array.shape} ".encode() + array.tobytes()
    if isinstance(value, np.random.Generator):
        return repr(value.bit_generator.state).encode()
    if isinstance(value, np.random.RandomState | random.Random):
        state = value.getstate() if isinstance(value, random.Random) else value.get_state()
        return repr(state).encode()
    return None


def _parts(value: Any) -> list[tuple[str, Any]]:
    """Returns what a container or an object holds; nothing of classes, functions and modules."""
    if isinstance(value, Mapping):
        return [(repr(name), part) for name, part in value.items()]
    if isinstance(value, list | tuple):
        return [(str(index), part) for index, part in enumerate(value)]
    if isinstance(value, set | frozenset):
        return [("", part) for part in sorted(value, key=repr)]
    if isinstance(value, type | ModuleType) or callable(value):
        return []
    return list(getattr(value, "__dict__", {}).items())
