"""What torch is spared to read anew for an export is what it would have read."""

import pytest
import torch
from torch._export import utils
from torch.onnx._internal.exporter._registration import ONNXRegistry

from testing.preloaded import torchlib


@pytest.fixture
def plainly(monkeypatch: pytest.MonkeyPatch) -> ONNXRegistry:
    """What is read when nothing is known, as it is from then on not."""
    read = getattr(ONNXRegistry.from_torchlib, "plainly", ONNXRegistry.from_torchlib)
    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(read))
    torchlib.once()
    return read(opset_version=18)


def test_they_are_what_torch_reads_and_read_once(plainly: ONNXRegistry) -> None:
    first, second = (ONNXRegistry.from_torchlib(opset_version=18) for _ in range(2))
    assert len(plainly.functions) > 300 and first.opset_version == plainly.opset_version == 18
    assert [*first.functions] == [*plainly.functions]
    for name, known in plainly.functions.items():
        functions = [each.onnx_function for each in known]
        assert [each.onnx_function for each in first.functions[name]] == functions
        pairs = zip(first.functions[name], second.functions[name], strict=True)
        assert all(one is other for one, other in pairs)
    assert ONNXRegistry.from_torchlib(opset_version=20).opset_version == 20


def test_each_export_has_a_table_of_its_own(plainly: ONNXRegistry) -> None:
    first, second = (ONNXRegistry.from_torchlib(opset_version=18) for _ in range(2))
    name = next(iter(first.functions))
    first.functions[name].clear()
    first.functions["more"] = []
    assert second.functions[name] and "more" not in second.functions
    assert len(ONNXRegistry.from_torchlib(opset_version=18).functions) == len(plainly.functions)


def test_operators_made_of_others_are_looked_up_once_and_again_where_one_was_added(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = getattr(utils._materialize_cpp_cia_ops, "plainly", utils._materialize_cpp_cia_ops)
    looks: list[int] = []

    def plainly() -> None:
        looks.append(1)
        known()

    monkeypatch.setattr(utils, "_materialize_cpp_cia_ops", plainly)
    before = utils._collect_all_valid_cia_ops()
    looks.clear()
    torchlib.once()
    assert utils._collect_all_valid_cia_ops() == before == utils._collect_all_valid_cia_ops()
    assert len(looks) == 1
    with torch.library._scoped_library("of_a_test", "FRAGMENT") as library:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: x + x, "CompositeImplicitAutograd")
        assert torch.ops.of_a_test.twice.default in utils._collect_all_valid_cia_ops()
        assert len(looks) == 2
