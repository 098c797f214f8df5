"""What a loss is called with follows from names; what is not clear is refused in one line."""

import pytest

from pipeline.frameworks._leaves import leaves, pick
from pipeline.frameworks._terms import compared


def of_two(answer, truth):
    return answer - truth


def of_names(logits, label, picture):
    return logits * label + picture


def with_option(logits, label, weight=1.0):
    return (logits - label) * weight


OUTPUTS, TARGETS, INPUTS = ["logits", "box"], ["label"], ["picture"]
VALUES = {"logits": 5, "box": 7, "label": 2, "picture": 100}


@pytest.mark.parametrize(
    ("function", "compares", "outputs", "value"),
    [
        (of_two, (), ["logits"], 3),
        (of_two, ("box", "label"), OUTPUTS, 5),
        (of_two, ("logits", "picture"), OUTPUTS, -95),
        (of_names, (), OUTPUTS, 110),
        (with_option, (), OUTPUTS, 3),
        (lambda answers, truth: (answers, truth), (), OUTPUTS, ((5, 7), 2)),
    ],
)
def test_a_loss_gets_what_it_names(function, compares, outputs, value) -> None:
    taken = compared("model.loss", function, compares, outputs, TARGETS, INPUTS)
    assert taken.call(function, VALUES) == value


def test_a_term_that_is_called_as_an_output_judges_it() -> None:
    taken = compared("model.loss.box", of_two, (), OUTPUTS, TARGETS, INPUTS)
    assert taken.call(of_two, VALUES) == 5


@pytest.mark.parametrize(
    ("compares", "targets", "inputs", "words"),
    [
        (("logit", "label"), TARGETS, INPUTS, r"\.compares: found logit, .* logits, box, label"),
        (("logits", "box"), [], ["box"], r"\.compares: found box, which is an output and an input"),
        ((), [], INPUTS, r"its parameters are \['answer', 'truth'\], .* say in `compares`"),
        ((), ["label", "size"], INPUTS, r"the targets \['label', 'size'\]"),
    ],
)
def test_what_is_not_clear_is_refused(compares, targets, inputs, words) -> None:
    with pytest.raises(ValueError, match=rf"^model.loss.*{words}"):
        compared("model.loss", of_two, compares, OUTPUTS, targets, inputs)


def test_leaves_have_paths() -> None:
    returned = {"a": (1, [2, None]), "b": {"c": 3}}
    assert leaves(returned) == {"a.0": 1, "a.1.0": 2, "b.c": 3}
    assert leaves(4) == {"": 4}


@pytest.mark.parametrize(
    ("returned", "outputs", "picked"),
    [
        (1, {"x": "x"}, {"x": 1}),
        ((1, 2), {"x": "x", "y": "y"}, {"x": 1, "y": 2}),
        ((1, 2), {"y": "1"}, {"y": 2}),
        ({"x": 1, "y": 2}, {"y": "y"}, {"y": 2}),
        ({"x": {"z": 1}, "y": 2}, {"inner": "x.z"}, {"inner": 1}),
        ((1, {"z": 2}), {"x": "1.z", "y": "0"}, {"x": 2, "y": 1}),
    ],
)
def test_outputs_are_picked_by_path_or_in_order(returned, outputs, picked) -> None:
    assert pick(returned, outputs) == picked


@pytest.mark.parametrize(
    ("returned", "outputs", "words"),
    [
        ((1, 2), {"x": "x"}, "found 1 names, but the net returns 2 arrays"),
        ({"x": 1}, {"y": "y"}, r"found \['y'\], but the net returns x; name some of these"),
        (1, {"x": "x", "y": "y"}, "found 2 names, but the net returns 1 arrays"),
        (None, {"x": "x", "y": "y"}, "found 2 names, but the net returns 0 arrays"),
    ],
)
def test_an_output_that_is_not_there_is_named(returned, outputs, words) -> None:
    with pytest.raises(ValueError, match=f"^model.outputs: {words}"):
        pick(returned, outputs)
