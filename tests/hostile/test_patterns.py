"""No regular expression of the package takes much longer than its text is long, whatever the text.

The patterns are found in the source, so that a new one is measured too.
"""

import ast
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

from pipeline.foreign import _patterns
from testing.project import ROOT

METHODS = ("fullmatch", "match", "search", "sub", "findall", "split", "finditer", "subn")
USE = re.compile(rf"\b(\w+)\.({'|'.join(METHODS)})\(")
LONGEST = 8_000
"""Characters, of which one pass takes a tenth of a millisecond, and one through every pair a tenth
of a second; more where several are repeated together."""
SOON = 0.02
"""Seconds of processor time, in which nothing is compared."""
LINEAR = 8
"""Times as long for four times the text: 4 where it grows with the length, 16 with its square."""
DOUBLING = 64
"""Characters at which what doubles with each of them has been slow for long."""
GROWS = 16
"""Times as long as before from there on, where no power of the length takes long yet."""
MADE = {
    "pipeline/foreign/_patterns.py": [_patterns._compiled("*b.*.a*c").pattern],
    "pipeline/foreign/_hugging_face_nets.py": [r"position_ids", r"model\.mtp\..*"],
}
"""What is made as it runs: of what a person writes, and by transformers."""
GENERIC = "a1 \n_-./\"\\:'@{[(=+"


@dataclass(frozen=True)
class Pattern:
    place: str
    text: str | bytes
    flags: int
    methods: tuple[str, ...]

    def __str__(self) -> str:
        return self.place


def patterns() -> Iterator[Pattern]:
    sources = {path: path.read_text() for path in sorted((ROOT / "pipeline").rglob("*.py"))}
    uses = {use for source in sources.values() for use in USE.findall(source)}
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)) if "re." in source else ():
            targets = getattr(node, "targets", [])
            for call in ast.iter_child_nodes(node):
                if not _is_of_re(call):
                    continue
                assert isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
                methods = (call.func.attr,)
                if call.func.attr == "compile":
                    name = targets[0].id if targets else None
                    used = [method for method in METHODS if (name, method) in uses]
                    methods = tuple(used) or METHODS[: 3 if name else 1]
                file = path.relative_to(ROOT).as_posix()
                place = f"{file}:{call.lineno}"
                written = isinstance(call.args[0], ast.Constant | ast.JoinedStr | ast.BinOp)
                for text in [_text(call.args[0], place)] if written else MADE[file]:
                    yield Pattern(place, text, _flags(call), methods)


def _is_of_re(node: ast.AST) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    of_re = isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name)
    return of_re and called.value.id == "re" and called.attr in ("compile", *METHODS)


def _text(node: ast.expr, place: str) -> str | bytes:
    """A pattern as it stands; what is put into it is a name."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "name" for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        assert isinstance(node.left, ast.Constant)
        return node.left.value.replace(b"%s", b"name")
    raise AssertionError(f"{place}: a pattern that cannot be measured")


def _flags(call: ast.Call) -> int:
    given = [*call.args[1:], *(each.value for each in call.keywords if each.arg == "flags")]
    named = [node.attr for each in given for node in ast.walk(each) if _is_flag(node)]
    return sum(int(getattr(re, name)) for name in named)


def _is_flag(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "re"
        and isinstance(getattr(re, node.attr, None), re.RegexFlag)
    )


def sample(parsed: Any) -> str:
    """A short text that fits, as far as that is easily said."""
    return "".join(_sample(op, argument) for op, argument in parsed)


def _sample(op: Any, argument: Any) -> str:
    if op is sre.LITERAL:
        return chr(argument)
    if op is sre.IN:
        return _of_class(argument)
    if op in (sre.ANY, sre.NOT_LITERAL):
        return "z"
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return sample(argument[2]) * max(argument[0], min(1, argument[1]))
    if op is sre.SUBPATTERN:
        return sample(argument[-1])
    if op is sre.ATOMIC_GROUP:
        return sample(argument)
    return sample(argument[1][0]) if op is sre.BRANCH else ""


def _of_class(items: Any) -> str:
    first, argument = items[0]
    if first is sre.NEGATE:
        return "z"
    if first is sre.LITERAL:
        return chr(argument)
    kinds = {sre.CATEGORY_DIGIT: "1", sre.CATEGORY_SPACE: " "}
    return chr(argument[0]) if first is sre.RANGE else kinds.get(argument, "a")


def repeated(parsed: Any) -> Iterator[str]:
    """A text for whatever may stand any number of times, and each branch of it."""
    for op, argument in parsed:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield sample(argument[2])
            yield from repeated(argument[2])
        elif op is sre.SUBPATTERN:
            yield from repeated(argument[-1])
        elif op is sre.ATOMIC_GROUP:
            yield from repeated(argument)
        elif op is sre.BRANCH:
            for branch in argument[1]:
                yield sample(branch)
                yield from repeated(branch)


def attacks(pattern: Pattern) -> Iterator[tuple[str, str, str]]:
    """What stands before, what is repeated, and what stands behind and does not fit."""
    text = pattern.text.decode() if isinstance(pattern.text, bytes) else pattern.text
    parsed = parser.parse(text, pattern.flags)
    own = [c for c in dict.fromkeys(text) if not c.isalnum() and c not in "()?*+[]|^$"]
    whole = sample(parsed)
    pumps = [*GENERIC, *own, *repeated(parsed), whole, whole[:-1], *words(text)]
    pumps += [a + b for a in own[:4] for b in (*own[:4], "a", "1") if a != b]
    before = ["", *(sample(parsed[:n]) for n in range(1, len(parsed) + 1))]
    for lead in dict.fromkeys(before):
        for pump in dict.fromkeys(filter(None, pumps)):
            for end in ("", "\0", "!\n"):
                yield lead, pump, end


def words(text: str) -> list[str]:
    """Literal words of the pattern, with which a search may begin again and again."""
    return re.findall(r"[\w ]{3,}+", text)


def seconds(run: Callable[[Any], object], text: Any, times: int = 1) -> float:
    """Of processor time, the least of some."""
    spent = []
    for _ in range(times):
        before = time.process_time()
        run(text)
        spent.append(time.process_time() - before)
    return min(spent)


def slow(pattern: Pattern) -> str | None:
    """The first text on which the pattern is slow."""
    for method in pattern.methods:
        run = runner(re.compile(pattern.text, pattern.flags), method)
        for attack in attacks(pattern):
            length, longest = 12, LONGEST * min(4, len(attack[1]))
            while length < longest and (last := seconds(run, made(pattern, attack, length))) < SOON:
                length = length * 4 // 3 if length < DOUBLING else min(length * GROWS, longest)
            if length >= longest:
                last = seconds(run, made(pattern, attack, length))
            if last > SOON and is_slow(run, pattern, attack, length):
                return f"{method} on {attack}, {length} characters"
    return None


def is_slow(
    run: Callable[[Any], object], pattern: Pattern, attack: tuple[str, str, str], length: int
) -> bool:
    """Whether it takes longer than its text is long, also when measured again."""
    last, quarter = (seconds(run, made(pattern, attack, each), 3) for each in (length, length // 4))
    return last > SOON and last > LINEAR * quarter


def made(pattern: Pattern, attack: tuple[str, str, str], length: int) -> str | bytes:
    lead, pump, end = attack
    text = lead + pump * (length // len(pump) + 1) + end
    return text.encode() if isinstance(pattern.text, bytes) else text


def runner(compiled: re.Pattern, method: str) -> Callable[[Any], object]:
    bound = getattr(compiled, method)
    if method in ("sub", "subn"):
        return lambda text: bound(text[:0], text)
    return (lambda text: list(bound(text))) if method == "finditer" else bound


PATTERNS = list(patterns())


def test_they_are_found() -> None:
    calls = sum(
        line.count("re.compile(") for p in (ROOT / "pipeline").rglob("*.py") for line in p.open()
    )
    assert len([each for each in PATTERNS if each]) >= calls > 20


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
def test_no_pattern_takes_much_longer_than_its_text_is_long(pattern: Pattern) -> None:
    assert slow(pattern) is None


@pytest.mark.parametrize(
    ("text", "flags", "method"),
    [
        (r"^(\s*(?:\w+_version: |python: ))\d$", re.MULTILINE, "sub"),
        (r"(a+)+b", 0, "fullmatch"),
        (r"\w+_\d+", 0, "findall"),
        (r"(\w|_1?)*-", 0, "match"),
        (r"(.*),(.*),(.*);", 0, "fullmatch"),
        (r"Error encountered[\w ]*: ", 0, "split"),
        (rb"\s*-", 0, "search"),
    ],
)
def test_slow_ones_are_known_when_seen(text: str | bytes, flags: int, method: str) -> None:
    assert slow(Pattern("", text, flags, (method,)))
