"""Attempts on `model.tflite`: none gets as far as LiteRT."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testing.formats import form as plugin
from tests.formats.conftest import Exported
from tests.hostile.conftest import copied, refused

form = plugin("litert")


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return copied(exported / "dense", tmp_path / "copy")


def packed(change: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    def attack(content: bytes) -> bytes:
        import flatbuffers
        from tensorflow.lite.python import schema_py_generated as schema

        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        change(model)
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    return attack


def custom(name: bytes | None, kind: int = 32) -> Callable[[Any], Any]:
    def change(model: Any) -> None:
        code = model.operatorCodes[0]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = kind, min(kind, 127), name

    return change


def weight(model: Any) -> Any:
    tensors = model.subgraphs[0].tensors
    return next(each for each in tensors if model.buffers[each.buffer].data is not None)


def shape(sizes: list[int]) -> Callable[[Any], Any]:
    return lambda model: setattr(weight(model), "shape", sizes)


def elsewhere(model: Any) -> None:
    buffer = model.buffers[weight(model).buffer]
    buffer.data, buffer.offset, buffer.size = None, 1 << 40, 1 << 20


def schema() -> Any:
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


def outside(model: Any) -> None:
    """Weights in a file that the model names."""
    group, buffer = schema().ExternalBufferGroupT(), schema().ExternalBufferT()
    group.name, buffer.id, buffer.length = "/etc/hostname", 1, 4
    model.externalBufferGroups, model.externalBuffers = [group], [buffer]


def metadata(name: bytes, buffer: int = 0) -> Callable[[Any], Any]:
    def change(model: Any) -> None:
        entry = schema().MetadataT()
        entry.name, entry.buffer = name, buffer
        model.metadata = [*model.metadata, entry]

    return change


def loop(kind: int, options: int, *graphs: int) -> Callable[[Any], Any]:
    """An operator that calls graphs."""

    def change(model: Any) -> None:
        custom(None, kind)(model)
        first = model.subgraphs[0].operators[0]
        first.opcodeIndex, first.builtinOptionsType = 0, options
        made = {92: schema().IfOptionsT, 93: schema().WhileOptionsT, 1: schema().Conv2DOptionsT}
        first.builtinOptions = made[options]()
        for name, graph in zip(list(vars(first.builtinOptions)), graphs, strict=False):
            setattr(first.builtinOptions, name, graph)

    return change


def of(part: str, **values: Any) -> Callable[[Any], Any]:
    """Sets attributes of the model's first operator, tensor or signature."""

    def change(model: Any) -> None:
        graph = model.subgraphs[0]
        parts = {"operator": graph.operators[0], "tensor": weight(model), "graph": graph}
        parts |= {"signature": model.signatureDefs[0]}
        for name, value in values.items():
            setattr(parts[part], name, value)

    return change


def texts(content: bytes) -> Callable[[Any], Any]:
    def change(model: Any) -> None:
        tensor = weight(model)
        tensor.type, tensor.shape = 5, [2]
        model.buffers[tensor.buffer].data = np.frombuffer(content, np.uint8)

    return change


def second_signature(model: Any) -> None:
    other = schema().SignatureDefT()
    other.signatureKey, other.subgraphIndex = b"planted", 0
    model.signatureDefs = [*model.signatureDefs, other]


ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "a custom operator": packed(custom(b"Planted")),
    "an operator of TensorFlow's": packed(custom(b"FlexWriteFile")),
    "one that calls itself built in": packed(custom(b"FlexWriteFile", 0)),
    "a custom operator without a name": packed(custom(b"")),
    "a delegate": packed(custom(b"", 51)),
    "an operator that is not there": packed(custom(b"", 9999)),
    "an operator that a newer LiteRT may have": packed(custom(None, 210)),
    "a call of another compiler's": packed(custom(None, 173)),
    "an operator that another stands for": packed(custom(None, 206)),
    "a place for a newer operator": packed(custom(None, 127)),
    "a variable": packed(custom(None, 142)),
    "a variable that is set": packed(custom(None, 144)),
    "weights in another file": packed(outside),
    "metadata that a runtime goes by": packed(metadata(b"planted_precision")),
    "metadata that is not there": packed(metadata(b"min_runtime_version", 10_000)),
    "a signature without names": packed(
        lambda model: setattr(model.signatureDefs[0].inputs[0], "name", None)
    ),
    "options of a stranger's": packed(of("operator", customOptions=np.ones(4, np.uint8))),
    "options behind the file": packed(
        of("operator", largeCustomOptionsOffset=1 << 40, largeCustomOptionsSize=8)
    ),
    "second options": packed(
        of(
            "operator",
            builtinOptions2Type=21,
            builtinOptions2=schema().StableHLOCompositeOptionsT(),
        )
    ),
    "a loop that is its own body": packed(loop(119, 93, 0, 0)),
    "a branch that is the whole": packed(loop(118, 92, 0, 0)),
    "a branch that is not there": packed(loop(118, 92, 7, 8)),
    "a branch before the first": packed(loop(118, 92, -1, -1)),
    "a branch without its graphs": packed(loop(118, 1)),
    "a kind without a meaning here": packed(of("tensor", type=14)),
    "a kind that nobody knows": packed(of("tensor", type=99)),
    "a tensor that is not there": packed(of("operator", inputs=[10_000])),
    "a tensor in between that is not there": packed(of("operator", intermediates=[10_000])),
    "an answer that is not there": packed(of("graph", outputs=[10_000])),
    "an operator's number beyond the list": packed(of("operator", opcodeIndex=10_000)),
    "a signature of no graph": packed(of("signature", subgraphIndex=10_000)),
    "another signature": packed(second_signature),
    "texts beyond their buffer": packed(texts(struct.pack("<4I", 2, 16, 20, 1 << 20))),
    "texts before their buffer": packed(texts(struct.pack("<4I", 2, 16, 4, 16))),
    "more texts than there are": packed(texts(struct.pack("<4I", 1 << 30, 16, 16, 16))),
    "texts that are cut off": packed(texts(b"\2\0\0\0")),
    "a huge shape": packed(shape([1 << 30, 1 << 30])),
    "a shape larger than its bytes": packed(shape([1 << 20])),
    "a negative shape": packed(shape([-12, 16])),
    "a shape of many dimensions": packed(shape([1] * 100)),
    "a buffer that is not there": packed(lambda model: setattr(weight(model), "buffer", 10_000)),
    "a buffer beyond the file": packed(elsewhere),
    "a root beyond the file": lambda content: struct.pack("<I", 1 << 30) + content[4:],
    "a root of its own": lambda content: struct.pack("<I", 0) + content[4:],
    "another kind of file": lambda content: content[:4] + b"XXXX" + content[8:],
    "half of it": lambda content: content[: len(content) // 4],
    "nothing": lambda content: b"",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_refused_before_it_acts(attack: str, copy: Path, mark: Path) -> None:
    (copy / form.FILE).write_bytes(ATTACKS[attack]((copy / form.FILE).read_bytes()))
    refused(form, copy, mark, r"model\.tflite.*not loaded")


def test_what_is_packed_anew_unchanged_passes(copy: Path) -> None:
    """So that it is the change that the others are refused for."""
    path = copy / form.FILE
    path.write_bytes(packed(lambda model: None)(path.read_bytes()))
    form.screen(copy)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_changed_bit_is_let_in_or_refused(
    place: float, bit: int, exported: Exported, tmp_path: Path
) -> None:
    whole = bytearray((exported / "dense" / form.FILE).read_bytes())
    whole[int(place * len(whole))] ^= 1 << bit
    (tmp_path / form.FILE).write_bytes(whole)
    with contextlib.suppress(ValueError):
        form.screen(tmp_path)
