"""`python -m benchmarks.zoo [family|name …]`: do nets that nobody here wrote leave complete?

Each is taken through train, checkpoint, export and verify, and docs/zoo.md says what became of it.
What an unchanged definition came to is kept below artifacts/zoo, unless --again asks for it anew. A
net that did better in the table before is an error. Extras of the libraries are in pyproject.toml.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from benchmarks.reproduced import ROOT
from benchmarks.zoo import table, worker
from benchmarks.zoo.nets import Net, nets
from benchmarks.zoo.outcome import Outcome

RESULTS = ROOT / "artifacts/zoo"
TABLE = ROOT / "docs/zoo.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo")
    parser.add_argument("chosen", nargs="*", metavar="family|name", help="all, unless some are")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="nets at a time")
    parser.add_argument("--seconds", type=float, default=120, metavar="N", help="for each net")
    parser.add_argument("--again", choices=("all", "failed"), help="what is kept is made anew")
    arguments = parser.parse_args()
    everything = nets()
    try:
        chosen = nets(arguments.chosen)
    except ValueError as fault:
        parser.error(str(fault))
    chosen = [each for each in chosen if not _is_kept(each, arguments.again)]
    with tempfile.TemporaryDirectory(prefix="zoo-") as scratch:
        for framework in sorted({each.framework for each in chosen}):
            mine = [each for each in chosen if each.framework == framework]
            _in_a_fork(framework, mine, Path(scratch), arguments.jobs, arguments.seconds)
    outcomes = {each.name: found for each in everything if (found := kept(each)) is not None}
    page = TABLE.read_text() if TABLE.is_file() else ""
    TABLE.write_text(table.written(everything, outcomes, page))
    fallen = table.fallen(table.read(page), outcomes)
    for name, rates in fallen.items():
        print(f"error: {name}: fell back in {', '.join(rates)}", file=sys.stderr)
    return int(bool(fallen))


def kept(net: Net) -> Outcome | None:
    """Returns what became of the net, if it is known and its definition has stayed."""
    path = RESULTS / f"{net.name}.json"
    if not path.is_file():
        return None
    outcome = Outcome(**json.loads(path.read_text()))
    return outcome if outcome.digest == net.digest else None


def _is_kept(net: Net, again: str | None) -> bool:
    outcome = kept(net)
    if outcome is None or again == "all":
        return False
    return again is None or all(outcome.rates.values())


def _done(net: Net, outcome: Outcome) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(outcome.as_mapping(), indent=1, ensure_ascii=False)
    (RESULTS / f"{net.name}.json").write_text(text + "\n")
    print(table.line(net, outcome), *table.reasons(outcome), sep="\n  ", flush=True)


def _in_a_fork(framework: str, mine: list[Net], scratch: Path, jobs: int, limit: float) -> None:
    """One framework's nets are served by a process that knows no other."""
    process = os.fork()
    if process:
        _, status = os.waitpid(process, 0)
        if status:
            sys.exit(f"the process of {framework} ended with {os.waitstatus_to_exitcode(status)}")
        return
    code = 1
    try:
        worker.served(framework, mine, scratch, jobs, limit, _done)
        code = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
