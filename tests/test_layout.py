"""A server's folder of a complete model is as the server documents it; none is run here."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    json_format,
    message_factory,
    text_format,
)

from pipeline import layout
from pipeline.layouts import triton
from testing import linear
from testing.linear import Linear
from testing.project import ROOT

MESSAGES = ROOT / "testing/triton_messages.json"
"""Those of Triton that describe inputs and outputs, as tritonclient 2.73.0 brings them: it is not
installed, since it takes an older ml-dtypes than keras does."""
POOL = descriptor_pool.DescriptorPool()
POOL.Add(
    json_format.ParseDict(json.loads(MESSAGES.read_text()), descriptor_pb2.FileDescriptorProto())
)
CONFIG = message_factory.GetMessageClass(POOL.FindMessageTypeByName("inference.ModelConfig"))
TYPES = {each.name: each.number for each in POOL.FindEnumTypeByName("inference.DataType").values}


@pytest.fixture
def model(tmp_path: Path) -> Linear:
    return linear.make(tmp_path / "model")


def write(*arguments: object) -> int:
    return layout.main(list(map(str, arguments)))


def parsed(text: str) -> Any:
    """Returns what Triton's own messages make of it; a field that they lack ends it."""
    return text_format.Parse(text, CONFIG())


def test_triton_finds_config_version_and_file(model: Linear, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "served"
    assert write("triton", model.complete_model, folder, "--name", "linear") == 0
    said = capsys.readouterr().out
    assert "not run here" in said and f"--model-repository={folder}" in said
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"linear/config.pbtxt", "linear/1/model.onnx"}
    source = model.complete_model / "model.onnx"
    assert (folder / "linear/1/model.onnx").samefile(source)
    config = parsed((folder / "linear/config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == ("linear", "onnxruntime", 0)
    (pixels,), (logits,) = config.input, config.output
    assert (pixels.name, list(pixels.dims)) == ("pixels", [-1, linear.FEATURES])
    assert pixels.data_type == logits.data_type == TYPES["TYPE_FP32"]
    assert list(logits.dims) == [-1, linear.CLASSES] and not config.HasField("dynamic_batching")


def test_a_version_lies_there_whole_or_not_at_all(
    model: Linear, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(content: Path, target: Path) -> None:
        target.touch()
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    folder = tmp_path / "served"
    with monkeypatch.context() as patch:
        patch.setattr(layout, "link", full)
        assert write("triton", model.complete_model, folder) == 1
    assert capsys.readouterr().err.startswith(f"error: layout: {folder}/model/1: no space left")
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert write("triton", model.complete_model, folder) == 0


def test_triton_may_join_requests_of_any_shape(tmp_path: Path) -> None:
    schema = {
        "inputs": {
            "text": {"dtype": "string", "shape": ["length"]},
            'a "city"': {"dtype": "int64", "shape": []},
        },
        "outputs": {"box": {"dtype": "float64", "shape": [None, 4]}},
    }
    config = parsed(triton.config(schema, "text", 32))
    assert config.max_batch_size == 32 and config.HasField("dynamic_batching")
    text, city = config.input
    assert (list(text.dims), text.data_type) == ([-1], TYPES["TYPE_STRING"])
    assert (city.name, list(city.dims)) == ('a "city"', [1])
    assert city.HasField("reshape") and list(city.reshape.shape) == []
    assert list(config.output[0].dims) == [-1, 4]
    assert [list(each.dims) for each in parsed(triton.config(schema, "text", 0)).input] == [
        [-1, -1],
        [-1],
    ]


def test_every_type_that_triton_has_is_one_of_its_own() -> None:
    assert set(triton.TYPES.values()) == set(TYPES) - {"TYPE_INVALID"}


def test_a_field_that_triton_lacks_is_noticed() -> None:
    with pytest.raises(text_format.ParseError, match="dimensions"):
        parsed('name: "x"\ninput { name: "y" dimensions: [ 1 ] }')


def test_weights_in_another_file_stand_beside_the_graph(model: Linear, tmp_path: Path) -> None:
    (model.complete_model / "model.onnx").write_bytes(b"... model.pt2 ...")
    (model.complete_model / "model.pt2").write_bytes(b"weights")
    schema = json.loads((model.complete_model / "schema.json").read_text())
    files = triton.files(model.complete_model, schema, "linear", 3, 0)
    assert set(files) == {
        "linear/config.pbtxt",
        "linear/3/model.onnx/model.onnx",
        "linear/3/model.onnx/model.pt2",
    }


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--name", "../out"), "--name: found '../out', expected letters"),
        (("--version", "0"), "--version: found 0, expected 1 or more"),
        (("--batch", "-1"), "--batch: found -1, expected 0 or more"),
    ],
)
def test_what_no_server_takes_ends_in_one_line(
    model: Linear, tmp_path: Path, capsys, more: tuple[str, str], expected: str
) -> None:
    assert write("triton", model.complete_model, tmp_path / "served", *more) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: layout: {expected}") and said.count("\n") == 1
    assert not (tmp_path / "served").exists()


def test_a_version_that_is_there_stays(model: Linear, tmp_path: Path, capsys) -> None:
    arguments = ("triton", model.complete_model, tmp_path / "served")
    assert (write(*arguments), write(*arguments)) == (0, 1)
    assert "is there already; give another --version" in capsys.readouterr().err
    assert write(*arguments, "--version", 2) == 0


def test_a_model_that_lacks_the_format_or_a_file_is_refused(
    model: Linear, tmp_path: Path, capsys
) -> None:
    assert write("tensorflow_serving", model.complete_model, tmp_path / "served") == 1
    assert "holds onnx, and tensorflow_serving takes saved_model" in capsys.readouterr().err
    (model.complete_model / "model.onnx").unlink()
    assert write("triton", model.complete_model, tmp_path / "served") == 1
    assert "only a complete model is laid out" in capsys.readouterr().err


def test_tensorflow_serving_finds_a_saved_model_by_its_number(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of a real one: what TensorFlow loads from there serves as the card's program does."""
    import tensorflow as tf

    from testing.finished import finished

    source = finished(tmp_path_factory, "keras_custom").root / "artifacts/complete-model"
    assert write("tensorflow_serving", source, tmp_path, "--name", "digits", "--version", 7) == 0
    served = tf.saved_model.load(tmp_path / "digits/7", tags=["serve"])
    assert list(served.signatures["serving_default"].structured_outputs) == ["probabilities"]
    assert (tmp_path / "digits/7/variables/variables.index").is_file()
