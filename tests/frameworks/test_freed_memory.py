"""What was freed is given back; without a word glibc would keep it."""

import subprocess
import sys

import pytest

from testing.project import ROOT

HOLES = """
import torch
from pipeline.frameworks._freed_memory import give_back
from testing.memory import resident

torch.ones(6 << 20).sum()  # large, and freed: glibc takes what is smaller from heaps from now on
SAID
before = resident()
large, small = [], []
for _ in range(16):
    large.append(torch.ones(1 << 20))
    small.append(torch.ones(64))
assert resident() - before > 60 << 20
large.clear()
print((resident() - before) >> 20)
"""


@pytest.mark.parametrize(("said", "least", "most"), [("give_back()", -1, 4), ("", 12, 70)])
def test_large_pieces_between_small_ones_are_given_back(said: str, least: int, most: int) -> None:
    command = [sys.executable, "-c", HOLES.replace("SAID", said)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert least <= int(done.stdout) <= most


def test_what_was_free_before_is_given_back() -> None:
    text = HOLES.replace("SAID", "").replace("large.clear()", "large.clear(); give_back()")
    done = subprocess.run(
        [sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) <= 4
