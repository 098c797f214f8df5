"""A command is called with what stands in braces, and its arguments as options."""

import dataclasses

import pytest

from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.params import Train, TrainParams
from pipeline.config.reading import read
from pipeline.training.command.words import arguments, words
from testing.project import ROOT

PLACES = {
    "output": "a/out",
    "data": "a/data",
    "arguments": "tmp/x.json",
    "resume": "",
    "start": "tmp/a.keras",
}


@pytest.fixture(scope="module")
def train() -> Train:
    values = interpolated(compose_conf(ROOT / "conf", ["train=command", "train.seed=7"]))
    return read(TrainParams, values).train


def called(train: Train, command: str, **given: object) -> list[str]:
    return words(dataclasses.replace(train, command=command, arguments=given), PLACES)


def test_places_and_numbers_of_the_section_are_filled_in(train: Train):
    command = "python x.py --out={output} {data} --resume {resume} {seed} {epochs} {lr} {device}"
    expected = [
        "python",
        "x.py",
        "--out=a/out",
        "a/data",
        "--resume",
        "",
        "7",
        "10",
        "0.001",
        "cpu",
    ]
    assert called(train, command) == expected


def test_quoted_words_stay_one_and_no_shell_reads_them(train: Train):
    assert called(train, "sh -c 'echo $HOME; {output}'") == ["sh", "-c", "echo $HOME; a/out"]


def test_arguments_come_last_as_options(train: Train):
    given = {"units": [8, 16], "adam": {"lr": 1e-05}, "amp": True, "tag": None, "more": {}}
    options = ["--units", "8", "16", "--adam.lr", "1e-05", "--amp", "true"]
    assert called(train, "x {output}", **given) == ["x", "a/out", *options]


def test_or_where_they_are_named_or_in_a_file_alone(train: Train):
    assert called(train, "x {options} -- {output}", a=1) == ["x", "--a", "1", "--", "a/out"]
    assert called(train, "x {arguments} {output}", a=1) == ["x", "tmp/x.json", "a/out"]


def test_texts_in_arguments_are_filled_in_too(train: Train):
    given = {"trainer": {"dir": "{output}/logs", "steps": [1, "{data}"]}, "other": "{x} {}"}
    changed = dataclasses.replace(train, command="x {arguments}", arguments=given)
    expected = {"trainer": {"dir": "a/out/logs", "steps": [1, "a/data"]}, "other": "{x} {}"}
    assert arguments(changed, PLACES) == expected
