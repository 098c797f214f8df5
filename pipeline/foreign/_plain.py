"""Hyperparameters as JSON has them, of what a pickle says of objects that are never made."""

import math
import struct
from pathlib import PurePosixPath
from typing import Any

from ._pickle import Global, Made, Stored
from ._tensors import PLAIN, TYPED, WRAPPED

DEEPEST, MOST = 32, 10_000
LONGEST = 10_000
"""Characters of a text."""
NAMESPACES = frozenset({"argparse.Namespace", "types.SimpleNamespace"})
PATHS = frozenset(
    f"{module}.{name}"
    for module in ("pathlib", "pathlib._local")
    for name in ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
)
CONTAINERS = frozenset(
    {"omegaconf.dictconfig.DictConfig", "omegaconf.listconfig.ListConfig"},
)
SCALARS = frozenset({"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar"})
_CODES = "f2:e f4:f f8:d i1:b i2:h i4:i i8:q u1:B u2:H u4:I u8:Q b1:?"
CODES = {each[:2]: each[3:] for each in _CODES.split()}
"""numpy's name of a dtype -> struct's."""


class Plain:
    """Makes values plain, and remembers the classes of what it could only name."""

    def __init__(self) -> None:
        self.named: set[str] = set()
        self._left = MOST

    def of(self, value: Any, depth: int = 0) -> Any:
        """Returns it as JSON has it: objects as their attributes, where these are their values, and
        else as the name of their class."""
        self._left -= 1
        if depth > DEEPEST or self._left < 0:
            return "…"
        if isinstance(value, dict):
            return {_text(key): self.of(each, depth + 1) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(each, depth + 1) for each in value]
        return self._object(value, depth) if isinstance(value, Made) else _scalar(value)

    def _object(self, made: Made, depth: int) -> Any:
        name, state = made.name, made.state
        if name in PATHS and all(isinstance(part, str) for part in made.args):
            return str(PurePosixPath(*made.args))
        if name in SCALARS:
            return _number(*made.args)
        if name in NAMESPACES:
            return self.of(state or {}, depth + 1)
        if name in CONTAINERS and isinstance(state, dict):
            return self.of(state.get("_content"), depth + 1)
        if name.startswith("omegaconf.nodes.") and isinstance(state, dict):
            return self.of(state.get("_val"), depth + 1)
        if name in (*PLAIN, TYPED, *WRAPPED):
            return "a tensor"
        if made.pairs:
            return self.of(dict(_pair(pair) for pair in made.pairs), depth + 1)
        if made.items:
            return self.of(made.items, depth + 1)
        self.named.add(name[:200])
        if isinstance(state, dict):
            return {"_class_": name[:200], **self.of(state, depth + 1)}
        return name[:200]


def _pair(pair: tuple[Any, Any]) -> tuple[str, Any]:
    return _text(pair[0]), pair[1]


def _text(value: Any) -> str:
    plain = _scalar(value)
    return plain if isinstance(plain, str) else str(plain)


def _scalar(value: Any) -> Any:
    if isinstance(value, str):
        return value[:LONGEST].encode(errors="replace").decode()
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 63 else f"a number of {value.bit_length()} bits"
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    if isinstance(value, Global):
        return str(value)[:200]
    return "a tensor" if isinstance(value, Stored) else type(value).__name__


def _number(dtype: Any, content: Any = b"") -> Any:
    """Returns numpy's number, of its dtype and bytes."""
    kind = dtype.args[0] if isinstance(dtype, Made) and dtype.args else ""
    code = CODES.get(kind) if isinstance(kind, str) else None
    if code is None or not isinstance(content, bytes) or len(content) != struct.calcsize(code):
        return "a number"
    return _scalar(struct.unpack(f"<{code}", content)[0])
