"""The list of the zoo is whole, its table tells what fell back, and some of its nets pass."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.reproduced import ROOT
from benchmarks.zoo import table
from benchmarks.zoo.__main__ import TABLE
from benchmarks.zoo.nets import Net, nets
from benchmarks.zoo.outcome import RATES, Outcome
from pipeline.config.params import Params
from pipeline.config.reading import read
from testing import preloaded

SERVE = """
import json, sys, warnings
from pathlib import Path
from benchmarks.zoo import nets, worker

warnings.simplefilter("ignore")
worker.served("pytorch", nets.nets(sys.argv[2:]), Path(sys.argv[1]), 1, 600, lambda net, outcome:
    print(json.dumps([net.name, outcome.rates, outcome.reasons]), flush=True))
"""
NET = Net("line", "tiny", {"net": {"_target_": "library.Net"}})


def outcome(**rates: bool) -> Outcome:
    return Outcome(digest="0", rates=dict.fromkeys(RATES, True) | rates)


def test_each_net_is_a_whole_configuration() -> None:
    everything = nets()
    assert len({net.name for net in everything}) == len(everything)
    for net in everything[:: len(everything) // 4]:
        read(Params, net.params())


def test_a_family_or_a_name_chooses() -> None:
    assert {net.family for net in nets(["timm"])} == {"timm"}
    assert [net.name for net in nets(["gpt2"])] == ["gpt2"]
    with pytest.raises(ValueError, match="found 'gtp2', expected a family or a name"):
        nets(["gtp2"])


def test_a_net_that_did_better_in_the_table_before_fell_back() -> None:
    before = table.read(table.written([NET], {"tiny": outcome(onnx=False)}))
    assert before == {"tiny": {rate: rate != "onnx" for rate in RATES}}
    worse = {"tiny": outcome(predicts=False, onnx=False)}
    assert table.fallen(before, worse) == {"tiny": ["predicts"]}
    assert table.fallen(before, {"tiny": outcome()}) == {}


def test_what_an_earlier_table_says_of_a_net_stays_until_it_is_tried_again() -> None:
    refused = outcome(onnx=False).refuse("no such thing", "onnx", "verified")
    page = table.written([NET], {"tiny": refused})
    assert table.written([NET], {}, page) == page
    assert "no such thing" not in table.written([NET], {"tiny": outcome()}, page)


def test_the_table_tells_each_reason_once_with_its_rates() -> None:
    refused = outcome().refuse("no\n such thing", "onnx", "verified")
    assert "* **tiny**, onnx, verified: no such thing\n" in table.written([NET], {"tiny": refused})


def test_the_table_tells_how_many_train_on_of_those_that_can_be_traced() -> None:
    refusals = {
        "other": "its training step cannot be traced: net.py:3",
        "third": "continuation: 3 weights",
        "fourth": "continuation: the answers are NaN, which proves nothing",
    }
    listed = [NET, *(Net("line", name, NET.entry) for name in refusals)]
    outcomes = {name: outcome().refuse(text, "trains on") for name, text in refusals.items()}
    page = table.written(listed, {"tiny": outcome(), **outcomes})
    assert "Of 3 nets whose step can be traced, 1 train on.\nThe answers of 1 are no" in page


def test_of_those_that_can_be_traced_at_least_99_in_100_train_on() -> None:
    said = r"^Of (\d+) nets .* traced, (\d+) train on\.(?:\nThe answers of (\d+) are no numbers)?"
    counts = re.search(said, TABLE.read_text(), re.MULTILINE)
    assert counts is not None
    traced, train_on, undecided = (int(each or 0) for each in counts.groups())
    assert train_on >= 0.99 * (traced - undecided) >= 99
    assert undecided <= 0.02 * traced


def test_nets_of_a_library_leave_complete_or_are_told_why(tmp_path: Path) -> None:
    """wav2vec draws what it hides from numpy's generator, in transformers' own code."""
    words = ("-c", SERVE, str(tmp_path), "gpt2", "wav2vec2_masked")
    done = preloaded.run("pytorch", ROOT, *words, PATH=preloaded.path())
    assert done.returncode == 0, done.stderr
    found = {
        name: (rates, reasons)
        for name, *(rates, reasons) in map(json.loads, done.stdout.splitlines())
    }
    assert found["gpt2"] == (dict.fromkeys(RATES, True), {})
    rates, reasons = found["wav2vec2_masked"]
    assert (rates["trains"], rates["predicts"], rates["trains on"]) == (True, True, False)
    assert "transformers/models/wav2vec2/modeling_wav2vec2.py:" in reasons["trains on"]
