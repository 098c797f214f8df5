"""JSON and text that a stranger wrote are read within bounds: of size, depth, values and digits.

What these let through is what json.loads returns; nothing else is known of it.
"""

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.untrusted import limits


def read_bytes(path: Path, most: int) -> bytes:
    """Returns a plain file's content. Raises ValueError for more than `most` bytes, and for what is
    no plain file: opening a pipe would wait for ever."""
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(opened, "rb") as file:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise ValueError("is no plain file")
        content = file.read(most + 1)
    if len(content) > most:
        raise ValueError(f"holds more than {most} bytes")
    return content


def read_text(path: Path, most: int) -> str:
    """Returns a text no longer than `most` bytes. Raises ValueError."""
    return read_bytes(path, most).decode()


def read_json(path: Path, most: int, constants: bool = True) -> Any:
    """Returns what a file holds. Raises ValueError for what `parse_json` does."""
    return parse_json(read_bytes(path, most), constants)


def parse_json(content: bytes, constants: bool = True) -> Any:
    """Returns what JSON in UTF-8 says. Raises ValueError for what is none, is nested or long beyond
    reason, has a key twice in one mapping (readers differ in which they take), or half a character;
    and for NaN and infinities without `constants`.
    """
    if sum(map(content.count, (b",", b"[", b"{"))) > limits.JSON_VALUES:
        raise ValueError(f"holds more than {limits.JSON_VALUES} values")
    try:
        value = json.loads(
            content.decode(),
            object_pairs_hook=_mapping,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=None if constants else _refuse,
        )
    except RecursionError:
        raise ValueError(f"nested more than {limits.JSON_DEPTH} deep") from None
    _demand_shallow(value)
    return value


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise ValueError(f"names {twice[:100]!r} twice in one mapping")
    return mapping


def _integer(digits: str) -> int:
    return int(_short(digits))


def _float(digits: str) -> float:
    return float(_short(digits))


def _refuse(constant: str) -> Any:
    raise ValueError(f"found {constant}, expected a number")


def _short(digits: str) -> str:
    if len(digits) > limits.DIGITS:
        raise ValueError(f"holds a number of {len(digits)} characters")
    return digits


def _demand_shallow(value: Any) -> None:
    level: Iterable[Any] = [value]
    for _ in range(limits.JSON_DEPTH + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                _demand_whole(each)
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, str):
                _demand_whole([each])
        if not below:
            return
        level = below
    raise ValueError(f"nested more than {limits.JSON_DEPTH} deep")


def _demand_whole(texts: Iterable[str]) -> None:
    """Raises ValueError for half of a pair of surrogates, which no file can hold."""
    for text in texts:
        if not text.isascii():
            text.encode()
