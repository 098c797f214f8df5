"""Two artifacts beside each other: what differs, what is the same, and what cannot be said."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline import provenance
from pipeline.diff import SECTIONS
from pipeline.diff import compare as compare_in
from pipeline.diff import data as diff_data
from pipeline.diff import page as diff_page
from pipeline.diff import text as diff_text
from pipeline.diff import weights as diff_weights
from pipeline.errors import PipelineError
from testing import preloaded
from testing.project import TINY, Project

MODEL = "artifacts/complete-model"
STAGES = ("prepare", "train", "checkpoint", "export-complete")
SAME = dict.fromkeys(SECTIONS, False)


def make(project: Project, *overrides: str) -> None:
    project.params(*TINY, *overrides)
    for stage in STAGES:
        project.stage(stage)


def compare(a: str, b: str, root: Path) -> dict:
    """Paths count from `root`, as they do for whoever stands in it."""
    return compare_in(*(str(root / x) if (root / x).exists() else x for x in (a, b)), root)


def differ(report: dict) -> dict:
    return {name: report[name]["differ"] for name in SECTIONS}


@pytest.fixture(scope="module")
def project(trained, tmp_path_factory) -> Project:
    """MODEL was made from a dirty tree with other data; `before` is the same without."""
    root = tmp_path_factory.mktemp("diff") / "project"
    project = trained.copied(root)
    (project.root / "artifacts").rename(project.root / "before")
    lines = project.read("data/digits.csv").splitlines()
    lines[5] = lines[5].rsplit(",", 1)[0] + ",3"
    lines = [*lines[:10], *lines[11:], lines[20]]
    (project.root / "data/digits.csv").write_text("\n".join(lines) + "\n")
    project.run("git", "commit", "--quiet", "--all", "--message", "other data")
    source = project.root / "models/torch_mlp.py"
    source.write_text(source.read_text() + "# changed\n")
    (project.root / "models/new.py").write_text("NEW = '<b>'\n")
    make(project, "train.lr=0.01")
    return project


@pytest.fixture(scope="module")
def report(project) -> dict:
    return compare("before/complete-model", MODEL, project.root)


def test_params_are_told_with_both_values(report):
    assert report["params"]["changed"] == [
        {"key": "model.optimizer.lr", "a": 0.001, "b": 0.01},
        {"key": "train.lr", "a": 0.001, "b": 0.01},
    ]


def test_code_is_a_real_diff_of_the_trees_with_their_patches(report, project):
    (pair,) = report["code"]["pairs"]
    assert set(pair["stages"]) == set(STAGES)
    assert pair["a"]["patch"] is None and pair["b"]["patch"]
    assert pair["commits"]["only_b"] == 1 and pair["commits"]["named"][0].endswith("other data")
    assert pair["files"] == [
        {"name": "models/new.py", "added": 1, "removed": 0},
        {"name": "models/torch_mlp.py", "added": 1, "removed": 0},
    ]
    assert "+# changed" in pair["diff"] and "digits.csv" not in pair["diff"]
    assert pair["read"]["train"] == ["models/torch_mlp.py", "models/new.py"]
    assert "prepare" not in pair["read"]


def test_building_the_trees_leaves_the_repository_as_it_was(project):
    def state() -> tuple[int, str, str]:
        count = len([p for p in (project.root / ".git").rglob("*") if p.is_file()])
        index = provenance.digest(project.root / ".git/index")
        return count, index, project.run("git", "stash", "list").stdout

    before = state()
    compare("before/complete-model", MODEL, project.root)
    assert state() == before


def test_data_are_compared_by_row_column_and_label(report):
    data = report["data"]
    assert data["a"]["path"] == data["b"]["path"] == "data/digits.csv"
    rows = data["rows"]
    assert (rows["added"], rows["removed"], rows["changed"]) == (1, 1, 1)
    assert rows["changed_by_column"] == {"label": 1}
    assert sum(each["b"] - each["a"] for each in data["labels"]) == 0
    assert data["unsaid"] == []


def test_metrics_have_their_difference(report):
    for each in report["metrics"]["metrics"]:
        assert each["difference"] == each["b"] - each["a"]


def test_weights_are_compared_tensor_by_tensor(report):
    weights = report["weights"]
    assert weights["format"] == "torch_export"
    found = {each["name"]: each for each in weights["differing"]}
    assert found["layers.0.weight"]["values"] == 64 * 64
    assert 0 < found["layers.0.weight"]["relative"] < 10


def test_what_is_the_same_artifact_does_not_differ(project):
    report = compare(MODEL, provenance.digest(project.root / MODEL)[:12], project.root)
    assert report["same_statement"]
    assert differ(report) == SAME
    assert diff_text.as_text(report).count(": same") == len(SECTIONS)


def test_the_page_is_one_file_that_fetches_nothing(report):
    page = diff_page.as_page(report)
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    assert "NEW = &#39;&lt;b&gt;&#39;" in page
    for name in SECTIONS:
        assert f"<h2>{name.capitalize()} " in page


def test_the_page_draws_a_bar_a_tensor_and_cuts_no_digest_in_two(report):
    page = diff_page.as_page(report)
    moved = [each for each in report["weights"]["differing"] if each["relative"] is not None]
    assert page.count('class="bar"') == len(moved) > 3
    assert '<rect width="100.0%"' in page
    for side in ("a", "b"):
        assert f'<code class="hash" title="{report[side]["digest"]}">' in page


def test_the_curves_of_both_share_a_panel(project):
    digest = provenance.digest(project.root / MODEL / "provenance.json")
    report = compare(MODEL, digest[:12], project.root)
    history = report["metrics"]["history"]
    assert history["a"] == history["b"] and history["unsaid"] == []
    assert history["a"]["epoch"] in (1, 2) and len(history["a"]["curves"]["val/loss"]) == 2
    names = [[line.name for line in panel.lines] for panel in diff_page.learning_curves(history)]
    assert names == [["A train", "A val", "B train", "B val"], ["A val", "B val"]]


def test_a_history_that_is_not_here_is_told_and_the_other_one_drawn(report):
    history = report["metrics"]["history"]
    assert history["a"] is None and history["b"]["curves"]
    (unsaid,) = history["unsaid"]
    assert unsaid.startswith("A: the history of its training is neither here nor in DVC's cache")
    assert "B val</span>" in diff_page.as_page(report)
    assert unsaid.replace("'", "&#39;") in diff_page.as_page(report)


def test_the_terminal_s_page_is_short_whatever_differs(report):
    many = [{"key": f"param.{n}", "a": "x" * 999, "b": None} for n in range(999)]
    long = {**report, "params": {"differ": True, "changed": many, "unsaid": []}}
    lines = diff_text.as_text(long).splitlines()
    assert len(lines) < 120 and max(map(len, lines)) < 300
    assert any("and 984 more" in line for line in lines)


def run(project: Project, *arguments: str) -> subprocess.CompletedProcess:
    command = [preloaded.python(), "-m", "pipeline.diff", *arguments]
    return subprocess.run(command, cwd=project.root, capture_output=True, text=True)


def test_the_exit_code_tells_and_json_is_for_programs(project, tmp_path):
    page = tmp_path / "pages/diff.html"
    done = run(project, "before/complete-model", MODEL, "--json", "--html", str(page))
    assert done.returncode == 1
    assert json.loads(done.stdout)["differing"] == [
        *("params", "code", "data", "metrics", "weights", "files")
    ]
    assert page.read_text().startswith("<!doctype html>")
    assert run(project, MODEL, MODEL).returncode == 0


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ("nowhere", "nowhere: no such file"),
        ("artifacts/data", "A is what export-complete made, B what prepare made; give two of a"),
    ],
)
def test_what_cannot_be_compared_is_one_line(project, other, said):
    done = run(project, MODEL, other)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: diff: ") and said in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_framework_mlflow_or_dvc_is_loaded(project):
    script = (
        "import sys\nfrom pipeline.diff import main\n"
        f"main(['before/complete-model', '{MODEL}', '--html', 'x.html'])\n"
        "unwanted = ('torch', 'tensorflow', 'keras', 'mlflow', 'dvc', 'hydra', 'pandas')\n"
        "print([name for name in unwanted if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project.root, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done


def test_two_directories_alone_are_compared_and_what_is_missing_is_said(project, tmp_path):
    """As somebody has them who was mailed both: no git, no data, nothing else."""
    shutil.copytree(project.root / "before/complete-model", tmp_path / "one")
    shutil.copytree(project.root / MODEL, tmp_path / "two")
    report = compare("one", "two", tmp_path)
    assert report["differing"] == ["params", "code", "data", "metrics", "weights", "files"]
    (pair,) = report["code"]["pairs"]
    assert pair["diff"] is None
    assert pair["read"]["train"] == ["models/torch_mlp.py", "models/new.py"]
    assert [text.partition(" is ")[0][:9] for text in report["code"]["unsaid"]] == [
        *("A: commit", "B: commit")
    ]
    assert len(report["data"]["unsaid"]) == 2 and "data/digits.csv" in report["data"]["unsaid"][0]
    assert report["weights"]["unsaid"] == [] and report["weights"]["differing"]


def test_bytes_that_are_not_those_of_the_statement_are_not_compared(project, tmp_path):
    spoiled = shutil.copytree(project.root / MODEL, tmp_path / "spoiled")
    content = bytearray((spoiled / "model.pt2").read_bytes())
    content[len(content) // 2] ^= 1
    (spoiled / "model.pt2").write_bytes(content)
    report = compare(str(project.root / "before/complete-model"), str(spoiled), project.root)
    assert report["weights"]["differ"] is None
    assert "model.pt2 is not what its statement names" in report["weights"]["unsaid"][0]


def test_a_patch_that_is_not_at_hand_is_said(project, tmp_path):
    copy = project.copied(tmp_path / "copy")
    for patch in (copy.root / "artifacts").rglob(provenance.PATCH):
        patch.unlink()
    report = compare("before/complete-model", MODEL, copy.root)
    (said,) = report["code"]["unsaid"]
    assert said.startswith("B: its source.patch (")
    assert report["code"]["differ"] is True


def test_another_package_or_python_is_told_for_the_stages_it_concerns(project, tmp_path):
    other = shutil.copytree(project.root / MODEL, tmp_path / "other")
    definition = provenance.read(other)["predicate"]["buildDefinition"]
    environment = definition["internalParameters"]
    environment["python"] = "3.12.0"
    environment["packages"] |= {"torch": "9.9", "added": "1.0"}
    del environment["packages"]["numpy"]
    provenance.write(other, definition)
    (group,) = compare(MODEL, str(other), project.root)["environment"]["groups"]
    assert group["stages"] == ["export-complete"]
    assert [(e["key"], e["b"]) for e in group["changed"]] == [("python", "3.12.0")]
    told = {each["key"]: (each.get("a") is not None, each.get("b")) for each in group["packages"]}
    assert told == {"torch": (True, "9.9"), "added": (False, "1.0"), "numpy": (True, None)}


ROWS = [("1", "a", "x"), ("2", "b", "y"), ("3", "c", "x"), ("4", "d", "y")]
CONFIG = {"id": None, "targets": {"label": {"source": "label"}}}


def write(path: Path, columns: tuple[str, ...], rows: list) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def told(tmp_path: Path, rows: list, config: dict = CONFIG) -> dict:
    columns = ("id", "value", "label")
    one, other = write(tmp_path / "a.csv", columns, ROWS), write(tmp_path / "b.csv", columns, rows)
    return diff_data.tables(one, other, config, config)


@pytest.mark.parametrize(
    ("rows", "key", "expected"),
    [
        (ROWS, None, (0, 0, 0)),
        (ROWS[::-1], None, (0, 0, 0)),
        (ROWS[1:], None, (0, 1, 0)),
        ([*ROWS, ROWS[0]], None, (1, 0, 0)),
        ([*ROWS[:3], ("4", "", "y")], None, (0, 0, 1)),
        ([("4", "e", "y"), *ROWS[:3]], None, (1, 1, 0)),
        ([("4", "e", "y"), *ROWS[:3]], "id", (0, 0, 1)),
        ([("5", "e", "y"), *ROWS[:3]], "id", (1, 1, 0)),
        ([("4", "d", "x"), *ROWS[:3]], ["id", "value"], (0, 0, 1)),
        ([("4", "e", "y"), *ROWS[:3]], ["id", "value"], (1, 1, 0)),
    ],
)
def test_rows_are_added_removed_or_changed(tmp_path, rows, key, expected):
    found = told(tmp_path, rows, CONFIG | {"id": key})["rows"]
    assert (found["added"], found["removed"], found["changed"]) == expected


def test_columns_and_labels_are_told(tmp_path):
    one = write(tmp_path / "a.csv", ("id", "value", "label"), ROWS)
    rows = [(label, "new", number) for number, _, label in [*ROWS, ("5", "e", "z")]]
    other = write(tmp_path / "b.csv", ("label", "extra", "id"), rows)
    found = diff_data.tables(one, other, CONFIG, CONFIG)
    assert found["columns"] == {"added": ["extra"], "removed": ["value"]}
    assert (found["rows"]["added"], found["rows"]["removed"]) == (1, 0)
    assert found["labels"][-1] == {"label": "z", "a": 0, "b": 1}


def test_other_kinds_of_tables_are_read_as_prepare_reads_them(tmp_path):
    for name, value in (("a", 1.5), ("b", 2.5)):
        pixels = np.array([[0.0, 1.0], [value, 3.0]], np.float32)
        np.savez(tmp_path / f"{name}.npz", pixels=pixels, label=np.array([0, 1]))
    found = diff_data.tables(tmp_path / "a.npz", tmp_path / "b.npz", CONFIG, CONFIG)
    assert found["rows"] | {"matched_by": ""} == {
        **dict.fromkeys(("added", "removed"), 0),
        **dict.fromkeys(("a", "b"), 2),
        "changed": 1,
        "changed_by_column": {"pixels": 1},
        "matched_by": "",
    }


def test_rows_that_differ_in_size_are_compared(tmp_path):
    for name, second in (("a", 5.0), ("b", 7.0)):
        values, lengths = np.array([1.0, 2, 3, 4, second]), np.array([[1, 4], [1, 1]])
        arrays = {"x": values, "x.lengths": lengths, "label": np.array([0, 1])}
        np.savez(tmp_path / f"{name}.npz", **arrays)
    found = diff_data.tables(tmp_path / "a.npz", tmp_path / "b.npz", CONFIG, CONFIG)
    assert found["rows"]["changed_by_column"] == {"x": 1}


def test_a_file_too_large_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(diff_data, "LARGEST", 10)
    with pytest.raises(PipelineError, match="rows of more than"):
        told(tmp_path, ROWS)


def test_tensors_differ_by_any_bit_and_another_size_is_told():
    a = np.array([1.0, 0.0, np.nan], np.float32)
    assert diff_weights.difference(a, a.copy()) is None
    minus_zero = diff_weights.difference(a, np.array([1.0, -0.0, np.nan], np.float32))
    assert minus_zero is not None and minus_zero["max_abs"] is None
    moved = diff_weights.difference(a[:2], np.array([1.5, 0.0], np.float32))
    assert moved == {"dtype": "float32", "values": 2, "changed": 1, "max_abs": 0.5, "relative": 0.5}
    assert diff_weights.difference(a, a[:2])["other_values"] == 2


def test_raw_data_come_back_from_git_and_from_dvc_s_cache(project, tmp_path):
    """The work tree has moved on; what the statements name is found by its digest."""
    copy = project.copied(tmp_path / "copy")
    (copy.root / "data/digits.csv").write_text("label\n0\n")
    report = compare("before/complete-model", MODEL, copy.root)
    assert report["data"]["rows"]["changed"] == 1

    raw = project.read("data/digits.csv").splitlines()
    copy.run("git", "rm", "--quiet", "--cached", "data/digits.csv")
    (copy.root / "data/digits.csv").write_text("\n".join(raw[:-100]) + "\n")
    copy.run("dvc", "add", "--quiet", "data/digits.csv")
    copy.commit("fewer, under DVC")
    copy.stage("prepare")
    digest = shutil.copytree(copy.root / "artifacts/data", tmp_path / "fewer")
    (copy.root / "data/digits.csv").unlink()
    report = compare("before/data", str(digest), copy.root)
    assert report["data"]["rows"]["b"] == len(raw) - 1 - 100
    assert report["data"]["rows"]["removed"] >= 100
    assert report["weights"]["differ"] is None
