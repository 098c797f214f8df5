"""A net that looks at values and raises has a program that does so, too.

`if ids.max() >= size: raise ValueError(...)` goes by values, as no program can. Where one way alone
goes on, and the other is the model's own `raise` or `assert`, the program takes the one and asserts
that the values are so: torch refuses then what the model refuses.
"""

import linecache
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ._torch_errors import FAULTS, asking_line, is_of_the_model

if TYPE_CHECKING:
    from torch.export import ExportedProgram

MOST_CHECKS = 8
"""Each costs three traces."""
LONGEST_TEXT = 200
RAISES = ("raise", "assert")


@dataclass(frozen=True)
class Check:
    """What a line asks is `goes_on` where the model goes on; else it says the text."""

    goes_on: bool
    text: str = ""


@dataclass
class Checks:
    """The lines that only check values, and each line that went by values, as they came."""

    known: dict[str, Check] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def found(self, make: "Callable[[], ExportedProgram]") -> "ExportedProgram":
        """Returns what `make` makes, within `asserting`, as soon as all lines in its way that only
        check values are known. Raises what it raises where another is in its way."""
        while True:
            del self.asked[:]
            try:
                return make()
            except FAULTS:
                line = self.asked[-1] if self.asked else ""
                known = not line or line in self.known or len(self.known) == MOST_CHECKS
                check = None if known else self._at(line, make)
                if check is None:
                    raise
                self.known[line] = check

    def _at(self, line: str, make: "Callable[[], ExportedProgram]") -> Check | None:
        """Returns what the line checks; null where it does anything else."""
        said: dict[bool, str] = {}
        for way in (False, True):
            self.known[line] = Check(way)
            del self.asked[:]
            try:
                make()
            except FAULTS as error:
                if self.asked[-1:] == [line] and (text := _raised(error)):
                    said[way] = text
        del self.known[line]
        if len(said) != 1:
            return None
        ((raises, text),) = said.items()
        return Check(not raises, text)


def _raised(error: BaseException) -> str:
    """Returns what the model itself raises, in one line; "" where torch or Python does."""
    while error.__cause__ is not None:
        error = error.__cause__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not is_of_the_model(frames[-1].filename):
        return ""
    line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
    return (" ".join(str(error).split()) or line)[:LONGEST_TEXT] if line.startswith(RAISES) else ""


@contextmanager
def asserting(checks: Checks) -> Iterator[None]:
    """Has the lines that only check values go on, and the program assert that they may."""
    import torch
    from torch.overrides import TorchFunctionMode

    opposite: Any = torch.sym_not
    demand_size: Any = torch._check
    decide: Any = torch.SymBool.__bool__

    def of_tensor(condition: Any, check: Check) -> None:
        holds = condition if check.goes_on else torch.logical_not(condition)
        torch._assert_async(holds, check.text)

    def of_size(condition: Any, check: Check) -> None:
        demand_size(condition if check.goes_on else opposite(condition), lambda: check.text)

    def look(condition: Any, demand: Callable[[Any, Check], None]) -> bool | None:
        line = asking_line()
        checks.asked.append(line)
        if line not in checks.known:
            return None
        demand(condition, checks.known[line])
        return checks.known[line].goes_on

    class Asserting(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            name = getattr(func, "__name__", "")
            read = name == "__bool__" or (name == "item" and args[0].dtype == torch.bool)
            answer = look(args[0], of_tensor) if read else None
            return func(*args, **(kwargs or {})) if answer is None else answer

    def look_at_size(self: Any) -> bool:
        unknown = self.node.constant is None and not self.node.has_hint()
        # Of a float that was read, torch (2.13) asserts nothing.
        whole = unknown and all(each.is_integer for each in self.node.expr.free_symbols)
        answer = look(self, of_size) if whole else None
        return bool(decide(self)) if answer is None else answer

    torch.SymBool.__bool__ = look_at_size  # type: ignore[method-assign]
    try:
        with Asserting():
            yield
    finally:
        torch.SymBool.__bool__ = decide  # type: ignore[method-assign]
