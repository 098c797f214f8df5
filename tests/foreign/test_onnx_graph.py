"""ONNX graphs of torch, of onnx itself and as scikit-learn's converter writes them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from pipeline import formats
from pipeline.errors import DataError
from pipeline.foreign import onnx_graph
from tests.foreign.programs import adopted, answers, contents, opened, refusal

RNG = np.random.default_rng(0)
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
ML = "ai.onnx.ml"
Model = onnx.ModelProto


def value(name: str, kind: int = FLOAT, shape: tuple = (None, 8)) -> Any:
    return helper.make_tensor_value_info(name, kind, shape)


def model(nodes: list, inputs: list, outputs: list, stored: list = (), **said: Any) -> Model:
    graph = helper.make_graph(nodes, "made", inputs, outputs, list(stored))
    sets = [helper.make_opsetid("", said.pop("opset", 17)), helper.make_opsetid(ML, 3)]
    return helper.make_model(graph, opset_imports=sets, **{"ir_version": 8, **said})


def line(**said: Any) -> Model:
    """Weights as an old exporter gives them: one listed among the inputs, one in a constant."""
    weights = helper.make_tensor("w", FLOAT, [8, 3], RNG.standard_normal(24).tolist())
    constant = helper.make_tensor("c", FLOAT, [3], [1.0, 2.0, 3.0])
    nodes = [
        helper.make_node("Constant", [], ["b"], value=constant),
        helper.make_node("MatMul", ["x", "w"], ["m"], doc_string="/home/me/secret.py"),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    old = said.get("ir_version", 8) < 4
    inputs = [value("x"), *([value("w", shape=(8, 3))] if old else [])]
    return model(nodes, inputs, [value("y", shape=(None, 3))], [weights], **said)


def classifier(zipmap: bool) -> Model:
    """What skl2onnx makes of a logistic regression."""
    learnt = {"coefficients": RNG.standard_normal(24).tolist(), "intercepts": [0.1, 0.2, 0.3]}
    nodes = [
        helper.make_node(
            "LinearClassifier",
            ["X"],
            ["label", "scores"],
            domain=ML,
            classlabels_ints=[0, 1, 2],
            post_transform="SOFTMAX",
            **learnt,
        ),
        helper.make_node("Normalizer", ["scores"], ["probabilities"], domain=ML, norm="L1"),
        helper.make_node("Cast", ["label"], ["output_label"], to=INT64),
    ]
    last = value("probabilities", shape=(None, 3))
    if zipmap:
        nodes.append(
            helper.make_node(
                "ZipMap",
                ["probabilities"],
                ["output_probability"],
                ML,
                domain=ML,
                classlabels_int64s=[0, 1, 2],
            )
        )
        last = onnx.ValueInfoProto(name="output_probability")
        of = last.type.sequence_type.elem_type.map_type
        of.key_type, of.value_type.tensor_type.elem_type = INT64, FLOAT
    outputs = [value("output_label", INT64, (None,)), last]
    return model(nodes, [value("X")], outputs, producer_name="skl2onnx", producer_version="1.17")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 3)).eval()
    (folder / "torch").mkdir()
    shapes = ({0: torch.export.Dim("rows")},)
    torch.onnx.export(
        net,
        (torch.randn(4, 8),),
        folder / "torch/net.onnx",
        dynamo=True,
        dynamic_shapes=shapes,
        verbose=False,
    )
    assert (folder / "torch/net.onnx.data").exists()
    for name, each in {
        "line.onnx": line(),
        "old.onnx": line(ir_version=3, opset=9),
        "classifier.onnx": classifier(zipmap=False),
        "zipmap.onnx": classifier(zipmap=True),
    }.items():
        onnx.save(each, folder / name)
    return folder


@pytest.mark.parametrize("name", ["torch", "line.onnx", "old.onnx", "classifier.onnx"])
def test_its_answers_are_the_graphs_bit_for_bit(made: Path, tmp_path: Path, name: str) -> None:
    program = opened(made / name).program
    (taken,) = program.inputs
    x = RNG.standard_normal((5, 8)).astype("float32")
    outputs = {f"mine.{n}": each for n, each in enumerate(program.outputs)}
    found = answers(made / name, tmp_path / "form", {taken: x}, outputs)
    file = made / name / "net.onnx" if name == "torch" else made / name
    session = onnxruntime.InferenceSession(str(file))
    expected = session.run(list(program.outputs), {taken: x})
    assert [each.tobytes() for each in found.values()] == [each.tobytes() for each in expected]


def test_it_says_what_is_known_of_it_and_nothing_of_its_maker(made: Path, tmp_path: Path) -> None:
    read = opened(made / "classifier.onnx")
    assert (read.framework, read.model["program"]) == (None, "onnx")
    assert read.versions == {
        "skl2onnx": "1.17",
        "ir": "8",
        "opset ai.onnx": "17",
        "opset ai.onnx.ml": "3",
    }
    adopted(made / "line.onnx", tmp_path / "form", {"x": "x"}, {"y": "y"})
    assert b"secret.py" in (made / "line.onnx").read_bytes()
    assert b"secret.py" not in (tmp_path / "form/model.onnx").read_bytes()


def test_what_is_no_tensor_is_left_out_and_said(made: Path, tmp_path: Path) -> None:
    read = opened(made / "zipmap.onnx")
    assert read.model["outputs"] == ["output_label"]
    assert "output_probability is left out: it is a sequence" in read.notes[0]
    assert "zipmap" in read.notes[0]
    adopted(made / "zipmap.onnx", tmp_path / "form", {"x": "X"}, {"y": "output_label"})
    assert b"ZipMap" not in (tmp_path / "form/model.onnx").read_bytes()


def test_the_same_graph_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        adopted(made / "torch", tmp_path / name, {"x": "input"}, {"y": "linear_1"})
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "weight"), [("line.onnx", "w"), ("classifier.onnx", "LinearClassifier/coefficients")]
)
def test_its_weights_can_be_others_for_once(
    made: Path, tmp_path: Path, name: str, weight: str
) -> None:
    """Those of a constant or of an old-fashioned list, and of classical learning, too."""
    program = opened(made / name).program
    ports = ({"x": next(iter(program.inputs))}, {"y": list(program.outputs)[-1]})
    form = adopted(made / name, tmp_path / "form", *ports)
    zeros = {weight: np.zeros(24, "float32")}
    load = formats.adopter(form).load_with
    predict = load(tmp_path / "form", zeros)
    first, second = predict({"x": RNG.standard_normal((2, 8)).astype("float32")})["y"]
    assert first.tolist() == second.tolist()


def test_a_large_weight_is_copied_and_never_parsed(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that lies in the graph comes to lie beside it, byte for byte."""
    from pipeline.formats.onnx import _foreign, _rewriting

    monkeypatch.setattr(_rewriting, "LARGE", 64)
    graph = line()
    (tensor,) = graph.graph.initializer
    tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), "w"))
    onnx.save(graph, tmp_path / "line.onnx")
    model, places = _foreign.read(tmp_path / "line.onnx")
    assert not model.graph.initializer[0].raw_data
    offset, size = places["w"]
    content = (tmp_path / "line.onnx").read_bytes()[offset : offset + size]
    assert content == tensor.raw_data
    x = RNG.standard_normal((5, 8)).astype("float32")
    found = answers(tmp_path / "line.onnx", tmp_path / "form", {"x": x}, {"mine": "y"})
    assert (tmp_path / "form/model.onnx.data").read_bytes() == content
    session = onnxruntime.InferenceSession(tmp_path / "line.onnx")
    assert found["mine"].tobytes() == session.run(["y"], {"x": x})[0].tobytes()


def saved(each: Model) -> Callable[[Path], None]:
    return lambda path: onnx.save(each, path)


def cut(share: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return spoil


def one(operator: str, domain: str = "", **more: Any) -> Model:
    node = helper.make_node(operator, ["x"], ["y"], domain=domain, **more)
    made = model([node], [value("x")], [value("y")])
    made.opset_import.add(domain="com.microsoft", version=1)
    return made


def external(location: str, **said: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        path.unlink()
        path.mkdir()
        (path / "w.data").write_bytes(bytes(96))
        changed = line()
        (tensor,) = changed.graph.initializer
        tensor.ClearField("float_data")
        tensor.data_location = tensor.EXTERNAL
        for key, text in {"location": location, "length": "96", **said}.items():
            tensor.external_data.add(key=key, value=text)
        (path / "line.onnx").write_bytes(changed.SerializeToString())

    return spoil


def linked(path: Path) -> None:
    external("w.link")(path)
    (path / "w.link").symlink_to("/etc/passwd")


def two_graphs(path: Path) -> None:
    external("w.data")(path)
    shutil.copy(path / "line.onnx", path / "other.onnx")


def sequence() -> Model:
    answer = onnx.ValueInfoProto(name="y")
    answer.type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    return model([helper.make_node("SequenceConstruct", ["x"], ["y"])], [value("x")], [answer])


def swollen() -> Model:
    changed = line()
    changed.graph.initializer[0].dims[:] = [1 << 40, 1 << 20]
    return changed


SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut off in its graph": (cut(0.5), "damaged or cut off"),
    "cut off before its end": (cut(0.98), "damaged or cut off"),
    "empty": (lambda path: path.write_bytes(b""), "no checkpoint that is known"),
    "text": (lambda path: path.write_text("onnx\n"), "no checkpoint that is known"),
    "an operator of a runtime's own": (saved(one("Gelu", "com.microsoft")), "'com.microsoft'"),
    "an operator that nobody has": (saved(one("Shell")), "is not ONNX' own"),
    "an operator set from before onnxruntime": (saved(line(opset=1)), "onnxruntime does not take"),
    "only sequences": (saved(sequence()), "answers a sequence in y, expected tensors"),
    "a huge weight": (saved(swollen()), "is not stored"),
    "weights elsewhere": (external("../w.data"), "expected a plain file beside it"),
    "weights in the system": (external("/etc/passwd"), "expected a plain file beside it"),
    "weights behind a link": (linked, "expected a plain file beside it"),
    "weights that are not there": (external("v.data"), "lacks v.data"),
    "weights beyond their file": (external("w.data", offset="64"), "cut off before the end"),
    "weights of another length": (external("w.data", length="95"), "is said to have 95"),
    "weights at no number": (external("w.data", offset="-1"), "is said to have"),
    "two graphs": (two_graphs, "holds 2 files .onnx, expected one"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_spoiled_is_refused_in_one_line(made: Path, tmp_path: Path, how: str) -> None:
    spoil, expected = SPOILED[how]
    path = Path(shutil.copy(made / "line.onnx", tmp_path / "line.onnx"))
    spoil(path)
    assert expected in refusal(path, tmp_path / "form")


def test_a_graph_without_its_weights_says_what_to_do(made: Path, tmp_path: Path) -> None:
    text = refusal(made / "torch/net.onnx", tmp_path / "form")
    assert "in another file, 'net.onnx.data'" in text
    assert "adopt the folder" in text


def test_flipped_bytes_end_in_one_line_or_in_another_graph(made: Path, tmp_path: Path) -> None:
    content = (made / "line.onnx").read_bytes()
    path, rng = tmp_path / "flipped.onnx", np.random.default_rng(1)
    for place in np.unique(rng.integers(0, len(content), 60)):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoiled)
        try:
            adopted(path, tmp_path / f"form{place}", {"x": "x"}, {"y": "y"})
        except (DataError, ValueError) as fault:
            assert "\n" not in str(fault)


@pytest.mark.parametrize("content", [b"\x08\x01\x12\x00", b"\x08", b"PK\3\4", b"\x08\x08\x07"])
def test_what_is_no_graph_is_not_taken_for_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not onnx_graph.recognizes(path)


def test_a_folder_of_another_kind_may_have_a_graph_in_it(made: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(made / "torch", tmp_path / "folder"))
    assert onnx_graph.recognizes(folder)
    (folder / "config.json").write_text("{}")
    assert not onnx_graph.recognizes(folder)
