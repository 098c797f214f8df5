"""The table of a large model's run counts bytes beyond a tiny one's, DVC's with them."""

import pytest

from benchmarks.adopted import Cost
from benchmarks.large import NETS, Step, print_table
from pipeline.frameworks import names


def test_each_framework_has_a_net() -> None:
    assert set(NETS) == set(names())


def test_memory_is_in_times_the_weights_and_bytes_are_in_times_the_state(
    capsys: pytest.CaptureFixture[str],
) -> None:
    least = Step(Cost(memory=100, own=50, read=10, written=5), Cost(read=1, written=1))
    stage = Cost(memory=400, own=250, read=610, written=305, mapped=300, seconds=3, processor=2)
    costs = {"train": Step(stage, Cost(read=301, written=1)), "verify": least}
    print_table(costs, dict.fromkeys(costs, least), weights=100)
    lines = capsys.readouterr().out.splitlines()
    cells = "3.00 | 2.00 | 2.00 | 1.00 | 1.00 | 1.00 | 0.00 | 3.00 | 2.00"
    assert lines[2] == f"| train | {cells} |"
    assert lines[3].count("0.00") == 9
    assert lines[-1] == "read 3.0 S, written 1.0 S, all copies"
