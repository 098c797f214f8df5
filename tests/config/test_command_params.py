"""What is said of a command goes with it, and is understood before anything runs."""

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.params import TrainParams
from pipeline.config.reading import read
from pipeline.errors import ParamsError
from testing.project import ROOT


@pytest.fixture(scope="module")
def composed() -> dict:
    return interpolated(compose_conf(ROOT / "conf", ["train=command"]))


def reading(composed: dict, **changes: object) -> TrainParams:
    return read(TrainParams, {**composed, "train": {**composed["train"], **changes}})


def test_a_command_is_one_value_of_the_command_line():
    overrides = ["train=command", "train.command='python mine.py --out {output}'"]
    params = read(TrainParams, interpolated(compose_conf(ROOT / "conf", overrides)))
    assert params.train.command == "python mine.py --out {output}"
    assert (params.train.code, params.train.arguments) == ((), {})


def test_arguments_are_whatever_a_program_takes(composed: dict):
    given = {"units": [8, 16], "optimizer": {"name": "adam", "lr": 0.1}, "amp": True, "tag": None}
    assert reading(composed, arguments=given).train.arguments == given


def test_the_folder_may_be_an_argument(composed: dict):
    arguments = {"trainer": {"output_dir": "{output}"}}
    assert reading(composed, command="python mine.py", arguments=arguments)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"command": "python mine.py"}, "train.command: found 'python mine.py', expected {output}"),
        ({"command": "x {output} {outptu}"}, "train.command: found {outptu}, expected one of"),
        ({"command": "x '{output}"}, "No closing quotation; quote it in pairs"),
        ({"command": " "}, "train.command: found no word"),
        (
            {"start": "0" * 64},
            "with train.start, expected {start} in it: the checkpoint that it is to start from",
        ),
        ({"new_weights": ["head"]}, "expected none with train.command"),
        ({"parent": "ab"}, "train.parent: found 'ab', expected none with train.command"),
        (
            {"early_stopping": {"metric": "val/loss", "mode": "min", "patience": 2}},
            "expected none with train.command, whose loop is its own",
        ),
        ({"history": {"columns": {"a": "loss"}}}, "train.history.columns.a: found loss, expected"),
        ({"history": {"fiel": "x.csv"}}, "train.history.fiel: no such key; did you mean file?"),
        (
            {"command": None, "arguments": {"a": 1}},
            "train.arguments: found {'a': 1}, expected none",
        ),
        ({"command": None, "code": ["src"]}, "train.code: found ('src',), expected none"),
    ],
)
def test_what_does_not_go_together_is_one_line(composed: dict, changes: dict, line: str):
    with pytest.raises(ParamsError) as fault:
        reading(composed, **changes)
    assert line in str(fault.value)
    assert "\n" not in str(fault.value)


def test_braces_that_name_nothing_of_ours_stay(composed: dict):
    command = """python mine.py {output} --json '{"a": {}}' {0} {A}"""
    assert reading(composed, command=command).train.command == command
