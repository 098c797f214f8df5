"""A fault in a process of its own: what it does to its process is not done to the others."""

import json
import subprocess
import sys
from pathlib import Path

from faults.tally import Tally

ROOT = Path(__file__).parent.parent

LONGEST = 3600
"""Seconds that one fault may take in all."""


def isolated(name: str, repeats: int, scratch: Path, *wrapper: str) -> Tally:
    """`wrapper` is a command that runs another, like unshare."""
    scratch.mkdir(parents=True, exist_ok=True)
    file, log = scratch / "tally.json", scratch / "suite.log"
    command = [*wrapper, sys.executable, "-m", "faults", name, "--repeats", str(repeats)]
    command += ["--scratch", str(scratch / "run"), "--tally", str(file)]
    with log.open("w") as said:
        done = subprocess.run(command, cwd=ROOT, stdout=said, stderr=said, timeout=LONGEST)
    if done.returncode:
        last = " ".join(log.read_text().strip().splitlines()[-1:])
        return Tally(broken=[f"the suite itself ended with {done.returncode}: {last}; see {log}"])
    return Tally(**json.loads(file.read_text()))
