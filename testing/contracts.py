"""What the type checker says of modules that are loaded by their names, where it sees nothing of
them."""

import subprocess
import sys
from pathlib import Path

from testing.project import ROOT


def broken(lines: list[str], scratch: Path) -> list[str]:
    """Returns the lines, of a module that has these, that the type checker finds wrong."""
    module = scratch / "held.py"
    module.write_text("\n".join(lines))
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(module)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    found = [line.split(": ", 1) for line in done.stdout.splitlines()]
    assert all(place.startswith(f"{module}:") for place, _ in found), done.stdout
    numbers = dict.fromkeys(int(place.split(":")[1]) for place, _ in found)
    return [lines[number - 1] for number in numbers]
