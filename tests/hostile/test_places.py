"""Where weights lie is read by who has loaded nothing and screened nothing, unconfined."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from pipeline.formats.places import DTYPES, within
from testing.formats import form as plugin
from tests.formats.conftest import Exported
from tests.hostile.conftest import copied, edited, edited_json, packed

PICKLE, PROGRAM, GRAPH = plugin("torch_pickle"), plugin("torch_export"), plugin("onnx")


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return copied(exported / "mlp", tmp_path / "copy")


def in_index(change: Callable[[dict], Any]) -> Callable[[Path], Any]:
    def attack(directory: Path) -> None:
        index = json.loads((directory / PICKLE.INDEX).read_text())
        change(index)
        (directory / PICKLE.INDEX).write_text(json.dumps(index))

    return attack


def place(*told: object) -> Callable[[Path], Any]:
    return in_index(lambda index: index["weights"].update(planted=told))


INDEXES: dict[str, Callable[[Path], Any]] = {
    "of 64 GiB": place(0, 1 << 36, "float32"),
    "beyond the file": place(1 << 40, 4, "float32"),
    "before it": place(-8, 4, "float32"),
    "of less than nothing": place(8, -4, "float32"),
    "of half a number": place(0, 3, "float32"),
    "of objects": place(0, 8, "O"),
    "of a record": place(0, 8, "V8"),
    "of a dtype that is a list": place(0, 8, [["x", "f4"]]),
    "of no numbers": place("0", True, "float32"),
    "of too few": place(0),
    "in another file": place(0, 8, "float32", "/etc/hostname"),
    "that is none": in_index(lambda index: index.update(weights=7)),
    "that is nowhere": in_index(lambda index: index.clear()),
    "in a nest": lambda d: (d / PICKLE.INDEX).write_text("[" * 100_000),
    "in a number without end": lambda d: (d / PICKLE.INDEX).write_text("9" * 10_000),
    "in half an index": lambda d: (d / PICKLE.INDEX).write_text("{"),
    "in what is no text": lambda d: (d / PICKLE.INDEX).write_bytes(b"\xff"),
    "in an index that fills the memory": lambda d: (d / PICKLE.INDEX).write_text(" " * (1 << 26)),
}


@pytest.mark.parametrize("attack", INDEXES)
def test_a_place_in_the_index_of_a_pickle_is_within_it(attack: str, copy: Path) -> None:
    INDEXES[attack](copy)
    with pytest.raises(ValueError, match=r"model\.pickle\.json") as raised:
        PICKLE.weights(copy)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 1000


def in_graph(**told: object) -> Callable[[Path], Any]:
    def attack(directory: Path) -> None:
        model = onnx.load(directory / GRAPH.FILE, load_external_data=False)
        tensor = next(each for each in model.graph.initializer if each.external_data)
        entries = {each.key: each.value for each in tensor.external_data} | told
        del tensor.external_data[:]
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        (directory / GRAPH.FILE).write_bytes(model.SerializeToString())

    return attack


@pytest.mark.parametrize(
    "told",
    [
        {"location": "/etc/hostname"},
        {"location": "../model.pt2"},
        {"length": 1 << 36},
        {"offset": -4},
        {"offset": 1 << 40},
        {"offset": "x"},
    ],
    ids=str,
)
def test_a_place_in_a_graph_is_within_the_models_own_files(told: dict, copy: Path) -> None:
    in_graph(**told)(copy)
    with pytest.raises(ValueError, match=r"model\.onnx"):
        GRAPH.weights(copy)


def sized(**told: object) -> Callable[[Path], Any]:
    def first(config: dict) -> None:
        tensor = next(iter(config["config"].values()))["tensor_meta"]
        tensor |= {"sizes": [{"as_int": 1 << 34}], "strides": [{"as_int": 1}]} | told

    return lambda d: edited_json(d / PROGRAM.FILE, "/weights/model_weights_config.json", first)


def bomb(directory: Path) -> None:
    """The table of weights, a megabyte that unpacks to a gigabyte."""

    def change(content: dict[str, bytes]) -> None:
        name = next(each for each in content if each.endswith("model_weights_config.json"))
        content[name] = bytes(1 << 26)

    edited(directory / PROGRAM.FILE, change)
    packed(directory / PROGRAM.FILE, {"model/data": bytes(1 << 26)}, 8)


@pytest.mark.parametrize(
    "attack",
    [sized(), sized(storage_offset={"as_int": -(1 << 40)}), bomb],
    ids=["64 GiB", "before the file", "a bomb"],
)
def test_a_place_in_a_program_is_within_it(attack: Callable[[Path], Any], copy: Path) -> None:
    attack(copy)
    with pytest.raises(ValueError, match=r"model\.pt2|lies at"):
        PROGRAM.weights(copy)


def test_a_file_that_is_not_here_is_not_asked_for_its_size(tmp_path: Path) -> None:
    """Who compares two models says what is missing, and how to get it."""
    places = {"weight": ("model.pt2", 64, 8, "float32")}
    assert within(places, tmp_path, ["model.pt2"]) == places


def test_every_number_of_numpys_is_known() -> None:
    assert {np.dtype(each).name for each in "?bBhHiIqQefdFD"} == DTYPES
