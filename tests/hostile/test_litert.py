"""Attempts on `model.tflite`: none gets as far as LiteRT."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def custom(name: bytes, kind: int = 32) -> Callable[[Any], Any]:
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


ATTACKS: dict[str, Callable[[bytes], bytes]] = {
    "a custom operator": packed(custom(b"Planted")),
    "an operator of TensorFlow's": packed(custom(b"FlexWriteFile")),
    "one that calls itself built in": packed(custom(b"FlexWriteFile", 0)),
    "a custom operator without a name": packed(custom(b"")),
    "a delegate": packed(custom(b"", 51)),
    "an operator that is not there": packed(custom(b"", 9999)),
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
