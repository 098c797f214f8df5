"""Operators are let in by name: those of torch's that touch nothing but tensors and numbers.

operators.txt has none that writes a file (save), maps one (from_file) or prints, none that takes
bytes for pointers or unchecked indices. Those of `aten` and `prims` stand there without overload.
"""

import re
from pathlib import Path

OPERATORS = frozenset(Path(__file__).with_name("operators.txt").read_text().split())
OVERLOADED = ("torch.ops.aten.", "torch.ops.prims.")
OVERLOAD = re.compile(r"\w+", re.ASCII)


def is_operator(target: str) -> bool:
    """Whether the target of a program's node is one of them, with any overload."""
    if target.startswith(OVERLOADED):
        name, _, overload = target.rpartition(".")
        return name in OPERATORS and OVERLOAD.fullmatch(overload) is not None
    return target in OPERATORS
