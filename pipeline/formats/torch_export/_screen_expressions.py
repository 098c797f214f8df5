"""Expressions of shapes, which sympy or Python evaluates, have to be arithmetic of small cost."""

import ast
import math
import re
from functools import lru_cache
from pathlib import Path

LONGEST = 20_000  # characters
LARGEST_POWER = 64
SYMBOL = re.compile(r"z?[su]f?[0-9]{1,6}")
"""torch counts up to a symbol's number when it loads it."""
NUMBER = re.compile(r"[0-9]{1,19}(\.[0-9]{0,30})?")
FLOAT = re.compile(r"-?[0-9]{1,19}(\.[0-9]{0,30})?(e[+-]?[0-9]{1,3})?")
FUNCTIONS = frozenset(Path(__file__).with_name("shape_functions.txt").read_text().split())
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
"""Without `^`, which sympy reads as a power, and without shifts."""
SIGNS = (ast.USub, ast.UAdd)
POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift", "RoundDecimal"}
MOST_BITS = 64
MOST_TERMS, MOST_SYMBOLS, MOST_EXTREMES = 128, 16, 16
"""Of an expression multiplied out, of the sizes in it, and of those that Max and Min compare: sympy
looks for common factors and compares each with each."""
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)


def is_symbol(text: str) -> bool:
    """Returns whether it is a symbol of torch's for a size."""
    return SYMBOL.fullmatch(text) is not None


def is_guard(text: str) -> bool:
    """Returns whether it compares sizes, which torch evaluates as Python."""
    tree = _parsed(text)
    return tree is not None and _is_condition(tree) and _largest_power(tree) <= LARGEST_POWER


@lru_cache(maxsize=1024)
def is_shape(text: str) -> bool:
    """Returns whether it is of numbers, symbols and FUNCTIONS alone, and cheap; sympy evaluates it.
    A program says the same few of each of its tensors."""
    tree = _parsed(text)
    if tree is None or not text.isascii() or _largest_power(tree) > LARGEST_POWER:
        return False
    return _is_arithmetic(tree, text) and _is_cheap(tree)


def _parsed(text: str) -> ast.expr | None:
    """Returns the expression in one line that it is, if it is one."""
    if len(text) > LONGEST or not text.isprintable() or "#" in text:
        return None
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _is_arithmetic(tree: ast.expr, text: str) -> bool:
    """Walks the expression without recursion: a sum of many terms is a deep one."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.BinOp) and isinstance(node.op, OPERATORS):
            waiting += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, SIGNS):
            waiting.append(node.operand)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if not _is_call(node, node.func.id):
                return False
            waiting += [] if node.func.id in ("Symbol", "Float") else node.args
        elif not _is_leaf(node, text):
            return False
    return True


def _is_leaf(node: ast.expr, text: str) -> bool:
    if isinstance(node, ast.Name):
        return is_symbol(node.id)
    if not isinstance(node, ast.Constant):
        return False
    written = text[node.col_offset : node.end_col_offset]  # sympy computes 1e-999999999 exactly
    return type(node.value) is bool or _is_number(node.value, written)


def _is_number(value: object, written: str) -> bool:
    small = isinstance(value, int | float) and abs(value) < 1 << 63
    return small and NUMBER.fullmatch(written) is not None


def _is_call(node: ast.Call, function: str) -> bool:
    """Returns whether the function may be called with as many arguments, and those of its
    keywords."""
    keywords = {each.arg: getattr(each.value, "value", None) for each in node.keywords}
    if function == "Symbol":
        plain = all(type(value) is bool for value in keywords.values()) and None not in keywords
        return plain and _is_text(node.args, SYMBOL)
    if function == "Float":
        bits = keywords.pop("precision", MOST_BITS)
        return (
            not keywords and type(bits) is int and bits <= MOST_BITS and _is_text(node.args, FLOAT)
        )
    return (
        function in FUNCTIONS and not keywords and (function not in POWERS or len(node.args) == 2)
    )


def _is_text(arguments: list[ast.expr], pattern: re.Pattern[str]) -> bool:
    """Returns whether there is one argument, a text that matches."""
    texts = [each.value for each in arguments if isinstance(each, ast.Constant)]
    single = len(arguments) == len(texts) == 1 and isinstance(texts[0], str)
    return single and pattern.fullmatch(str(texts[0])) is not None


def _is_condition(tree: ast.expr) -> bool:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.BoolOp):
            waiting += node.values
        elif isinstance(node, ast.Compare) and all(isinstance(o, COMPARISONS) for o in node.ops):
            waiting += [node.left, *node.comparators]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, OPERATORS):
            waiting += [node.left, node.right]
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (*SIGNS, ast.Not)):
            waiting.append(node.operand)
        elif not (_is_size(node) or _is_count(node)):
            return False
    return True


def _is_count(node: ast.expr) -> bool:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, int):
        return False
    return abs(node.value) < 1 << 63


def _is_size(node: ast.expr) -> bool:
    """Returns whether it is L['name'].size()[0], L['name'][0].stride()[1] or the like."""
    call = node.value if isinstance(node, ast.Subscript) and _is_count(node.slice) else None
    if not isinstance(call, ast.Call) or call.args or call.keywords:
        return False
    method = call.func
    if not isinstance(method, ast.Attribute) or method.attr not in ("size", "stride"):
        return False
    return _is_argument(method.value) or _is_element(method.value)


def _is_element(node: ast.expr) -> bool:
    return isinstance(node, ast.Subscript) and _is_count(node.slice) and _is_argument(node.value)


def _is_argument(node: ast.expr) -> bool:
    if not (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant)):
        return False
    name, holder = node.slice.value, node.value
    named = isinstance(name, str) and re.fullmatch(r"\w+", name) is not None
    return named and isinstance(holder, ast.Name) and holder.id == "L"


def _is_cheap(tree: ast.expr) -> bool:
    """Returns whether it is of few symbols and few terms; walks without recursion, from the leaves
    up."""
    order, waiting = [], [tree]
    while waiting:
        order.append(waiting.pop())
        waiting += _operands(order[-1])
    calls = [each for each in order if isinstance(each, ast.Call)]
    extremes = sum(len(each.args) for each in calls if _function(each) in ("Max", "Min"))
    symbols = {ast.dump(each) for each in order if isinstance(each, ast.Name)}
    symbols |= {ast.dump(each.args[0]) for each in calls if _function(each) == "Symbol"}
    terms: dict[ast.expr, int] = {}
    for each in reversed(order):
        terms[each] = _terms(each, [terms[inner] for inner in _operands(each)])
    most = max(terms.values())
    return most <= MOST_TERMS and len(symbols) <= MOST_SYMBOLS and extremes <= MOST_EXTREMES


def _operands(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, ast.BinOp):
        return [node.left, node.right]
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    if isinstance(node, ast.Call) and _function(node) not in ("Symbol", "Float"):
        return node.args
    return []


def _function(call: ast.Call) -> str:
    return str(getattr(call.func, "id", ""))


def _terms(node: ast.expr, inner: list[int]) -> int:
    """Returns how many terms there are once it is multiplied out, or one more than the most."""
    if isinstance(node, ast.UnaryOp):
        return inner[0]
    name = _function(node) if isinstance(node, ast.Call) else ""
    kind = type(getattr(node, "op", None))
    if name == "Add" or kind in (ast.Add, ast.Sub):
        count = sum(inner)
    elif name == "Mul" or kind in (ast.Mult, ast.Div):
        count = math.prod(inner)
    elif name in POWERS or kind is ast.Pow:
        count = inner[0] ** math.ceil(_magnitude(_operands(node)[-1]))
    else:
        count = 1
    return min(max(1, count), MOST_TERMS + 1)


def _largest_power(tree: ast.AST) -> float:
    """Returns the product of all exponents and shifts; infinity where one is no plain number."""
    product = 1.0
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            product *= _magnitude(node.right)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in POWERS and node.args:
            product *= _magnitude(node.args[-1])
    return product


def _magnitude(node: ast.AST) -> float:
    """Returns that of 3, -3, Integer(3) or Float('0.5'), 1 at least; infinity for anything else."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return _magnitude(node.args[0])
    if isinstance(node, ast.UnaryOp):
        return _magnitude(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return max(1.0, abs(node.value))
    if (
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and FLOAT.fullmatch(node.value)
    ):
        return max(1.0, abs(float(node.value)))
    return math.inf
