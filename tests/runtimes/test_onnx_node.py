"""Node runs the ONNX file, and what is wrong with the file is noticed there."""

import dataclasses
import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pipeline.complete_model import card, programs
from pipeline.config.params import Runtimes
from pipeline.runtimes import program
from pipeline.tracking.content import verdict
from testing import linear, runtimes
from testing.linear import OTHERWISE, Linear
from testing.trainable import demand_masks

NAME = "onnx_node"


def test_it_answers_as_the_trained_model_and_is_timed(model: Linear) -> None:
    report = model.verify(checks=("parity",))
    ran = report["runtimes"][NAME]
    assert ran["outcome"] == "passed" and ran["max_abs_diff"] < 1e-6 and ran["values"] == 87
    metrics = verdict(report)
    for kind in ("load", "first", "median_1", "median_32"):
        assert metrics[f"verify/{NAME}/{kind}_seconds"] > 0
    assert metrics[f"verify/{NAME}/peak_mib"] > 10
    page = model.report.with_suffix(".html").read_text()
    assert "Run in other languages" in page and "Node, with onnxruntime-node" in page


def test_its_memory_is_its_own(model: Linear) -> None:
    """And nothing of the process that started it, which is made large here."""
    large = np.ones(100 << 20, np.uint8)
    ran = runtimes.answer(NAME, model.complete_model)
    assert (
        20 < ran.timing["peak_mib"] < 150 < resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    )
    assert large.all()


def test_the_format_s_own_library_is_timed_beside_it(model: Linear) -> None:
    report = model.verify(checks=("parity",))
    kinds = {"load_seconds", "first_seconds", "median_1_seconds", "median_32_seconds", "peak_mib"}
    assert {name: set(timing) for name, timing in report["speeds"].items()} == {
        "onnx": kinds,
        NAME: kinds,
    }
    assert all(value > 0 for timing in report["speeds"].values() for value in timing.values())
    assert verdict(report)["verify/onnx/median_32_seconds"] > 0
    page = model.report.with_suffix(".html").read_text()
    assert page.count('<svg class="bar"') == 8 and "How fast each answers" in page


def test_nothing_is_timed_where_no_program_is_carried(tmp_path: Path) -> None:
    report = linear.make(tmp_path / "model").verify(checks=("parity",))
    assert report["speeds"] == {} and "verify/onnx/median_1_seconds" not in verdict(report)


def test_the_export_names_on_the_card_what_ran(tmp_path: Path) -> None:
    runtimes.demand(NAME)
    made = linear.make(tmp_path / "model")
    schema = json.loads(runtimes.schema_of(made).read_text())
    chosen = Runtimes(required=(NAME,), attempt=())
    listed = programs.write(made.complete_model, schema, ["onnx"], chosen, 1)["runtimes"]
    assert listed == {"held": [NAME], "required": [NAME], "refused": {}}
    content = card.Content(
        name="linear",
        schema=schema,
        metrics={},
        held=["onnx"],
        trains=[],
        runtimes=listed["held"],
        threads=1,
        commit=None,
        patched=False,
    )
    text = card.card(content, made.complete_model)
    assert "## Node, with onnxruntime-node" in text and "cd runtimes/onnx_node" in text
    text = card.card(dataclasses.replace(content, runtimes=[]), made.complete_model)
    assert "Node" not in text


@pytest.mark.parametrize(("nodes", "arrays"), OTHERWISE.values(), ids=OTHERWISE)
def test_what_answers_otherwise_is_noticed(model: Linear, tmp_path: Path, nodes, arrays) -> None:
    model.graph(*nodes, **arrays)
    ran = runtimes.answer(NAME, model.complete_model)
    assert ran.fault.endswith("which is too far") and "logits: largest difference" in ran.fault


def test_a_person_sees_how_far_it_is(model: Linear) -> None:
    folder = model.complete_model / "runtimes" / NAME
    place = program(NAME).find()
    done = subprocess.run(
        ["node", "check.js"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **place.environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "one.npz logits: largest difference" in done.stdout


def test_numbers_and_texts_of_any_length_go_in_and_out(tmp_path: Path) -> None:
    runtimes.demand(NAME)
    kinds = {"ids": TensorProto.INT64, "flag": TensorProto.BOOL, "word": TensorProto.STRING}
    size = ["rows", "length"]
    ports = [
        [helper.make_tensor_value_info(f"{n}{end}", kind, size) for n, kind in kinds.items()]
        for end in ("", "_out")
    ]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds]
    graph = helper.make_graph(nodes, "echo", *ports)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "model.onnx").write_bytes(made.SerializeToString())
    for batch, (rows, length) in {"one": (1, 3), "seven": (7, 5)}.items():
        ids = np.arange(rows * length).reshape(rows, length) - (1 << 60)
        word = np.array([["ž", "", "北京"][n % 3] for n in range(ids.size)]).reshape(ids.shape)
        inputs = {"ids": ids, "flag": ids % 2 == 0, "word": word}
        outputs = {f"{name}_out": each for name, each in inputs.items()}
        runtimes.save(tmp_path / f"examples/{batch}.npz", inputs, outputs)
    schema = {"inputs": runtimes.described(inputs), "outputs": runtimes.described(outputs)}
    runtimes.write(NAME, tmp_path, schema)
    ran = runtimes.answer(NAME, tmp_path)
    assert ran.fault == ""
    for name, each in outputs.items():
        found = ran.outputs["seven"][name]
        assert found.dtype == each.dtype and (found == each).all(), name


def test_the_program_reaches_nothing_but_its_own(model: Linear, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    script = (
        "const fs = require('fs'), net = require('net'), said = [];\n"
        f"for (const path of [{json.dumps(str(outside))}, __filename])\n"
        "  try { fs.writeFileSync(path, ''); } catch (fault) { said.push(fault.code); }\n"
        "net.connect(9, '127.0.0.1').on('error', (fault) => {\n"
        "  console.error([...said, fault.code].join(' ')); process.exit(2); });\n"
    )
    (model.complete_model / "runtimes" / NAME / "check.js").write_text(script)
    ran = runtimes.answer(NAME, model.complete_model)
    assert ran.fault.endswith(("EACCES EACCES EPERM", "EACCES EACCES EACCES")), ran.fault
    assert not outside.exists()


@pytest.fixture
def trained(trainable: Callable[[], Linear]) -> Linear:
    runtimes.demand(NAME)
    made = trainable()
    runtimes.carry(made, NAME)
    return made


def test_it_trains_on_as_the_source_did(trained: Linear) -> None:
    """Masks are drawn, and Adam's state is gone on from."""
    report = trained.verify(checks=("parity",))
    on = report["runtimes"][NAME]["training"]
    assert report["passed"] and on["format"] == "onnx_train" and on["steps"] == len(on["losses"])
    assert on["max_abs_diff"].keys() == {"losses", "state", "answers"}
    assert max(on["max_abs_diff"].values()) < 1e-5 < on["losses"][0] - on["losses"][-1]
    assert verdict(report)[f"verify/{NAME}/training_losses_max_abs_diff"] < 1e-5
    page = trained.report.with_suffix(".html").read_text()
    assert "Trained on" in page and "4 steps with onnx_train" in page
    assert "check.js --train" in program(NAME).card(trained.complete_model)


def other_rate(described: dict[str, Any], folder: Path) -> None:
    described["learning_rates"] = [[0.06]] * len(described["learning_rates"])


def other_constant(described: dict[str, Any], folder: Path) -> None:
    """Takes Adam's 1 - 0.9 for 1 - 0.8."""
    graph = onnx.load(folder / "step.onnx")
    tenths = [each for each in _constants(graph) if np.allclose(numpy_helper.to_array(each), 0.1)]
    assert tenths
    for each in tenths:
        each.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(each) * 2, each.name))
    onnx.save(graph, folder / "step.onnx")


def _constants(graph: onnx.ModelProto) -> list[onnx.TensorProto]:
    nodes = (node for node in graph.graph.node if node.op_type == "Constant")
    values = [each.t for node in nodes for each in node.attribute if each.name == "value"]
    return [*graph.graph.initializer, *values]


def stale_state(described: dict[str, Any], folder: Path) -> None:
    """Adam begins anew."""
    content = bytearray((folder / "state.bin").read_bytes())
    for each in described["states"]:
        if each["name"].startswith("optimizer/") and each["file"].endswith("state.bin"):
            content[each["offset"] : each["offset"] + each["nbytes"]] = bytes(each["nbytes"])
    (folder / "state.bin").write_bytes(content)


def other_masks(described: dict[str, Any], folder: Path) -> None:
    described["generator"]["words"].reverse()


@pytest.mark.parametrize("change", [other_rate, other_constant, stale_state, other_masks])
def test_what_trains_otherwise_is_noticed(
    trained: Linear, change: Callable[[dict[str, Any], Path], None]
) -> None:
    folder = trained.complete_model / "onnx_train"
    described = json.loads((folder / "state.json").read_text())
    if change is other_masks:
        demand_masks()
    change(described, folder)
    (folder / "state.json").write_text(json.dumps(described))
    faults = runtimes.judged(NAME, trained)
    assert faults and all(each.startswith(f"{NAME}: training on: ") for each in faults)


def test_the_export_leaves_out_a_program_that_does_not_train_as_it_should(
    trained: Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the stage has it, from the repository's root."""
    monkeypatch.chdir(trained.root)
    model, chosen = Path("complete-model"), Runtimes(required=(), attempt=(NAME,))
    schema = json.loads((model / "schema.json").read_text())
    for changed in (False, True):
        shutil.rmtree(model / "runtimes", ignore_errors=True)
        described = json.loads((model / "onnx_train/state.json").read_text())
        if changed:
            other_rate(described, model)
        (model / "onnx_train/state.json").write_text(json.dumps(described))
        held = ["onnx", "onnx_train"]
        listed = programs.write(model, schema, held, chosen, 1)["runtimes"]
        assert listed["held"] == ([] if changed else [NAME])
    assert re.match("training on with onnx_train: step .* too far", listed["refused"][NAME])


def test_rows_of_steps_end_where_the_longest_of_each_does(trained: Linear) -> None:
    """Of padded rows; and the words of a Mersenne Twister are numpy's."""
    script = """
      const { ofStep, Twister } = require("./training.js");
      const data = Int32Array.from({ length: 24 }, (_, at) => at);
      const found = ofStep({ step: { data: [0, 1, 1] },
        "input.x": { type: "int32", dims: [3, 2, 2, 2], data },
        "size.input.x": { type: "int64", dims: [2, 2], data: [1n, 2n, 2n, 1n] } }, "input.", 1).x;
      const twister = new Twister(JSON.parse(process.argv[1]));
      const words = Array.from({ length: 1300 }, () => twister.word());
      console.log(JSON.stringify([found.dims, [...found.data], words.slice(-3)]));
    """
    generator = np.random.RandomState(7)
    state = generator.get_state()
    described = json.dumps({"words": state[1].tolist(), "at": state[2]})
    done = subprocess.run(
        ["node", "-e", script, described],
        cwd=trained.complete_model / "runtimes" / NAME,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    dims, data, words = json.loads(done.stdout)
    padded = np.arange(24).reshape(3, 2, 2, 2)[1:, :2, :1]
    assert dims == [2, 2, 1, 2] and data == padded.ravel().tolist()
    assert words == generator.randint(0, 1 << 32, 1300, np.uint32)[-3:].tolist()
