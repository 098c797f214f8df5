"""`python -m scripts.onnx_operators`: which of ONNX' operators a graph may have, as
pipeline/formats/_onnx_operators.txt and _onnx_refused_operators.json have them; after a new onnx.

What ONNX defines in its two own domains is let in, unless the second file names it. What is in
neither is printed: whoever commits the change has looked at each. `--check` writes nothing, and
ends in 1 where there is any.
"""

import argparse
import json
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pipeline/formats"
ALLOWED, REFUSED = FOLDER / "_onnx_operators.txt", FOLDER / "_onnx_refused_operators.json"


def main(arguments: list[str]) -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.onnx_operators", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, end in 1 for a change")
    check = parser.parse_args(arguments).check
    allowed = set(ALLOWED.read_text().splitlines()) if ALLOWED.is_file() else set()
    changes = differences(defined(), allowed, json.loads(REFUSED.read_text()))
    for line in changes:
        print(line)
    if check or not changes:
        return 1 if changes else 0
    gone = {line.partition(": ")[2] for line in changes if line.startswith("gone")}
    new = {line.partition(": ")[2] for line in changes if line.startswith("new")}
    ALLOWED.write_text("\n".join(sorted((allowed - gone) | new)) + "\n")
    return 0


def defined() -> set[str]:
    """Returns domain and name of each operator that the installed onnx defines, in any version."""
    from onnx import defs

    return {
        f"{each.domain or 'ai.onnx'} {each.name}" for each in defs.get_all_schemas_with_history()
    }


def differences(found: set[str], allowed: set[str], refused: dict[str, list[str]]) -> list[str]:
    """Returns a line for each that is in neither list, and for each that is let in and gone."""
    named = {name for names in refused.values() for name in names}
    looked_at = {each for each in found if each.partition(" ")[0] not in named} - named
    lines = [f"new: {each}" for each in sorted(looked_at - allowed)]
    return lines + [f"gone, or refused: {each}" for each in sorted(allowed - looked_at)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
