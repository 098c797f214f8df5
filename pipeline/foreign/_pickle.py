"""A pickle is read here as data: a program of opcodes of which none is carried out that would
import or call anything.

What it would import is a `Global`, what it would call or make a `Made` that holds its arguments;
lists, dicts, numbers and text are themselves. Opcodes are those of Python's pickletools.
"""

import io
import pickletools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ._pickle_values import Global, Made, Stored, key_of, plain

__all__ = ["UNREADABLE", "Global", "Made", "Pickle", "Stored", "read", "read_bytes"]

UNREADABLE = (
    *(ValueError, LookupError, TypeError, ArithmeticError, AttributeError, EOFError),
    *(OSError, RecursionError, MemoryError),
)
"""What reading raises where bytes are not a pickle."""


@dataclass(frozen=True)
class Pickle:
    """One pickle, read."""

    value: Any
    globals: frozenset[Global]
    """All that it would import."""


class _Mark:
    """Stands in the stack where a sequence begins."""


MARK = _Mark()
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,
}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
NOTHING = frozenset({"PROTO", "FRAME", "STOP"})
VALUES = (
    *("INT", "LONG", "BININT", "FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BYTEARRAY8", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE"),
)
"""What the opcodes that hold their value begin with."""


def read(file: BinaryIO) -> Pickle:
    """Reads the pickle that begins where the file is, and leaves the file behind it. Raises one of
    UNREADABLE for anything else."""
    machine = _Machine()
    for opcode, argument, _ in _opcodes(file):
        machine.do(opcode.name, argument)
    return Pickle(machine.stack.pop(), frozenset(machine.globals))


def read_bytes(content: bytes) -> Pickle:
    """Reads a pickle that is all there is. Raises one of UNREADABLE."""
    file = io.BytesIO(content)
    result = read(file)
    if file.tell() != len(content):
        raise ValueError(f"{len(content) - file.tell()} bytes behind its end")
    return result


def _opcodes(file: BinaryIO) -> Iterator[tuple[Any, Any, Any]]:
    return pickletools.genops(file)


class _Machine:
    """The stack and the memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.globals: set[Global] = set()
        self.left = 0
        """Of what was read: no more than that is copied, or few bytes could make many."""

    def do(self, name: str, argument: Any) -> None:
        """Does what one opcode says, as far as that makes data."""
        stack = self.stack
        self.left += 1 + (len(argument) if isinstance(argument, str | bytes | bytearray) else 0)
        if name in CONSTANTS:
            stack.append(CONSTANTS[name])
        elif name in EMPTY:
            stack.append(EMPTY[name]())
        elif name in TUPLES:
            stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
        elif name.endswith("PUT") or name == "MEMOIZE":
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif name.endswith("GET"):
            stack.append(self.memo[argument])
        elif (action := getattr(self, f"_{name.lower()}", None)) is not None:
            action(argument)
        elif argument is not None and name.startswith(VALUES):
            stack.append(argument)
        elif name not in NOTHING:
            raise ValueError(f"the opcode {name}, which no checkpoint has")

    def _marked(self) -> list[Any]:
        """Takes what lies above the last mark, and the mark."""
        for at in range(len(self.stack) - 1, -1, -1):
            if self.stack[at] is MARK:
                above = self.stack[at + 1 :]
                del self.stack[at:]
                return above
        raise ValueError("no mark where one has to be")

    def _mark(self, _: Any) -> None:
        self.stack.append(MARK)

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._marked()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._marked())

    def _frozenset(self, _: Any) -> None:
        self.stack.append(self._marked())

    def _dict(self, _: Any) -> None:
        members = self._marked()
        self.stack.append({})
        self._set_all(members)

    def _append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def _appends(self, _: Any) -> None:
        self._extend(self._marked())

    def _additems(self, _: Any) -> None:
        self._extend(self._marked())

    def _extend(self, members: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list | Made):
            (target.items if isinstance(target, Made) else target).extend(members)
        else:
            raise ValueError(f"a {type(target).__name__} is appended to")

    def _setitem(self, _: Any) -> None:
        value = self.stack.pop()
        self._set_all([self.stack.pop(), value])

    def _setitems(self, _: Any) -> None:
        self._set_all(self._marked())

    def _set_all(self, members: list[Any]) -> None:
        target = self.stack[-1]
        for key, value in zip(members[::2], members[1::2], strict=True):
            if isinstance(target, Made):
                target.pairs.append((key, value))
            elif isinstance(target, dict):
                target[key_of(key)] = value
            else:
                raise ValueError(f"a {type(target).__name__} gets an item by key")

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._import(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise ValueError("an import of what is no name")
        self._import(module, name)

    def _import(self, module: str, name: str) -> None:
        known = Global(module, name)
        self.globals.add(known)
        self.stack.append(known)

    def _inst(self, argument: str) -> None:
        members = self._marked()
        self._global(argument)
        self._make(self.stack.pop(), tuple(members))

    def _obj(self, _: Any) -> None:
        what, *members = self._marked()
        self._make(what, tuple(members))

    def _reduce(self, _: Any) -> None:
        args = self.stack.pop()
        self._make(self.stack.pop(), args)

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        named, args = self.stack.pop(), self.stack.pop()
        self._make(self.stack.pop(), (args, named))

    def _make(self, what: Any, args: Any) -> None:
        if not isinstance(what, Global | Made) or not isinstance(args, tuple):
            raise ValueError(f"a call of a {type(what).__name__}")
        made = None
        if isinstance(what, Global):
            self.left -= len(args[0]) if args and isinstance(args[0], str | list | tuple) else 0
            if self.left < 0:
                raise ValueError("copies that are larger than the pickle")
            made = plain(str(what), args)
        self.stack.append(Made(what, args) if made is None else made)

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Made):
            target.state = state
        elif not isinstance(target, dict | list):  # whose attributes are no part of them
            raise ValueError(f"a state of a {type(target).__name__}")

    def _persid(self, argument: Any) -> None:
        self.stack.append(Stored(argument))

    def _binpersid(self, _: Any) -> None:
        self.stack.append(Stored(self.stack.pop()))
