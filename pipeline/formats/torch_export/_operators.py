"""Operators are let in by name and overload: those of torch's that take and give tensors and
numbers alone.

operators.txt is written by `python -m scripts.torch_operators`, which tests run with `--check`;
refused_operators.json says what was looked at and left out, and why. So nothing that a later torch
brings is let in before somebody has looked at it.
"""

from pathlib import Path

OPERATORS = frozenset(Path(__file__).with_name("operators.txt").read_text().split())


def is_operator(target: str) -> bool:
    """Returns whether the target of a program's node is one of them."""
    return target in OPERATORS
