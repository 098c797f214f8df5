"""JSON from a file of a stranger's is read here within limits of size and depth."""

import json
import re
from pathlib import Path
from typing import Any

from ._zip import Span, read_span

LIMIT = 1 << 25  # bytes
DEPTH = 200
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)


def read_json(path: Path, span: Span, where: str) -> Any:
    """Returns what a member of an archive holds, as `parse` does, which it does not read where it
    is too large."""
    _check_size(span[1], where)
    return parse(read_span(path, span), where)


def parse(content: bytes, where: str) -> Any:
    """Returns what it holds. Raises ValueError, which names `where`, for what is no JSON, or would
    fill the memory or the stack."""
    _check_size(len(content), where)
    depth = 0
    for bracket in re.findall(rb"[\[{\]}]", _STRING.sub(b"", content)):
        depth += 1 if bracket in b"[{" else -1
        if depth > DEPTH:
            raise ValueError(f"{where}: nested more than {DEPTH} deep; do not load it")
    try:
        return json.loads(content.decode())
    except ValueError as error:
        raise ValueError(f"{where}: no JSON that can be read: {error}") from error


def _check_size(size: int, where: str) -> None:
    if size > LIMIT:
        raise ValueError(f"{where}: {size} bytes of JSON, expected at most {LIMIT}")
