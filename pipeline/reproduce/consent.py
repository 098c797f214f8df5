"""A stranger's code is shown whole before it runs, and runs only where somebody says so."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.errors import CannotRun
from pipeline.reproduce.changes import Changes
from pipeline.reproduce.code import Code

FLAG = "--run-foreign-code"
ANSWER = "run it"
NAMED = 5


def demand(
    foreign: Mapping[Code, Changes],
    called: Sequence[str],
    confinement: str,
    flag: bool,
    say: Callable[[str], None],
) -> None:
    """Raises CannotRun unless the user agrees, by the flag or by an answer on a terminal that has
    shown it. `called`: what only the recorded parameters have the code call."""
    asked = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    if not flag and not asked and not foreign:
        raise CannotRun(
            f"the recorded parameters have the code call {', '.join(called)[:300]}, which its "
            f"commit's own configuration does not; run it, confined, with {FLAG}"
        )
    if not flag and not asked:
        code, changes = next(iter(foreign.items()))
        raise CannotRun(
            f"{code.origin}: is not this clone's own code, {summary(changes)}; read it, "
            f"then run it, confined, with {FLAG}"
        )
    for code, changes in foreign.items():
        say("\n".join(shown(code, changes)))
    for name in called:
        say(f"NOT OF THE COMMIT'S CONFIGURATION: the recorded parameters call {name}")
    say(f"It runs {confinement}")
    if not flag:
        print(f"Type `{ANSWER}` to run this code: ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip() != ANSWER:
            raise CannotRun(f"nothing was run: expected the answer `{ANSWER}`, or {FLAG}")


def summary(changes: Changes) -> str:
    """Says how many files of code it changes and which; code is named before all else."""
    code = [each.name for each in changes.files if each.is_code]
    names = ", ".join(code[:NAMED]) + (f" and {len(code) - NAMED} more" if code[NAMED:] else "")
    rest = len(changes.files) - len(code)
    of_code = f"{len(code)} files of code ({names})" if code else "no code"
    return f"which changes {of_code} and {rest} files of notes and data"


def shown(code: Code, changes: Changes) -> Iterator[str]:
    """Yields all of it, code first, and its files once more at the end, where one reads last."""
    what = f"{code.place}, a patch to" if code.place else "a commit of no branch of this clone,"
    yield f"\nNOT THIS CLONE'S OWN CODE: {what} {code.commit}"
    for each in changes.files:
        yield (
            f"binary: {each.name} ({each.size} bytes)" if each.text is None else each.text.rstrip()
        )
    yield f"That was {code.origin}, {summary(changes)}: "
    yield from (f"  {'code ' if e.is_code else 'other'} {e.name}" for e in changes.files)
