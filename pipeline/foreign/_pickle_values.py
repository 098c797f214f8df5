"""What stands for the things that a pickle would import, call and make."""

from dataclasses import dataclass, field
from typing import Any

LONGEST_KEY = 16
"""Members of a tuple that is a key of a dict."""
DICTS = frozenset(
    {"collections.OrderedDict", "collections.defaultdict", "__builtin__.dict", "builtins.dict"}
)
SEQUENCES = frozenset(
    {
        *("builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple", "torch.Size"),
        *("__builtin__.set", "__builtin__.frozenset", "__builtin__.list", "__builtin__.tuple"),
    }
)
"""What is made of one sequence, which stands for it."""


@dataclass(frozen=True)
class Global:
    """Something that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Made:
    """What the pickle would make by a call, and would give a state, items and pairs afterwards."""

    what: Any
    args: tuple[Any, ...]
    state: Any = None
    items: list[Any] = field(default_factory=list)
    pairs: list[tuple[Any, Any]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Returns the dotted name of what would be called; "" where that is made, too."""
        return str(self.what) if isinstance(self.what, Global) else ""


@dataclass(eq=False)
class Stored:
    """A piece that lies beside the pickle, by what the pickle calls it."""

    key: Any


def key_of(key: Any) -> Any:
    """Returns it, where it can be told from others at once: a tuple within tuples within others
    would be gone through by the interpreter with no bound."""
    flat = key if isinstance(key, tuple) else (key,)
    if len(flat) > LONGEST_KEY or any(isinstance(each, tuple) and each for each in flat):
        raise ValueError("a key that is nested")
    return key


def plain(name: str, args: tuple[Any, ...]) -> Any:
    """Returns what stands for the few things that are data, though a call makes them; None for
    any other."""
    if name in DICTS:
        pairs = args[0] if name.endswith("OrderedDict") and args else []
        return {key_of(key): value for key, value in pairs}
    if name in SEQUENCES and len(args) <= 1:
        members = args[0] if args else ()
        return members if isinstance(members, list | tuple) else None
    if name == "_codecs.encode" and len(args) == 2 and args[1] == "latin1":
        return args[0].encode("latin1")
    if name in ("copyreg._reconstructor", "copy_reg._reconstructor") and len(args) == 3:
        return Made(args[0], ())
    return None
