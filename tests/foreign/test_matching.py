"""A checkpoint's tensors are matched with those of a model strictly, by name, shape and dtype."""

import re

import numpy as np
import pytest

from pipeline.errors import ModelError, ParamsError
from pipeline.foreign.matching import match
from pipeline.frameworks.contract import Spec

NET = {
    "conv.weight": Spec((4, 3, 3, 3), "float32"),
    "norm.weight": Spec((4,), "float32"),
    "norm.running_mean": Spec((4,), "float32"),
    "norm.num_batches_tracked": Spec((), "int64"),
    "fc.weight": Spec((10, 4), "float32"),
    "fc.bias": Spec((10,), "float32"),
}
TIED = {
    "embed.weight": Spec((7, 4), "float32"),
    "head.weight": Spec((7, 4), "float32", "embed.weight"),
}


def zeros(specs=NET, prefix="", **changes):
    """A checkpoint with these tensors, some of another shape or dtype, or none."""
    found = {f"{prefix}{name}": np.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}
    for name, array in changes.items():
        found[name] = array
    return {name: array for name, array in found.items() if array is not None}


def misfit(specs, weights, **how):
    """What is said of a checkpoint that does not fit, its lines."""
    with pytest.raises(ModelError) as raised:
        match(specs, weights, **how)
    first, rows = str(raised.value), raised.value.__notes__
    assert "\n" not in first
    assert first.startswith("model.net: the checkpoint fits in")
    assert all(word in first for word in ("missing", "left over", "model.rename", "new_weights"))
    return first, [re.split("  +", row.strip()) for row in rows[1:]]


def test_what_is_the_same_is_paired_and_nothing_is_said() -> None:
    result = match(NET, zeros())
    assert dict(result.pairs) == {name: name for name in NET}
    assert (result.new, result.left_out, result.notes) == ((), (), ())


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "net.", "my_attribute.", "a.b.", "module.model."]
)
def test_a_prefix_is_found_taken_off_and_said(prefix: str) -> None:
    result = match(NET, zeros(prefix=prefix))
    assert dict(result.pairs) == {name: f"{prefix}{name}" for name in NET}
    assert all(part in " ".join(result.notes) for part in prefix.split(".")[:-1])


def test_a_wrapper_within_a_name_is_taken_off_unless_the_net_has_it_itself() -> None:
    within = {"enc._orig_mod.weight": np.zeros(2, np.float32), "b": np.zeros(1, np.float32)}
    own = {"enc.weight": Spec((2,), "float32"), "b": Spec((1,), "float32")}
    assert match(own, within).pairs["enc.weight"] == "enc._orig_mod.weight"
    wrapped = {name.replace("enc", "enc._orig_mod"): spec for name, spec in own.items()}
    assert match(wrapped, within).notes == ()


def test_a_net_that_wraps_the_one_that_was_trained_gets_its_prefix() -> None:
    own = {f"backbone.{name}": spec for name, spec in NET.items()}
    result = match(own, zeros())
    assert result.pairs["backbone.fc.bias"] == "fc.bias" and "'backbone.'" in result.notes[0]


def test_of_two_copies_neither_is_chosen_silently() -> None:
    both = zeros(prefix="student.") | zeros(prefix="teacher.")
    _, rows = misfit(NET, both)
    assert len(rows) == len(NET) and {row[2].split(".")[0] for row in rows} == {"teacher"}
    chosen = match(NET, both, {"student": None})
    assert chosen.pairs["fc.bias"] == "teacher.fc.bias" and len(chosen.left_out) == len(NET)


def test_names_are_mended_by_patterns_with_and_without_the_prefix() -> None:
    renamed = {name.replace("fc.", "classifier.1."): array for name, array in zeros().items()}
    with_prefix = {f"net.{name}": array for name, array in renamed.items()}
    for rename in (
        {"classifier.1.*": "fc.*"},
        {"classifier.1": "fc"},
        {"net.classifier.1.*": "fc.*"},
        {"net.classifier.1.*": "net.fc.*"},
        {"classifier*": None, "classifier.1.weight": "fc.weight", "classifier.1.bias": "fc.bias"},
    ):
        assert match(NET, with_prefix, rename).pairs["fc.bias"] == "net.classifier.1.bias"
    extra = renamed | {"ema.fc.weight": np.zeros((10, 4))}
    result = match(NET, extra, {"ema": None, "classifier.1": "fc"})
    assert result.left_out == ("ema.fc.weight",) and "left out" in result.notes[0]


def test_the_pattern_with_the_most_text_counts_in_whichever_order() -> None:
    extra = zeros() | {"head.weight": np.zeros((10, 4), np.float32), "head.note": np.zeros(1)}
    for rename in (
        {"head.*": "fc.*", "head.note": None, "fc.weight": None},
        {"head.note": None, "fc.weight": None, "head.*": "fc.*"},
    ):
        assert match(NET, extra, rename).pairs["fc.weight"] == "head.weight"


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"rename": {"clasifier.*": "fc.*"}}, r"^model.rename: found 'clasifier.\*', which fits "),
        ({"rename": {"fc.*": "*.fc.*"}}, r"^model.rename: found 'fc.\*': '\*.fc.\*', expected as"),
        ({"new_weights": ["head"]}, r"^train.new_weights: found 'head', which fits no tensor"),
        ({"new_weights": ["*"]}, r"^train.new_weights: found patterns that fit every tensor"),
    ],
)
def test_a_pattern_that_does_nothing_is_a_mistake_in_one_line(how, words) -> None:
    with pytest.raises(ParamsError, match=words) as raised:
        match(NET, zeros(), **how)
    assert "\n" not in str(raised.value)


def test_a_new_head_may_be_absent_or_of_another_shape() -> None:
    other = {"fc.weight": np.zeros((1000, 4), np.float32), "fc.bias": None}
    result = match(NET, zeros(**other), new_weights=["fc"])
    assert result.new == ("fc.bias", "fc.weight") and "fc.weight" not in result.pairs
    assert result.left_out == ("fc.weight",)
    assert any("keep their initial values" in note for note in result.notes)
    assert match(NET, zeros(), new_weights=["fc.*"]).new == result.new


def test_floats_of_another_width_are_brought_home_and_said() -> None:
    half = {
        name: np.zeros(s.shape, "float16" if s.dtype == "float32" else s.dtype)
        for name, s in NET.items()
    }
    [note] = match(NET, half).notes
    assert "5 tensors" in note and "float16" in note and note.endswith("become float32, exactly")
    [note] = match(NET, zeros(**{"fc.bias": np.zeros(10)})).notes
    assert note.endswith("become float32, rounded")


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64", "float8_e4m3fn"])
def test_another_kind_of_number_is_a_misfit(dtype: str) -> None:
    class Odd:
        shape = (10,)

    Odd.dtype = dtype
    _, [row] = misfit(NET, zeros(**{"fc.bias": Odd()}))
    assert row == ["fc.bias", "float32 [10]", "fc.bias", f"{dtype} [10]", row[-1]]
    assert row[-1].startswith("another kind of number")


def test_integers_are_widened_and_never_narrowed() -> None:
    name = "norm.num_batches_tracked"
    assert match(NET, zeros(**{name: np.int32(3)})).notes[0].endswith("become int64, exactly")
    misfit(NET, zeros(**{name: np.uint64(3)}))
    misfit({"count": Spec((), "int32")}, {"count": np.int64(3)})


def test_a_tied_weight_may_be_there_once() -> None:
    for alone in TIED:
        result = match(TIED, {alone: np.zeros((7, 4), np.float32)})
        assert dict(result.pairs) == dict.fromkeys(TIED, alone)
        assert "same tensor" in result.notes[0]
    with pytest.raises(ParamsError, match=r"^train.new_weights: head.weight and embed.weight are"):
        match(TIED, zeros(TIED), new_weights=["head"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"fc.weight": np.zeros((5, 4), "f"), "fc.bias": np.zeros(5, "f")}, r"classes.*\[fc\]"),
        ({"fc.weight": np.zeros((4, 10), "f")}, "transposed kernel"),
        ({"fc.bias": np.zeros((1, 10), "f")}, "the same values in another shape"),
        ({"conv.weight": np.zeros((4, 1, 3, 3), "f")}, "another number of inputs or channels"),
        ({"conv.weight": np.zeros((8, 3, 5, 5), "f")}, "another width"),
        ({"norm.num_batches_tracked": None}, "before 0.4.1; train.new_weights"),
        ({"fc.bias": None}, r"train.new_weights: \[fc.bias\]"),
        ({"fc.bias": None, "head.bias": np.zeros(10, "f")}, r"renamed.*\{head: fc\}"),
        ({"ema.fc.bias": np.zeros(10, "f")}, r"EMA.*\{ema: null\}.*weights_of: ema"),
        ({"copy.fc.bias": np.zeros(10, "f")}, r"another copy of fc.bias.*\{copy: null\}.*of: copy"),
        ({"criterion.weight": np.zeros(10, "f")}, r"of a loss.*\{criterion: null\} leaves it out$"),
        ({"extra": np.zeros(1, "f")}, r"no such tensor.*\{extra: null\}"),
        ({"conv.weight_g": np.zeros(1, "f")}, "weight norm"),
    ],
)
def test_the_table_names_a_likely_reason(changes, reason: str) -> None:
    _, rows = misfit(NET, zeros(**changes))
    assert re.search(reason, rows[0][-1]), rows


def test_what_the_table_advises_mends_it() -> None:
    renamed = zeros(**{"fc.bias": None, "head.bias": np.zeros(10, "f")})
    assert match(NET, renamed, {"head": "fc"}).pairs["fc.bias"] == "head.bias"
    assert match(NET, zeros(**{"ema.fc.bias": np.zeros(10, "f")}), {"ema": None}).left_out


def test_another_nets_checkpoint_is_said_in_a_table_of_bounded_length() -> None:
    other = {f"block.{i}.w\x1b[2J": np.zeros(3) for i in range(5000)}
    first, rows = misfit({f"layer.{i}.w": Spec((3,), "float32") for i in range(5000)}, other)
    assert first.startswith("model.net: the checkpoint fits in none of its 5000 tensors")
    assert len(rows) == 21 and rows[-1] == ["… and more"]
    assert "\x1b" not in str(rows)


def test_an_averaged_models_count_is_left_out_and_said() -> None:
    averaged = zeros(prefix="module.") | {"n_averaged": np.int64(3)}
    result = match(NET, averaged)
    assert result.left_out == ("n_averaged",) and "AveragedModel" in " ".join(result.notes)
