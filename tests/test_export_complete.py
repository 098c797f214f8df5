"""One directory with everything in it, the same bytes each time, and a card whose lines run."""

import json
import re
import shutil

import numpy as np
import pytest

from pipeline import provenance
from testing import formats, preloaded
from testing.project import TINY, make_project

FORMATS = "export.formats=[torch_export,onnx,torch_pickle]"


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The tiny model in every format."""
    project = type(trained)(tmp_path_factory.mktemp("exported") / "project")
    shutil.copytree(trained.root, project.root)
    project.params(*TINY, FORMATS)
    project.stage("export-complete")
    return project


def blocks(markdown: str) -> list[str]:
    return [part.split("```")[0] for part in markdown.split("```python\n")[1:]]


def test_the_directory_holds_what_the_readme_lists(exported):
    readme = exported.root.joinpath("artifacts/complete-model/README.md").read_text()
    assert readme.startswith("# torch_mlp\n")
    present = {path.name for path in (exported.root / "artifacts/complete-model").iterdir()}
    assert present == {
        *("README.md", "MLmodel", "model.pt2", "model.onnx", "model.pickle.pt"),
        *("model.pickle.json", "examples", "metrics.json", "schema.json", "provenance.json"),
        *("requirements.txt", "python_env.yaml", "formats.json", "optimizer.pt", "lineage"),
        *("conda.yaml", "input_example.json", "serving_input_example.json"),
    }


def test_every_block_of_the_card_runs_without_the_source_and_answers_as_recorded(
    exported, tmp_path
):
    """The same block, from inside the directory, in a process that has nothing else."""
    directory = shutil.copytree(exported.root / "artifacts/complete-model", tmp_path / "mailed")
    *loading, checking, _ = blocks((directory / "README.md").read_text())
    assert len(loading) == 3
    for block in loading:
        script = f"{block}\n{checking}"
        done = preloaded.run("pytorch", directory, "-I", "-c", script)
        if "model.pickle.pt" in block:
            assert "No module named 'models'" in done.stderr
        else:
            assert done.returncode == 0, done.stderr
            assert float(done.stdout) < 1e-5


def test_the_card_s_lines_train_on_and_save_what_then_predicts(exported, tmp_path):
    """From the card's own text, in a process that has nothing but the directory."""
    directory = shutil.copytree(exported.root / "artifacts/complete-model", tmp_path / "mailed")
    card = (directory / "README.md").read_text()
    assert "It was trained with 1 thread: as many give the same last bits again" in card
    training = blocks(card)[-1]
    script = f"{training}\nprint(outputs.shape)"
    done = preloaded.run("pytorch", directory, "-I", "-c", script)
    assert done.returncode == 0, done.stderr
    *steps, shape = done.stdout.splitlines()
    pairs = [re.fullmatch(r"loss (\S+), with the source (\S+)", line) for line in steps]
    # As many threads as the machine has, so the last digits may differ from those recorded.
    assert len(pairs) == 6 and all(p and abs(float(p[1]) - float(p[2])) < 1e-5 for p in pairs)
    assert len({pair[1] for pair in pairs if pair}) == 6
    assert shape == "torch.Size([69, 10])"
    assert (directory / "trained.pt2").is_file()


def test_without_training_nothing_is_there_to_train_on(trained, copy_of):
    project = copy_of(trained)
    project.params(*TINY, "export.train=false")
    project.stage("export-complete")
    directory = project.root / "artifacts/complete-model"
    assert json.loads((directory / "formats.json").read_text())["trains"] == []
    assert not (directory / "optimizer.pt").exists()
    assert not (directory / "examples/training.npz").exists()
    assert "Not promised: can be trained on" in (directory / "README.md").read_text()
    project.stage("verify")
    report = json.loads(project.read("reports/verify.json"))
    assert report["passed"] and report["checks"]["continuation"]["measured"] == {}


def test_an_optimizer_that_needs_its_source_is_refused_by_name(trained, copy_of):
    project = copy_of(trained)
    model = project.root / "models/torch_mlp.py"
    own = "\n\nimport torch\n\nclass Own(torch.optim.Adam):\n    pass\n"
    model.write_text(model.read_text() + own)
    project.params(*TINY, "model.optimizer._target_=models.torch_mlp.Own")
    for stage in ("train", "checkpoint"):
        project.stage(stage)
    done = project.stage("export-complete", check=False)
    assert done.returncode == 1
    (last,) = done.stdout.splitlines()[-1:]
    assert "the optimizer models.torch_mlp.Own is not one of torch.optim" in last
    assert "set export.train=false" in last
    assert not (project.root / "artifacts/complete-model/provenance.json").exists()
    project.params(*TINY, "model.optimizer._target_=models.torch_mlp.Own", "export.train=false")
    project.stage("export-complete")


def test_requirements_name_released_versions(exported):
    lines = exported.read("artifacts/complete-model/requirements.txt").splitlines()
    assert {line.split("==")[0] for line in lines} == {"numpy", "onnxruntime", "torch"}
    assert not any("+" in line for line in lines)


def test_examples_are_the_references_own(exported):
    for name in ("one", "seven"):
        ours, theirs = (
            exported.root / f"artifacts/{path}/{name}.npz"
            for path in ("complete-model/examples", "checkpoint/reference")
        )
        assert ours.read_bytes() == theirs.read_bytes()


def test_the_same_model_gives_the_same_bytes_from_another_directory(trained, copy_of):
    again = copy_of(trained)
    again.stage("export-complete")
    ours, theirs = (p.root / "artifacts/complete-model" for p in (again, trained))
    assert provenance.files(ours) == provenance.files(theirs)
    for name in [*provenance.files(ours), provenance.NAME]:
        assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name


def test_a_model_that_does_not_fit_is_one_line_and_leaves_no_complete_model(trained, copy_of):
    project = copy_of(trained)
    model = project.root / "models/torch_mlp.py"
    branch = "        if pixels.sum() > 0:\n            pixels = pixels * 1.0\n        return"
    model.write_text(
        model.read_text().replace("        return self.layers", f"{branch} self.layers")
    )
    done = project.stage("export-complete", check=False)
    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert last.startswith(
        "error: export-complete: torch_mlp does not fit the format torch_export: "
    )
    assert not (project.root / "artifacts/complete-model/provenance.json").exists()


def test_an_attempted_format_that_does_not_fit_is_reported_and_leaves_nothing(trained, copy_of):
    """torch_pickle cannot pickle a function made in a call; torch_export does not care."""
    project = copy_of(trained)
    project.params(*TINY, "export.formats=[torch_export]", "export.attempt=[torch_pickle]")
    model = project.root / "models/torch_mlp.py"
    local = "        self.scale = lambda values: values\n        self.standardize = "
    model.write_text(model.read_text().replace("        self.standardize = ", local))
    project.stage("export-complete")
    directory = project.root / "artifacts/complete-model"
    kept = json.loads((directory / "formats.json").read_text())
    assert kept["held"] == ["torch_export"]
    assert "lambda" in kept["refused"]["torch_pickle"]
    assert not list(directory.glob("model.pickle*"))
    assert provenance.faults(directory) == []


def test_a_required_format_of_another_framework_is_refused(trained, copy_of):
    project = copy_of(trained)
    project.params(*TINY)
    formats.write(project.root / "pipeline/formats", "abacus", "", "model.beads", "beads")
    text = project.read("params.yaml").replace("- torch_export", "- abacus", 2)
    (project.root / "params.yaml").write_text(text)
    done = project.stage("export-complete", check=False)
    assert done.returncode == 1
    assert "export.formats: found abacus, which takes models of beads" in done.stdout


def test_the_reference_has_the_batches_that_verify_asks_for(trained):
    directory = trained.root / "artifacts/checkpoint/reference"
    others = ("trained", "influence", "questions")
    batches = [path for path in directory.glob("*.npz") if path.stem not in others]
    rows = {path.stem: len(np.load(path)["input.pixels"]) for path in batches}
    assert rows == {"one": 1, "seven": 7, "many": 16, "edge": 5, "training": 69}


def test_the_reference_has_steps_of_two_sizes_and_what_they_lead_to(trained):
    directory = trained.root / "artifacts/checkpoint/reference"
    steps = np.load(directory / "training.npz")
    assert np.bincount(steps["step"]).tolist() == [16, 7, 16, 7, 16, 7]
    assert steps["ends_epoch"].tolist() == [False, False, True, False, False, False]
    assert len(set(steps["loss"].tolist())) == 6
    assert len(steps["target.label"]) == len(np.unique(steps["input.pixels"], axis=0))
    after = np.load(directory / "trained.npz")
    before = np.load(directory / "seven.npz")["output.logits"]
    assert not np.array_equal(after["answers/logits"], before)
    assert {"state/net/layers.0.weight", "state/optimizer/layers.0.weight/exp_avg"} < set(after)


def test_edge_values_leave_the_range_of_the_training_rows(trained):
    edge = np.load(trained.root / "artifacts/checkpoint/reference/edge.npz")["input.pixels"]
    rows = np.load(trained.root / "artifacts/data/train/inputs/pixels.npy")
    assert (edge[0] == rows.min(axis=0)).all() and (edge[1] == rows.max(axis=0)).all()
    assert edge.min() < rows.min() and edge.max() > rows.max()


def test_the_chosen_epoch_is_the_one_with_the_best_metric(trained, copy_of):
    from pipeline.training.history import read_history

    project = copy_of(trained)
    history = read_history(project.root / "artifacts/train/history.csv")
    for mode, pick in (("max", max), ("min", min)):
        project.params(*TINY, f"checkpoint.mode={mode}", "checkpoint.metric=train/loss")
        project.stage("checkpoint")
        schema = json.loads(project.read("artifacts/checkpoint/schema.json"))
        best = pick(history, key=lambda row: row["train/loss"])
        assert schema["epoch"] == best["epoch"]
        chosen = project.root / f"artifacts/train/epoch_{schema['epoch']:04d}.pt"
        saved = project.root / "artifacts/checkpoint/checkpoint.pt"
        assert saved.samefile(chosen)


def test_a_metric_that_was_not_recorded_is_refused_by_name(trained, copy_of):
    project = copy_of(trained)
    project.params(*TINY, "checkpoint.metric=val/f1")
    done = project.stage("checkpoint", check=False)
    assert done.returncode == 1
    expected = (
        "error: checkpoint: checkpoint.metric: found val/f1, expected a metric of history.csv"
    )
    assert done.stdout.startswith(expected)


def test_as_many_output_names_as_outputs_are_demanded(trained, copy_of):
    project = copy_of(trained)
    project.params(*TINY, "model.outputs=[logits,more]")
    (project.root / "artifacts/checkpoint/provenance.json").unlink()
    done = project.stage("checkpoint", check=False)
    assert "model.outputs: found 2 names, but the net returns 1 arrays; name each" in done.stdout


def test_two_checkouts_of_one_commit_make_the_same_complete_model(tmp_path):
    """In directories of other names, from the raw rows on."""
    start = make_project(tmp_path / "start")
    digests = set()
    for name in ("a", "b b/ü"):
        clone = type(start)(tmp_path / name)
        start.run("git", "clone", "--quiet", str(start.root), str(clone.root))
        clone.params(*TINY)
        for stage in ("prepare", "train", "checkpoint", "export-complete"):
            clone.stage(stage)
        digests.add(provenance.digest(clone.root / "artifacts/complete-model"))
    assert len(digests) == 1
