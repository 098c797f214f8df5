"""What a program takes and answers is compared with data and parameters by name, or said."""

from typing import Any

import pytest

from pipeline.errors import ModelError, ParamsError
from pipeline.formats.programs import Port, Program
from pipeline.training import ports


def program(**inputs: Port) -> Program:
    outputs = {"logits": Port("float32", (None, 3)), "share": Port("float32", (None, 3))}
    return Program(inputs=inputs, outputs=outputs, versions={})


def data(**shapes: Any) -> dict[str, Any]:
    return {"inputs": {k: {"dtype": "float32", "shape": list(v)} for k, v in shapes.items()}}


ROW = Port("float32", (None, 8))


@pytest.mark.parametrize(
    ("theirs", "own", "expected"),
    [
        (("a", "b"), ("b", "a"), {"a": "a", "b": "b"}),
        (("pixels",), ("image",), {"image": "pixels"}),
        (("args_0", "args_1"), ("a", "b"), {"a": "args_0", "b": "args_1"}),
        (("input.1", "onnx::MatMul_3"), ("a", "b"), {"a": "input.1", "b": "onnx::MatMul_3"}),
    ],
)
def test_inputs_go_by_name_or_where_names_say_nothing_in_their_order(theirs, own, expected):
    described = data(**dict.fromkeys(own, (8,)))
    pairs, notes = ports.inputs(program(**dict.fromkeys(theirs, ROW)), described)
    assert pairs == expected
    assert bool(notes) == (set(theirs) != set(own))


@pytest.mark.parametrize(
    ("theirs", "own", "words"),
    [
        ({"a": ROW, "b": ROW}, {"x": (8,), "y": (8,)}, "found x, y, but the program takes a, b"),
        ({"a": ROW, "b": ROW}, {"a": (8,)}, "found a, but the program takes a, b"),
        ({"a": Port("float64", (None, 8))}, {"a": (8,)}, "set data.inputs.a.dtype=float64"),
        ({"a": Port("int32", (None, 8))}, {"a": (8,)}, "export it again to take one of these"),
        ({"a": Port("float32", (1, 8))}, {"a": (8,)}, "number of rows is fixed; export it again"),
        ({"a": Port("float32", ())}, {"a": ()}, "number of rows is fixed"),
        ({"a": ROW}, {"a": (9,)}, r"a row is of the shape \[9\], but the program takes \[8\]"),
        ({"a": ROW}, {"a": ()}, r"a row is of the shape \[\], but the program takes \[8\]"),
        ({"a": ROW}, {"a": ("length",)}, r"\['length'\], but the program takes \[8\]"),
    ],
)
def test_inputs_that_are_others_are_refused_in_one_line(theirs, own, words):
    with pytest.raises(ModelError, match=words) as raised:
        ports.inputs(program(**theirs), data(**own))
    assert "\n" not in str(raised.value)


def test_what_a_program_leaves_open_takes_any_size():
    open_ = {"a": Port("float32", (None, None)), "b": Port("float32", None)}
    pairs, _ = ports.inputs(program(**open_), data(a=("length",), b=(3, 4)))
    assert pairs == {"a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"share": "share"}, {"share": "share"}),
        ({"p": "share", "l": "logits"}, {"p": "share", "l": "logits"}),
        ({"one": "one", "two": "two"}, {"one": "logits", "two": "share"}),
    ],
)
def test_outputs_are_some_by_name_or_all_in_their_order(wanted, expected):
    assert ports.outputs(program(a=ROW), wanted) == expected


@pytest.mark.parametrize("wanted", [{"one": "one"}, {"p": "shares", "l": "logits"}])
def test_an_output_that_it_does_not_have_is_refused(wanted):
    with pytest.raises(ParamsError, match="but the program answers logits, share"):
        ports.outputs(program(a=ROW), wanted)
