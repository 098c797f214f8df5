"""Expressions of shapes, which sympy or Python evaluates, have to be arithmetic of small cost."""

import ast
import math
import re
from collections.abc import Container
from pathlib import Path

LONGEST = 20_000  # characters
LARGEST_POWER = 64
GUARD = re.compile(  # no powers but small ones, no shifts: Python would compute them
    r"(L\['\w+'\](\[\d+\])?\.(size|stride)\(\)\[\d+\]|\b(and|or|not|True|False)\b"
    r"|(?<!\d)\d{1,19}(?!\d)|(?<!\*)\*(?!\*)|\*\*[23](?![\d\s*]*\*\*)(?!\d)|<(?!<)|>(?!>)"
    r"|[\s()+\-/%=!])*"
)
SYMBOL = re.compile(r"z?[su]f?\d+|-?\d+")  # or a number as sympy writes it
FUNCTIONS = frozenset(Path(__file__).with_name("shape_functions.txt").read_text().split())
SYNTAX = (
    *(ast.Expression, ast.Load, ast.keyword, ast.BinOp, ast.UnaryOp),
    *(ast.operator, ast.unaryop),
)
POWER_OPERATORS = (ast.Pow, ast.LShift)
POWER_FUNCTIONS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
POWER_FUNCTIONS |= {"Float", "RoundDecimal"}  # their digits


def is_guard(text: str) -> bool:
    """Whether it compares sizes, which torch evaluates as Python."""
    return len(text) <= LONGEST and GUARD.fullmatch(text) is not None


def is_shape(text: str) -> bool:
    """Whether it is of numbers, symbols and FUNCTIONS alone; sympy evaluates it."""
    if len(text) > LONGEST:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return _largest_power(tree) <= LARGEST_POWER and all(map(_is_arithmetic, ast.walk(tree)))


def _is_arithmetic(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return _calls(node, FUNCTIONS)
    if isinstance(node, ast.Name):
        return node.id in FUNCTIONS or SYMBOL.fullmatch(node.id) is not None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return SYMBOL.fullmatch(node.value) is not None and len(node.value) < 20
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and abs(node.value) < 1 << 63
    return isinstance(node, SYNTAX)


def _calls(node: ast.Call, functions: Container[str]) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in functions


def _largest_power(tree: ast.AST) -> float:
    """Returns the product of all exponents and shifts; infinity where one is no plain number."""
    product = 1.0
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, POWER_OPERATORS):
            product *= _magnitude(node.right)
        if isinstance(node, ast.Call) and node.args and _calls(node, POWER_FUNCTIONS):
            product *= _magnitude(node.args[-1])
    return product


def _magnitude(node: ast.AST) -> float:
    """Returns that of 3, -3 or Integer(3), 1 at least; infinity for anything else."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return _magnitude(node.args[0])
    if isinstance(node, ast.UnaryOp):
        return _magnitude(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return max(1.0, abs(node.value))
    return math.inf
