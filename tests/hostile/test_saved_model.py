"""Attempts on `saved_model/`: none gets as far as TensorFlow's loader."""

import contextlib
import importlib
import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testing.formats import form as plugin
from tests.formats.conftest import Exported
from tests.hostile.conftest import copied, refused

form = plugin("saved_model")
Attack = Callable[[Path, Path], None]
SIGNATURE = {"inputs": ["pixels"], "outputs": ["answer"]}


@pytest.fixture
def copy(exported: Exported, tmp_path: Path) -> Path:
    return copied(exported / "dense", tmp_path / "copy")


def traced(act: Callable[[str], Any]) -> Attack:
    """A SavedModel whose endpoint acts each time that it is called."""

    def attack(directory: Path, mark: Path) -> None:
        root = tf.Module()
        root.v = tf.Variable([1.0])

        @tf.function(input_signature=[tf.TensorSpec((None, 3), tf.float32, "pixels")])
        def serve(pixels: Any) -> dict[str, Any]:
            act(str(mark))
            return {"answer": pixels * root.v}

        root.serve = serve
        folder = directory / form.FOLDER
        shutil.rmtree(folder)
        tf.saved_model.save(root, str(folder))
        shutil.rmtree(folder / "assets")
        (folder / "fingerprint.pb").unlink()
        (folder / form.SIGNATURE).parent.mkdir()
        (folder / form.SIGNATURE).write_text(json.dumps(SIGNATURE))

    return attack


def graph(change: Callable[[Any], Any]) -> Attack:
    def attack(directory: Path, _: Path) -> None:
        content = form.read_graphs(directory / form.FOLDER)
        change(content.meta_graphs[0])
        (directory / form.FILE).write_bytes(content.SerializeToString())

    return attack


def operator(name: str) -> Attack:
    def change(graph: Any) -> None:
        functions = graph.graph_def.library.function
        serve = next(f for f in functions if f.signature.name.startswith("__inference_serve"))
        serve.node_def.add(name="planted", op=name)

    return graph(change)


def shadow(graph: Any) -> None:
    """A function that has the name of an operator."""
    graph.graph_def.library.function.add().signature.name = "WriteFile"
    graph.graph_def.node.add(name="planted", op="WriteFile")


def huge(graph: Any) -> None:
    node = graph.graph_def.node.add(name="planted", op="Const")
    node.attr["value"].tensor.dtype = 1
    node.attr["value"].tensor.tensor_shape.dim.add(size=1 << 40)
    node.attr["value"].tensor.float_val.append(1.0)


def negative(graph: Any) -> None:
    huge(graph)
    graph.graph_def.node[-1].attr["value"].tensor.tensor_shape.dim[0].size = -1


def file(name: str, content: bytes = b"") -> Attack:
    def attack(directory: Path, _: Path) -> None:
        path = directory / form.FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)

    return attack


def symlink(directory: Path, mark: Path) -> None:
    path = directory / form.FOLDER / form.DATA
    path.replace(directory.parent / "elsewhere")
    path.symlink_to(directory.parent / "elsewhere")


def folder_symlink(directory: Path, mark: Path) -> None:
    path = directory / form.FOLDER
    path.replace(directory.parent / "elsewhere")
    path.symlink_to(directory.parent / "elsewhere")


def in_index(find: bytes, put: bytes) -> Attack:
    def attack(directory: Path, _: Path) -> None:
        path = directory / form.FOLDER / form.INDEX
        content = path.read_bytes()
        assert find in content
        path.write_bytes(content.replace(find, put, 1))

    return attack


def grown(directory: Path, _: Path) -> None:
    """A variable of 12 by 16 says that it has 127 rows."""
    in_index(b"\x12\x02\x08\x0c\x12\x02\x08\x10", b"\x12\x02\x08\x7f\x12\x02\x08\x10")(directory, _)


def in_variables(find: bytes, put: bytes) -> Attack:
    def attack(directory: Path, _: Path) -> None:
        path = directory / form.FOLDER / form.DATA
        content = path.read_bytes()
        assert find in content
        path.write_bytes(content.replace(find, put))

    return attack


def number(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + number(value >> 7)


def block(rows: list[tuple[bytes, bytes]]) -> bytes:
    heads = [bytes([0]) + number(len(key)) + number(len(value)) for key, value in rows]
    body = b"".join(head + key + value for head, (key, value) in zip(heads, rows, strict=True))
    return body + struct.pack("<2I", 0, 1)


def twice_in_index(directory: Path, _: Path) -> None:
    """A reader that looks for a name finds the first, one that lists them the last."""
    path = directory / form.FOLDER / form.INDEX
    rows = list(form.table(path))
    data = block([*rows[:2], rows[1], *rows[2:]])
    index = block([(rows[-1][0], number(0) + number(len(data)))])
    footer = (number(0) * 2 + number(len(data) + 5) + number(len(index))).ljust(40, b"\0")
    path.write_bytes(data + bytes(5) + index + bytes(5) + footer + path.read_bytes()[-8:])
    assert len(list(form.table(path))) == len(rows) + 1


def printed(path: str) -> None:
    tf.print("x", output_stream=f"file://{path}")


def from_python(path: str) -> None:
    tf.py_function(lambda: Path(path).touch(), [], [])


WORKING: dict[str, Attack] = {
    "an operator that writes": traced(lambda path: tf.io.write_file(path, "x")),
    "an operator that prints into a file": traced(printed),
    "a function of Python": traced(from_python),
    "an operator that saves": traced(
        lambda path: tf.raw_ops.Save(filename=path, tensor_names=["x"], data=[tf.zeros(1)])
    ),
}
REFUSED = WORKING | {
    f"the operator {name}": operator(name)
    for name in (
        *("ReadFile", "WriteFile", "PrintV2", "Print", "PyFunc", "PyFuncStateless", "EagerPyFunc"),
        *("Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2", "RestoreSlice", "MatchingFiles"),
        *(
            "MergeV2Checkpoints",
            "ShardedFilename",
            "InitializeTableFromTextFileV2",
            "XlaCallModule",
        ),
        *(
            "TextLineDataset",
            "TFRecordReaderV2",
            "WholeFileReaderV2",
            "ImmutableConst",
            "DebugDump",
        ),
        *("DebugIdentity", "DebugIdentityV2", "DebugNanCount", "LoadAndRemapMatrix", "RpcCall"),
        *(
            "GeneratorDataset",
            "LoadDataset",
            "SaveDatasetV2",
            "SnapshotDataset",
            "SymbolicGradient",
        ),
        *("Send", "Recv", "RemoteCall", "WriteSummary", "CreateSummaryFileWriter", "DecodeWav"),
        *(
            "DatasetToTFRecord",
            "CacheDataset",
            "GcsConfigureCredentials",
            "TPUExecute",
            "XlaLaunch",
        ),
    )
}
REFUSED |= {
    "a function that has an operator's name": graph(shadow),
    "a constant that is not stored": graph(huge),
    "a constant of a negative size": graph(negative),
    "an asset": graph(lambda g: g.asset_file_def.add(filename="../../etc/passwd")),
    "a text beside it": file("saved_model.pbtxt"),
    "another graph beside it": file("saved_model_cpu.pb"),
    "an asset's file": file("assets/x"),
    "a file of variables too many": file("variables/variables.data-00001-of-00002"),
    "a symlink": symlink,
    "a symlink to the folder": folder_symlink,
    "a pipe": lambda d, _: os.mkfifo(d / form.FOLDER / "pipe"),
    "a variable larger than its bytes": grown,
    "a variant for a variable": in_index(b"\x08\x01\x12\x08\x12\x02", b"\x08\x15\x12\x08\x12\x02"),
    "variables in two files": in_index(b"\x08\x01\x1a\x02\x08\x01", b"\x08\x02\x1a\x02\x08\x01"),
    "a variable with a saver of its own": in_variables(b"*\x02\x08\x01", b"\x22\x02\x0a\x00"),
    "a variable twice": twice_in_index,
    "no index": lambda d, _: (d / form.FOLDER / form.INDEX).write_bytes(b"") and None,
    "an index of zeros": lambda d, _: (
        (d / form.FOLDER / form.INDEX).write_bytes(bytes(99)) and None
    ),
    "no variables": lambda d, _: (d / form.FOLDER / form.DATA).write_bytes(b"") and None,
    "a signature that is none": file(form.SIGNATURE, b"[]"),
    "a signature that is deep": file(form.SIGNATURE, b"[" * 100_000),
    "a signature that is large": file(form.SIGNATURE, b" " * (1 << 21)),
    "no graph": lambda d, _: (d / form.FILE).write_bytes(b"") and None,
}


@pytest.mark.parametrize("attack", REFUSED)
def test_it_is_refused_before_it_acts(attack: str, copy: Path, mark: Path) -> None:
    REFUSED[attack](copy, mark)
    mark.unlink(missing_ok=True)
    refused(form, copy, mark, "saved_model")


@pytest.mark.parametrize("attack", WORKING)
def test_without_the_screen_it_would_have_acted(
    attack: str, copy: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WORKING[attack](copy, mark)
    mark.unlink(missing_ok=True)
    part = importlib.import_module("formats.saved_model.load")
    monkeypatch.setattr(part, "screen", lambda directory: None)
    with contextlib.suppress(Exception):
        form.load(copy)({"pixels": np.ones((1, 3), np.float32)})
    assert mark.exists()


def test_every_operator_that_is_let_in_leaves_files_alone() -> None:
    """By name; each is an operator that the installed TensorFlow has."""
    names = [name for name in dir(tf.raw_ops) if name[0].isupper()]
    known = [name for name in names if name in form.OPERATORS]
    reaching = ("File", "Path", "Py", "Print", "Read", "Save", "Restore", "Dataset", "Summary")
    reaching += ("Remote", "Send", "Recv", "Debug", "Xla", "Tpu", "TPU", "Queue", "Iterator")
    found = {name for name in known if any(each in name for each in reaching)}
    assert len(known) == len(form.OPERATORS) > 400
    assert found == {"ReadVariableOp", "DisableCopyOnRead"}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), data=st.data())
def test_one_changed_bit_is_let_in_or_refused(
    place: float, bit: int, data: st.DataObject, exported: Exported, tmp_path: Path
) -> None:
    directory = tmp_path / "changed"
    if not directory.is_dir():
        copied(exported / "dense", directory)
    path = data.draw(st.sampled_from(["saved_model.pb", form.INDEX, form.SIGNATURE]))
    before = (directory / form.FOLDER / path).read_bytes()
    whole = bytearray(before)
    whole[int(place * len(whole))] ^= 1 << bit
    (directory / form.FOLDER / path).write_bytes(whole)
    with contextlib.suppress(ValueError):
        form.screen(directory)
    (directory / form.FOLDER / path).write_bytes(before)
