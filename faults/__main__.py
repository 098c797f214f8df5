"""python -m faults: every fault of this folder, two at a time, and the table of what came of it."""

import argparse
import contextlib
import json
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from faults._apart import ROOT, isolated
from faults.tally import SEED, Tally, fault, names, title
from testing import preloaded

PAGE = ROOT / "docs/reliability.md"
MARK = "<!-- faults -->"
COLUMNS = ("fault", "tried", "survived", "noticed", "refused", "broken", "further figures")


def main() -> int:
    asked = _arguments()
    if asked.tally:
        return _one(asked.name[0], asked.repeats, asked.scratch, asked.tally)
    print(f"seed {SEED}", flush=True)
    with tempfile.TemporaryDirectory(prefix="faults.") as folder:
        scratch = asked.scratch or Path(folder)
        with ThreadPoolExecutor(2) as pool:
            chosen = asked.name or names()
            tallies = list(pool.map(lambda name: _apart(name, asked, scratch), chosen))
    found = dict(zip(chosen, tallies, strict=True))
    if not asked.short and not asked.repeats:
        _write(found)
    for name, tally in found.items():
        print(*(f"broken: {name}: {line}" for line in tally.broken), sep="\n", end="")
    return 1 if any(tally.broken for tally in found.values()) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*names(), []], help="default: every one")
    parser.add_argument("--repeats", type=int, help="default: each module's REPEATS")
    parser.add_argument("--short", action="store_true", help="as the tests run them")
    parser.add_argument("--scratch", type=Path, help="kept; default: a temporary directory")
    parser.add_argument("--tally", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _one(name: str, repeats: int, scratch: Path, tally: Path) -> int:
    """In name spaces of its own it has the parents of who has started it."""
    served = preloaded.NAME in os.environ
    with contextlib.nullcontext() if served else preloaded.served():
        found = fault(name).run(repeats, scratch)
    tally.write_text(json.dumps(asdict(found)))
    return 0


def _apart(name: str, asked: argparse.Namespace, scratch: Path) -> Tally:
    module = fault(name)
    repeats = asked.repeats or (module.SHORT if asked.short else module.REPEATS)
    began = time.monotonic()
    tally = isolated(name, repeats, scratch / name)
    seconds = time.monotonic() - began
    print(line(name, tally, seconds), flush=True)
    tally.measured["seconds in all"] = round(seconds)
    return tally


def line(name: str, tally: Tally, seconds: float) -> str:
    counts = ("tried", "survived", "noticed", "refused")
    shown = [f"{getattr(tally, count):5} {count}" for count in counts]
    return f"{name:22} {'  '.join(shown)}  {len(tally.broken):3} broken  {seconds:5.0f} s"


def _write(found: dict[str, Tally]) -> None:
    """Their rows; those of other faults stay."""
    before, rows, after = PAGE.read_text().split(MARK)
    old = {name: row for row in rows.splitlines() for name in re.findall(r"\(`(\w+)`\)", row)}
    PAGE.write_text(f"{before}{MARK}\n{table(found, old)}{MARK}{after}")


def table(found: dict[str, Tally], old: dict[str, str] | None = None) -> str:
    rows = (old or {}) | {name: _line(_row(name, tally)) for name, tally in found.items()}
    head = (_line(COLUMNS), _line(tuple("---" for _ in COLUMNS)))
    return "".join(f"{row}\n" for row in (*head, *(rows[name] for name in sorted(rows))))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    counts = (tally.tried, tally.survived, tally.noticed, tally.refused, len(tally.broken))
    further = "; ".join(f"{name}: {value}" for name, value in tally.measured.items())
    return (f"{title(name)} (`{name}`)", *map(str, counts), further)


if __name__ == "__main__":
    sys.exit(main())
