"""Attempts on `model.onnx` and `onnx_train/`: none gets as far as onnxruntime."""

import contextlib
import ctypes
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from scripts import onnx_operators
from testing.formats import form as plugin
from tests.formats.conftest import Exported, pixels
from tests.hostile.conftest import copied, refused

form, train = plugin("onnx"), plugin("onnx_train")
OWN = "pkg.onnxscript.torch_lib"
FIELDS = onnx_operators.FOLDER / "_onnx_fields.json"
Attack = Callable[[Path, Path], None]


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return copied(exported / "mlp", tmp_path / "copy")


def changed(change: Callable[[onnx.ModelProto], Any], file: str = "model.onnx") -> Attack:
    def attack(directory: Path, _: Path) -> None:
        model = onnx.load(directory / file, load_external_data=False)
        change(model)
        (directory / file).write_bytes(model.SerializeToString())

    return attack


def outside(tensor: TensorProto, **told: object) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    known = {entry.key: entry.value for entry in tensor.external_data} | told
    del tensor.external_data[:]
    for key, value in known.items():
        tensor.external_data.add(key=key, value=str(value))


def weight(model: onnx.ModelProto) -> TensorProto:
    return next(each for each in model.graph.initializer if each.external_data)


def lies(**told: object) -> Attack:
    return changed(lambda model: outside(weight(model), **told))


def linked(make: Callable[[Path, Path], None]) -> Attack:
    """The weights' file is a link to one elsewhere."""

    def attack(directory: Path, mark: Path) -> None:
        elsewhere = directory.parent / "elsewhere"
        (directory / "model.pt2").replace(elsewhere)
        make(elsewhere, directory / "model.pt2")

    return attack


def added(*nodes: onnx.NodeProto) -> Attack:
    return changed(lambda model: model.graph.node.extend(nodes))


def declared(tensor: TensorProto) -> Attack:
    return changed(lambda model: model.graph.initializer.append(tensor))


def inner(node: onnx.NodeProto) -> onnx.NodeProto:
    """A condition with the node in its branch."""
    branch = helper.make_graph([node], "branch", [], [])
    return helper.make_node("If", ["c"], ["d"], then_branch=branch)


def within_a_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("EPContext", [], ["y"], domain="com.microsoft")
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("own", "F", [], ["y"], [node], opsets))


SPARSE = helper.make_sparse_tensor(
    helper.make_tensor("s", TensorProto.FLOAT, [1], [1.0]),
    helper.make_tensor("i", TensorProto.INT64, [1], [0]),
    [1 << 40],
)


def raw(shape: list[int], content: bytes = b"") -> TensorProto:
    return TensorProto(name="planted", data_type=1, dims=shape, raw_data=content)


def length(content: bytes) -> bytes:
    """As protobuf writes it ahead of them."""
    size, told = len(content), bytearray()
    while size > 0x7F:
        told.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*told, size]) + content


def in_graph(extra: bytes) -> Attack:
    """Bytes of a message that no library would write, at the end of the graph."""

    def attack(directory: Path, _: Path) -> None:
        model = onnx.load(directory / form.FILE, load_external_data=False)
        graph = model.graph.SerializeToString() + extra
        model.ClearField("graph")
        (directory / form.FILE).write_bytes(model.SerializeToString() + b"\x3a" + length(graph))

    return attack


def function(
    *nodes: onnx.NodeProto, domain: str = OWN, name: str = "F", **more: Any
) -> onnx.FunctionProto:
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    return helper.make_function(domain, name, ["x"], ["y"], list(nodes), opsets, **more)


def with_functions(*functions: onnx.FunctionProto) -> Attack:
    return changed(lambda model: model.functions.extend(functions))


def calls(name: str, count: int = 1) -> list[onnx.NodeProto]:
    return [helper.make_node(name, ["x"], ["y"], domain=OWN) for _ in range(count)]


def defaults(attribute: onnx.AttributeProto) -> Attack:
    """An attribute of a function that stands where a call has none."""
    node = helper.make_node("If", ["x"], ["y"])
    return with_functions(function(node, attribute_protos=[attribute]))


def of_text(field: int, first: str, second: bytes) -> bytes:
    """A node's text, and then one of fixed size, which protobuf passes over."""
    told = bytes([field << 3 | 2]) + length(first.encode()) + bytes([field << 3 | 1]) + second
    return b"\x0a" + length(told)


FOREIGN = helper.make_node("EPContext", [], ["y"], domain="com.microsoft", ep_cache_context="/x")
REFUSED: dict[str, Attack] = {
    "weights above": lies(location="../model.pt2"),
    "weights at a path": lies(location="/etc/hostname"),
    "weights at an address": lies(location="*/_ORT_MEM_ADDR_/*"),
    "weights in another file": lies(location="examples/one.npz"),
    "weights nowhere": lies(location=""),
    "a symlink": linked(lambda elsewhere, path: path.symlink_to(elsewhere)),
    "a pipe": linked(lambda _, path: os.mkfifo(path)),
    "a negative offset": lies(offset=-64),
    "a negative length": lies(length=-1),
    "an offset beyond the file": lies(offset=1 << 40),
    "a length beyond the file": lies(length=1 << 40),
    "an offset that is none": lies(offset="0x40"),
    "an offset of many digits": lies(offset="9" * 5000),
    "another key": lies(basepath="/etc"),
    "a custom domain": added(FOREIGN),
    "a custom domain in a branch": added(inner(FOREIGN)),
    "a custom domain in a function": changed(within_a_function),
    "a custom set of operators": changed(
        lambda model: model.opset_import.append(helper.make_opsetid("com.planted", 1))
    ),
    "settings for the runtime": changed(
        lambda model: model.metadata_props.add(key="ort_config", value="{}")
    ),
    "a training of ONNX' own": changed(lambda model: model.training_info.add()),
    "an operator of a runtime's own": added(helper.make_node("MemcpyFromHost", ["x"], ["y"])),
    "an operator of a later version": added(helper.make_node("ReadFile", ["x"], ["y"])),
    "an operator of drafts": added(
        helper.make_node("Adam", ["x"], ["y"], domain="ai.onnx.preview.training")
    ),
    "a picture's file format": added(helper.make_node("ImageDecoder", ["x"], ["y"])),
    "another locale": added(
        helper.make_node("StringNormalizer", ["x"], ["y"], locale="../../planted")
    ),
    "a name that is told twice": in_graph(of_text(4, "EPContext", b"Identity")),
    "a node by a number of 33 bits": in_graph(
        b"\x8a\x80\x80\x80\x10" + length(FOREIGN.SerializeToString())
    ),
    "a field that nobody knows": in_graph(b"\xf2\x3f" + length(b"x")),
    "a name of the graph twice": in_graph(b"\x12\x01x\x12\x01y"),
    "a number of 70 bits": in_graph(b"\x2a" + length(b"\x08" + b"\xff" * 9 + b"\x7f")),
    "a function for a standard operator": with_functions(
        function(helper.make_node("Abs", ["x"], ["y"]), domain="", name="Relu")
    ),
    "a function for an operator of the runtime's own": with_functions(
        function(FOREIGN, domain="com.microsoft", name="EPContext")
    ),
    "a function of a domain that a runtime may have": with_functions(
        function(helper.make_node("Abs", ["x"], ["y"]), domain="com.planted")
    ),
    "a function twice": with_functions(*[function(helper.make_node("Abs", ["x"], ["y"]))] * 2),
    "functions in a ring": with_functions(function(*calls("G")), function(*calls("F"), name="G")),
    "a function of itself": with_functions(function(*calls("F"))),
    "functions that grow": changed(
        lambda model: (
            model.functions.extend(
                function(*calls(f"F{n + 1}", 10), name=f"F{n}") for n in range(7)
            ),
            model.functions.append(function(helper.make_node("Abs", ["x"], ["y"]), name="F7")),
            model.graph.node.extend(calls("F0")),
        )
    ),
    "a long ring of functions": with_functions(
        *(function(*calls(f"F{(n + 1) % 5000}"), name=f"F{n}") for n in range(5000))
    ),
    "a graph that a function falls back to": defaults(
        helper.make_attribute("then_branch", helper.make_graph([FOREIGN], "g", [], []))
    ),
    "a constant that a function falls back to": defaults(
        helper.make_attribute("value", raw([1 << 40]))
    ),
    "two versions of the operators": changed(
        lambda model: model.opset_import.append(helper.make_opsetid("ai.onnx", 7))
    ),
    "metadata of the graph": changed(lambda m: m.graph.metadata_props.add(key="x", value="y")),
    "metadata of a node": changed(
        lambda m: m.graph.node[0].metadata_props.add(key="layer_ann", value="gpu")
    ),
    "metadata of a weight": changed(lambda m: weight(m).metadata_props.add(key="x", value="y")),
    "annotations for quantizing": changed(
        lambda m: m.graph.quantization_annotation.add(tensor_name="x")
    ),
    "devices of the model": changed(lambda m: m.configuration.add(name="x", num_devices=2)),
    "devices of a node": changed(
        lambda m: m.graph.node[0].device_configurations.add(configuration_id="x")
    ),
    "a part of a weight": changed(lambda m: setattr(m.graph.initializer[0].segment, "end", 1)),
    "a type that nobody knows": declared(
        TensorProto(name="planted", data_type=99, dims=[1], raw_data=bytes(4))
    ),
    "a sparse constant": added(helper.make_node("Constant", [], ["y"], sparse_value=SPARSE)),
    "a shape without bytes": declared(raw([1 << 40])),
    "a shape with few bytes": declared(raw([1 << 20], bytes(8))),
    "a negative shape": declared(raw([-1], bytes(4))),
    "a shape that overflows": declared(raw([1 << 33, 1 << 33], bytes(4))),
    "values that are too few": declared(
        TensorProto(name="planted", data_type=1, dims=[1 << 30], float_data=[1.0])
    ),
    "a constant without bytes": added(
        helper.make_node("Constant", [], ["y"], value=raw([1 << 40]))
    ),
    "a sparse weight": changed(lambda m: m.graph.sparse_initializer.append(SPARSE)),
    "two graphs": lambda d, _: (
        (d / form.FILE).write_bytes((d / form.FILE).read_bytes() * 2) and None
    ),
    "half of it": lambda d, _: (
        (d / form.FILE).write_bytes((d / form.FILE).read_bytes()[:-9]) and None
    ),
    "zeros": lambda d, _: (d / form.FILE).write_bytes(bytes(100)) and None,
    "a number without end": lambda d, _: (d / form.FILE).write_bytes(b"\xff" * 100) and None,
}


@pytest.mark.parametrize("attack", REFUSED)
def test_it_is_refused_before_it_acts(attack: str, copy: Path, mark: Path) -> None:
    REFUSED[attack](copy, mark)
    start = time.perf_counter()
    refused(form, copy, mark, r"model\.onnx")
    assert time.perf_counter() - start < 5


def test_a_foreign_operator_deep_in_a_nest_of_graphs_is_found(copy: Path) -> None:
    node = FOREIGN
    for _ in range(20):
        node = inner(node)
    added(node)(copy, copy)
    with pytest.raises(ValueError, match="EPContext"):
        form.screen(copy)


def test_a_hard_link_is_a_plain_file(copy: Path) -> None:
    """DVC's caches make them; what counts are the bytes, which are named by digest elsewhere."""
    linked(lambda elsewhere, path: path.hardlink_to(elsewhere))(copy, copy)
    form.screen(copy)


def test_local_functions_of_allowed_operators_pass(copy: Path) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.functions.append(function(helper.make_node("Relu", ["x"], ["y"])))
        model.opset_import.append(helper.make_opsetid(OWN, 1))
        first = model.graph.node[-1]
        model.graph.node.append(helper.make_node("F", [first.output[0]], ["z"], domain=OWN))

    changed(change)(copy, copy)
    form.screen(copy)
    assert form.load(copy)(pixels(2))


def test_an_address_for_a_file_is_refused_by_us_whatever_onnxruntime_does(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """onnxruntime marks weights that it keeps in memory so; the offset is then a pointer."""
    secret = ctypes.create_string_buffer(np.full(24 * 64, 7.0, np.float32).tobytes())
    place = ctypes.addressof(secret)
    lies(location="*/_ORT_MEM_ADDR_/*", offset=place)(copy, copy)
    with pytest.raises(ValueError, match="_ORT_MEM_ADDR_"):
        form.load(copy)


def test_the_list_is_that_of_the_installed_onnx() -> None:
    """What a new version brings stands here line by line: `python -m scripts.onnx_operators` writes
    it down, and whoever commits that has looked at it."""
    allowed = set(onnx_operators.ALLOWED.read_text().splitlines())
    refused = json.loads(onnx_operators.REFUSED.read_text())
    found = onnx_operators.defined()
    assert onnx_operators.differences(found, allowed, refused) == []
    later = found - {"ai.onnx Relu"} | {"ai.onnx ReadFile"}
    told = onnx_operators.differences(later, allowed, refused)
    assert told == ["new: ai.onnx ReadFile", "gone, or refused: ai.onnx Relu"]


def test_the_fields_that_are_known_are_onnx_own() -> None:
    """By number and wire type, and which of them may come again."""
    kinds = {"text": (9, 12), "integer": (3, 5, 4, 14), "float": (2,), "double": (1,)}
    names = {"OperatorSet": "OperatorSetIdProto", "Entry": "StringStringEntryProto"}
    for message, fields in json.loads(FIELDS.read_text()).items():
        known = getattr(onnx, names.get(message, f"{message}Proto")).DESCRIPTOR.fields_by_number
        for number, written in fields.items():
            field, kind = known[int(number)], written.rstrip("*")
            assert field.is_repeated is written.endswith("*"), (message, number)
            inner = field.message_type.name.removesuffix("Proto") if field.message_type else None
            if kind == "type":
                assert inner in ("Type", "ValueInfo")
            elif inner:
                assert names.get(kind, f"{kind}Proto") == field.message_type.name
            else:
                assert field.type in kinds[kind], (message, number)


STATES: dict[str, Callable[[dict], Any]] = {
    "elsewhere": lambda s: s["states"][0].update(file="/etc/hostname"),
    "beyond the file": lambda s: s["states"][0].update(offset=1 << 40),
    "before the file": lambda s: s["states"][0].update(offset=-8),
    "of no bytes": lambda s: s["states"][0].update(nbytes=-1),
    "of objects": lambda s: s["states"][0].update(dtype="O"),
    "of a record": lambda s: s["states"][0].update(dtype="V1000000000"),
    "of a huge shape": lambda s: s["states"][0].update(shape=[1 << 40]),
    "of a shape in words": lambda s: s["states"][0].update(shape=["1"]),
    "without a name": lambda s: s["states"][0].pop("name"),
    "of learning rates in words": lambda s: s.update(learning_rates=[["x"]]),
    "of nothing": lambda s: s.clear(),
}
TRAINING: dict[str, Attack] = {
    "a custom domain": changed(lambda m: m.graph.node.append(FOREIGN), train.STEP),
    "weights elsewhere": changed(
        lambda m: outside(m.graph.initializer[0], location="model.pt2"), train.STEP
    ),
    "a huge constant": changed(lambda m: m.graph.initializer.append(raw([1 << 40])), train.PREDICT),
    "settings for the runtime": changed(
        lambda m: m.metadata_props.add(key="ort_config", value="{}"), train.PREDICT
    ),
    "no graph": lambda d, _: (d / train.STEP).unlink(),
    "a nest": lambda d, _: (d / train.FILE).write_text("[" * 100_000) and None,
    "half of it": lambda d, _: (d / train.FILE).write_text("{") and None,
}


@pytest.mark.parametrize("attack", STATES)
def test_a_state_that_is_not_whole_is_refused(attack: str, copy: Path, mark: Path) -> None:
    described = json.loads((copy / train.FILE).read_text())
    STATES[attack](described)
    (copy / train.FILE).write_text(json.dumps(described))
    refused(train, copy, mark, r"state\.json")


@pytest.mark.parametrize("attack", TRAINING)
def test_a_training_graph_that_reaches_out_is_refused(attack: str, copy: Path, mark: Path) -> None:
    TRAINING[attack](copy, mark)
    refused(train, copy, mark, "onnx_train")


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_changed_bit_is_let_in_or_refused(
    place: float, bit: int, exported: Exported, tmp_path: Path
) -> None:
    directory = tmp_path / "changed"
    if not directory.is_dir():
        copied(exported / "mlp", directory)
    for file, module in ((form.FILE, form), (train.STEP, train), (train.FILE, train)):
        before = (exported / "mlp" / file).read_bytes()
        whole = bytearray(before)
        whole[int(place * len(whole))] ^= 1 << bit
        (directory / file).write_bytes(whole)
        with contextlib.suppress(ValueError):
            module.screen(directory)
        (directory / file).write_bytes(before)
