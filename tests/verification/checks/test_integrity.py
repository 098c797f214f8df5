import shutil

import pytest

from pipeline import provenance
from testing.linear import Linear, definition, faults

FILES = ("README.md", "examples/one.npz", "examples/seven.npz", "metrics.json", "model.onnx")
FILES += ("formats.json", "provenance.json", "schema.json")


def judge(linear: Linear) -> list[str]:
    return faults("integrity", linear.evidence(answered=False))


def test_a_model_as_it_was_made_has_no_fault(healthy: Linear) -> None:
    assert judge(healthy) == []


def test_every_file_is_tried_below(healthy: Linear) -> None:
    assert sorted([*provenance.files(healthy.complete_model), provenance.NAME]) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("where", [0.0, 0.5, 0.999])
def test_a_flipped_bit_is_named(linear: Linear, name: str, where: float) -> None:
    path = linear.complete_model / name
    content = bytearray(path.read_bytes())
    content[int(len(content) * where)] ^= 1
    path.write_bytes(content)
    found = judge(linear)
    assert len(found) == 1
    assert str(path) in found[0]


def test_an_added_file_is_named(linear: Linear) -> None:
    (linear.complete_model / "examples" / "more.npz").write_bytes(b"")
    assert [fault.split(": ")[1] for fault in judge(linear)] == ["not in the statement"]
    assert "examples/more.npz" in judge(linear)[0]


def test_a_removed_file_is_named(linear: Linear) -> None:
    (linear.complete_model / "model.onnx").unlink()
    assert judge(linear) == [f"{linear.complete_model / 'model.onnx'}: missing"]


def test_a_renamed_file_is_missing_under_the_one_name_and_extra_under_the_other(
    linear: Linear,
) -> None:
    (linear.complete_model / "model.onnx").rename(linear.complete_model / "best.onnx")
    assert judge(linear) == [
        f"{linear.complete_model / 'best.onnx'}: not in the statement",
        f"{linear.complete_model / 'model.onnx'}: missing",
    ]


def test_a_model_without_a_statement_is_not_complete(linear: Linear) -> None:
    (linear.complete_model / provenance.NAME).unlink()
    (found,) = judge(linear)
    assert "provenance.json: missing" in found


def test_a_model_of_another_checkpoint_is_told(linear: Linear) -> None:
    (linear.checkpoint / "checkpoint.pt").write_bytes(b"another epoch")
    provenance.write(linear.checkpoint, definition(model={"name": "another"}))
    (found,) = judge(linear)
    assert "made from the checkpoint" in found
    assert provenance.digest(linear.checkpoint) in found


@pytest.mark.parametrize("name", ["schema.json", "metrics.json", "examples/one.npz"])
def test_a_copy_that_is_none_is_named_though_the_statement_fits(linear: Linear, name: str) -> None:
    with (linear.complete_model / name).open("ab") as file:
        file.write(b" ")
    linear.seal()
    (found,) = judge(linear)
    assert f"{linear.complete_model / name}: not the checkpoint's" in found


def test_examples_that_the_checkpoint_never_recorded_are_named(linear: Linear) -> None:
    examples = linear.complete_model / "examples"
    shutil.copy(examples / "one.npz", examples / "two.npz")
    linear.seal()
    (found,) = judge(linear)
    assert "two.npz: not the checkpoint's" in found
