"""Every runtime keeps the contract."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from pipeline import formats, layouts, runtimes
from pipeline.complete_model import programs
from pipeline.compose import compose
from pipeline.config.merge import composed, write_lock
from pipeline.config.params import Runtimes
from pipeline.config.reading import convert
from pipeline.config.yaml_text import dump_yaml
from pipeline.errors import FormatError, ParamsError
from pipeline.examine import programs as examined
from pipeline.runtimes import _files, _npm
from pipeline.runtimes.contract import Program
from pipeline.sweep import engines
from testing import linear
from testing.linear import Linear
from testing.project import ROOT
from testing.runtimes import carry, schema_of

NODE = "onnx_node"


@pytest.fixture
def model(tmp_path: Path) -> Linear:
    return linear.make(tmp_path / "model")


@pytest.fixture
def without_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_npm, "INSTALLED", tmp_path / "nothing")


@pytest.mark.parametrize("name", runtimes.names())
def test_it_takes_a_format_and_says_what_it_needs(name: str) -> None:
    runtime = runtimes.declared(name)
    assert runtime.format in formats.names() and runtime.needs and runtime.systems
    assert "float32" in runtime.types and f"runtimes/{name}" in runtimes.program(name).card(Path())
    schema = {"inputs": {"odd": {"dtype": "complex64"}}, "outputs": {}}
    with pytest.raises(ValueError, match=f"{name}: inputs odd is complex64, of which its program"):
        runtimes.program(name).files(Path(), schema)


def test_bytecode_beside_a_program_is_none_of_its_files(tmp_path: Path) -> None:
    """An installer compiles what is Python among them."""
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "compile.py").touch()
    assert [*_files.of("aoti_cpp", {}, tmp_path)] == ["compile.py"]


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


PLUG_INS = [
    *((f"runtime {name}", runtimes.program(name), Program) for name in runtimes.names()),
    *((f"layout {name}", layouts.layout(name), layouts.Layout) for name in layouts.names()),
    *((f"engine {name}", engines.load(name), engines.Engine) for name in ("joblib", "slurm")),
]


@pytest.mark.parametrize(
    ("module", "contract"), [each[1:] for each in PLUG_INS], ids=[each[0] for each in PLUG_INS]
)
def test_a_plug_in_takes_what_its_contract_says(module: Any, contract: Any) -> None:
    """No type checker sees that: a plug-in is found by its name."""
    wanted = {k: each for k, each in vars(contract).items() if inspect.isfunction(each)}
    parts = {name: parameters(each) for name, each in wanted.items() if name[0] != "_"}
    assert parts and {name: parameters(getattr(module, name)) for name in parts} == parts


def test_it_is_held_to_its_format_unless_it_rounds_by_more() -> None:
    assert runtimes.tolerance("onnx_node", 1e-6, 0.0) == (1e-6, 0.0)
    assert runtimes.tolerance("aoti_cpp", 0.0, 0.0) == (1e-4, 1e-4)
    assert runtimes.tolerance("aoti_cpp", 0.5, 0.0) == (0.5, 1e-4)


def test_the_table_in_the_documents_is_what_the_runtimes_say() -> None:
    rows = [
        f"| `{name}` | {each.format} | {each.needs} | {each.systems} |"
        for name, each in ((name, runtimes.declared(name)) for name in runtimes.names())
    ]
    lines = (ROOT / "docs/runtimes.md").read_text().splitlines()
    assert sorted(line for line in lines if line.startswith("| `")) == rows


def test_what_is_not_installed_is_not_run_and_never_passed(model: Linear, without_npm) -> None:
    carry(model, NODE, required=False)
    report = model.verify(checks=("integrity", "parity"))
    ran = report["runtimes"][NODE]
    assert report["passed"] and ran["outcome"] == "not run here"
    assert "expected 1.30.0; install it: scripts/install_runtimes" in ran["why"]
    assert "not run here" in model.report.with_suffix(".html").read_text()


def test_a_required_one_that_is_not_installed_fails_in_one_line(model: Linear, without_npm) -> None:
    carry(model, NODE)
    faults = [fault["fault"] for fault in model.verify(checks=("parity",))["faults"]]
    assert len(faults) == 1 and "\n" not in faults[0]
    assert faults[0].startswith("onnx_node: is required, and not run here: found onnxruntime-node")


def test_a_changed_program_is_not_run(model: Linear) -> None:
    folder = carry(model, NODE)
    (folder / "check.js").write_text("process.exit(0)")
    report = model.verify()
    assert {fault["check"] for fault in report["faults"]} >= {"integrity"}
    assert report["runtimes"] == {}


def test_the_export_leaves_out_what_does_not_run_here(model: Linear, without_npm) -> None:
    schema = json.loads(schema_of(model).read_text())
    chosen = Runtimes(required=(), attempt=(NODE,))
    listed = programs.write(model.complete_model, schema, ["onnx"], chosen, 1)["runtimes"]
    assert listed["held"] == [] and "install_runtimes" in listed["refused"][NODE]
    assert not (model.complete_model / "runtimes" / NODE).exists()
    required = Runtimes(required=(NODE,), attempt=())
    with pytest.raises(FormatError, match="onnx_node: not run here: .*install it: scripts"):
        programs.write(model.complete_model, schema, ["onnx"], required, 1)
    with pytest.raises(FormatError, match="takes the format onnx, which the model does not hold"):
        programs.write(model.complete_model, schema, ["litert"], required, 1)


def test_without_one_nothing_is_written(model: Linear) -> None:
    assert (
        programs.write(model.complete_model, {}, ["onnx"], Runtimes(required=(), attempt=()), 1)
        == {}
    )


def test_a_name_that_is_none_ends_before_any_work() -> None:
    with pytest.raises(ParamsError, match="found 'onnx_rust', expected one of .*onnx_node"):
        read_runtimes(["onnx_rust"])


def test_a_format_that_nobody_asks_for_ends_compose(tmp_path: Path) -> None:
    values, lock = composed(ROOT / "conf", ["export.runtimes.required=[saved_model_c]"])
    paths = ROOT / "conf", tmp_path / "params.yaml", tmp_path / "conf.lock.yaml"
    paths[1].write_text(dump_yaml(values))
    write_lock(paths[2], lock)
    expected = "required: found saved_model_c, which takes the format saved_model, expected that in"
    with pytest.raises(ParamsError, match=expected):
        compose(*paths)


def read_runtimes(required: list[str]) -> Runtimes:
    found: Runtimes = convert({"required": required, "attempt": []}, Runtimes, "export.runtimes")
    return found


def test_a_strangers_program_is_compared_and_not_run(model: Linear) -> None:
    folder = carry(model, NODE)
    schema = json.loads(schema_of(model).read_text())
    result = examined.judged(model.complete_model, [NODE], schema)
    assert result and result.done and "to the letter; not run" in result.summary
    (folder / "check.js").write_text("require('child_process').execSync('id')")
    result = examined.judged(model.complete_model, [NODE], schema)
    assert result and not result.done
    assert "runtimes/onnx_node/check.js is not what is written here" in result.summary
    (folder / "more.js").write_text("")
    assert examined.judged(model.complete_model, [], schema) is not None
