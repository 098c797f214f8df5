"""A program that was made elsewhere goes through all stages, and trains in none."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from pipeline import adopt
from pipeline.config.composition import compose_conf, interpolated
from pipeline.config.yaml_text import dump_yaml
from pipeline.files import write_atomically
from testing.project import Project, make_project
from testing.shared import shared

STAGES = ("prepare", "train", "checkpoint", "export-complete", "verify")
OVERRIDES = ("model=program", "experiment=smoke", "train.epochs=0", "export.attempt=[]")


def digits_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10)).eval()


def save_pt2(path: Path) -> None:
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(digits_net(), (torch.ones(3, 64),), dynamic_shapes=shapes)
    torch.export.save(program, path)


def save_onnx(path: Path) -> None:
    """As scikit-learn's converter writes it: what was learnt lies in attributes, and labels are
    answered beside shares."""
    values = np.random.default_rng(0).standard_normal(640) / 16
    learnt = {"coefficients": values.tolist(), "intercepts": [0.0] * 10}
    node = helper.make_node(
        "LinearClassifier",
        ["X"],
        ["label", "scores"],
        domain="ai.onnx.ml",
        classlabels_ints=list(range(10)),
        post_transform="SOFTMAX",
        **learnt,
    )
    inputs = [helper.make_tensor_value_info("X", TensorProto.FLOAT, [None, 64])]
    outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [None, 10])]
    graph = helper.make_graph([node], "made", inputs, outputs)
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    path.write_bytes(helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString())


MAKERS: dict[str, Callable[[Path], None]] = {"model.pt2": save_pt2, "model.onnx": save_onnx}


def adopted(root: Path, name: str, monkeypatch: pytest.MonkeyPatch, *more: str) -> Project:
    """A project that has taken the program in, but for DVC."""
    project = make_project(root)
    MAKERS[name](root / name)
    monkeypatch.chdir(root)
    monkeypatch.setattr(adopt, "track", lambda path: None)
    digest, checkpoint = adopt.take_in(root / name)
    overrides = [*OVERRIDES, f"train.start={digest}", *more]
    values = interpolated(compose_conf(root / "conf", overrides))
    adopt.adopt(values, [], digest, checkpoint)
    write_atomically(root / "params.yaml", dump_yaml(values))
    return project


@pytest.fixture(scope="module", params=MAKERS)
def complete(request, tmp_path_factory: pytest.TempPathFactory) -> Project:
    def make(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            project = adopted(folder / "project", request.param, patch)
        for name in STAGES:
            project.stage(name)

    folder = shared(tmp_path_factory, f"program-{request.param}", make)
    return Project(folder / "project")


def content(project: Project, path: str) -> dict:
    return json.loads(project.read(path))


def test_it_passes_every_check_and_claims_no_training(complete: Project) -> None:
    report = content(complete, "reports/verify.json")
    assert report["passed"]
    checks = report["checks"]
    assert checks["continuation"]["not_done"]
    assert [k for k, each in checks.items() if each["not_done"]] == ["continuation"]
    assert not any(each["promises"]["trainable"] for each in report["formats"].values())
    assert content(complete, "artifacts/complete-model/formats.json")["trains"] == []
    assert not (complete.root / "artifacts/complete-model/examples/training.npz").exists()


def test_its_reference_is_of_its_own_answers(complete: Project) -> None:
    with np.load(complete.root / "artifacts/complete-model/examples/seven.npz") as seven:
        pixels, (answer,) = seven["input.pixels"], [seven[k] for k in seven if "output." in k]
    if (complete.root / "model.pt2").exists():
        torch.set_num_threads(1)  # as the stages did
        program = torch.export.load(complete.root / "model.pt2").module()
        expected = program(torch.from_numpy(pixels)).detach().numpy()
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(complete.root / "model.onnx")
        (expected,) = session.run(["scores"], {"X": pixels})
    assert answer.tobytes() == expected.tobytes()


def test_its_history_is_epoch_0_without_a_loss(complete: Project) -> None:
    with (complete.root / "artifacts/train/history.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row.keys() == {"epoch", "val/accuracy"}
    assert row["epoch"] == "0"
    assert "test/accuracy" in content(complete, "artifacts/complete-model/metrics.json")


def test_card_and_schema_say_that_it_trained_elsewhere(complete: Project) -> None:
    schema = content(complete, "artifacts/complete-model/schema.json")
    assert schema["start"]["known"]["versions"]
    assert schema["start"]["unknown"] == ["code", "data", "parameters"]
    assert not {"seed", "epochs_before"} & set(schema)
    assert "Trained elsewhere" in complete.read("artifacts/complete-model/README.md")


def test_it_is_written_again_byte_for_byte(complete: Project, copy_of) -> None:
    again = copy_of(complete)
    for name in ("train", "checkpoint", "export-complete"):
        again.stage(name)
    one, other = (each.root / "artifacts/complete-model" for each in (complete, again))
    files = [path.relative_to(one) for path in one.rglob("*") if path.is_file()]
    assert [str(f) for f in files if (one / f).read_bytes() != (other / f).read_bytes()] == []


def test_a_stranger_may_examine_it(complete: Project) -> None:
    done = complete.run("python", "-m", "pipeline.examine", "artifacts/complete-model")
    assert "answers: " in done.stdout
    assert "trains on" not in done.stdout


def test_nobody_trains_it_on(complete: Project) -> None:
    command = ("python", "-m", "pipeline.resume", "artifacts/complete-model")
    done = complete.run(*command, check=False)
    assert done.returncode == 1
    assert "cannot be trained on" in done.stdout
    assert "Traceback" not in done.stdout


def test_one_that_takes_other_data_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = adopted(tmp_path / "project", "model.pt2", monkeypatch, "data=diabetes")
    project.stage("prepare")
    done = project.stage("train", check=False)
    assert done.returncode == 1
    assert done.stdout.startswith("error: train: data.inputs")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model=program"], "model.program: found onnx, but train.start is null"),
        (
            ["model=program", f"train.start={'0' * 64}", "train.epochs=5"],
            "train.epochs: found 5, expected 0",
        ),
        (["model.program=onnx"], "model.net: found one beside model.program, expected null"),
        (["model.net=null"], "model.net: found null, expected one"),
    ],
)
def test_parameters_of_a_program_stand_alone(overrides: list[str], words: str) -> None:
    from pipeline.config.params import Params
    from pipeline.config.reading import read
    from pipeline.errors import ParamsError
    from testing.project import ROOT

    values = interpolated(compose_conf(ROOT / "conf", overrides))
    with pytest.raises(ParamsError, match=words):
        read(Params, values)
