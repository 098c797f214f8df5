"""A model is made again from its statements: the same bytes, or the first difference and its cause.

What is planted is read by the project's own code, so a run can differ from what is recorded.
"""

import json
import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import provenance
from pipeline.provenance.lineage import node
from testing.project import TINY, Project, make_project
from testing.streaming import streaming

SETTINGS = (*TINY, "verify.checks=[integrity]", "train.batch_size=1024")
STAGES = ("prepare", "train", "checkpoint", "export-complete")
MODEL = "artifacts/complete-model"
FOREIGN = "--run-foreign-code"
REPRODUCE = ("python", "-m", "pipeline.reproduce")

# What stands in the variable PLANT is set in the parameters of every stage.
PLANT = """
import json  # noqa: E402
import os  # noqa: E402


def _planted(found, values):
    for key, value in values.items():
        if isinstance(value, dict):
            _planted(found[key], value)
        else:
            found[key] = value


_as_written = params_file


def params_file():
    found = _as_written()
    _planted(found, json.loads(os.environ.get("PLANT", "{}")))
    return found
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clones lie in memory, as projects do: on a disk their 900 files take the system 0.6 s."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A complete model from a clean commit. Read it, do not change it."""
    made = make_project(tmp_path_factory.mktemp("reproduce") / "project")
    stage = made.root / "pipeline/run/arguments.py"
    stage.write_text(stage.read_text() + PLANT)
    made.params(*SETTINGS)
    made.commit("settings")
    for name in STAGES:
        made.stage(name)
    return made


@pytest.fixture
def data_alone(tmp_path: Path) -> Iterator[Project]:
    """A project with a commit in which one second makes an artifact."""
    made = make_project(tmp_path / "project")
    made.params(*SETTINGS)
    made.commit("settings")
    yield made


def reproduced(project: Project, *given: str, expect: int = 0, **environ: str) -> dict[str, Any]:
    """Its JSON; progress goes to stderr, which Project.run has in the same text, before it."""
    done = project.run(*REPRODUCE, "--json", *given, check=False, **environ)
    assert done.returncode == expect, done.stdout
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("\n{\n") :])
    return found


def refused(project: Project, *given: str) -> str:
    """The one line with which it ends when it cannot run."""
    done = project.run(*REPRODUCE, *given, check=False)
    assert done.returncode == 2, done.stdout
    lines = [line for line in done.stdout.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and "Traceback" not in done.stdout, done.stdout
    return lines[0]


def verdicts(found: dict[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["verdict"] for stage in found["stages"]}


def state(project: Project) -> tuple[str, ...]:
    """All of a repository that somebody could miss."""
    git = ("status --porcelain --ignored", "for-each-ref", "worktree list", "stash list")
    shown = [project.run("git", *each.split()).stdout for each in git]
    return (*shown, *(str(provenance.faults(p)) for p in (project.root / "artifacts").iterdir()))


def causes(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(each["kind"], each["name"]) for each in found["causes"]}


# The same -------------------------------------------------------------------------------------


def test_the_complete_model_alone_and_a_clone_give_the_same_bytes(
    clean: Project, tmp_path: Path
) -> None:
    shutil.copytree(clean.root / MODEL, tmp_path / "mailed")
    clone = Project(tmp_path / "clone")
    clean.run("git", "clone", "--quiet", str(clean.root), str(clone.root))
    before = state(clean), sorted(clone.root.rglob("[!_]*")), provenance.digest(tmp_path / "mailed")
    found = reproduced(clone, str(tmp_path / "mailed"), "--keep", str(tmp_path / "kept"))
    assert verdicts(found) == dict.fromkeys(STAGES, "same bytes")
    assert (found["result"], found["verdict"]) == ("same", "same bytes")
    assert found["verify"]["passed"] and found["first_divergence"] is found["cause"] is None
    assert found["commit"] == clean.run("git", "rev-parse", "HEAD").stdout.strip()
    assert found["environment"] == {"rebuilt": False, "differs": []}
    assert {i["path"]: i["origin"] for i in found["inputs"]}["data"] == "the commit"
    assert found["params_of_the_commit"] == ["verify"]
    keys = {"stage", "verdict", "seconds", "recorded", "rebuilt", "files", "original_at_hand"}
    assert set(found["stages"][0]) == keys | {"differences", "statement"}
    kept = tmp_path / "kept/clone" / MODEL
    assert provenance.digest(kept) == provenance.digest(tmp_path / "mailed")
    assert provenance.faults(kept) == []
    after = state(clean), sorted(clone.root.rglob("[!_]*")), provenance.digest(tmp_path / "mailed")
    assert after == before
    again = (str(tmp_path / "mailed"), "--keep", str(tmp_path / "kept"))
    assert "kept: is there already" in refused(clone, *again)


def test_a_dirty_tree_is_made_again_with_what_was_changed_added_and_deleted(
    clean: Project, copy_of: Any, tmp_path: Path
) -> None:
    """Each stage runs again at its own code: `prepare` at the commit's, `train` with a patch that
    only the lineage still has, and the others with theirs."""
    project = copy_of(clean)
    source = project.root / "models/torch_mlp.py"
    source.write_text(source.read_text() + "\n\nfrom models.added import HIDDEN  # noqa: E402\n")
    (project.root / "models/added.py").write_text("HIDDEN = 3\n")
    (project.root / "models/keras_mlp.py").unlink()
    project.stage("train")
    (project.root / "models/added.py").write_text("HIDDEN = 3\n# After train.\n")
    for name in STAGES[2:]:
        project.stage(name)
    shutil.rmtree(project.root / "artifacts/train")
    (project.root / "notes.txt").write_text("mine")
    before = state(project)
    assert "is not this clone's own code, which changes 3 files" in refused(project, MODEL)
    done = project.run(*REPRODUCE, MODEL, FOREIGN)
    assert "\nSAME BYTES" in done.stdout
    listed = "models/added.py, models/keras_mlp.py, models/torch_mlp.py"
    assert "source.patch, which came with the artifact:" in done.stdout and listed in done.stdout
    assert "prepare ran at" in done.stdout and "train ran at" in done.stdout
    assert str(project.root / MODEL / "lineage/train.patch") in done.stdout
    assert done.stdout.index("Running code of") < done.stdout.index("prepare   ")
    assert state(project) == before

    (project.root / MODEL / "source.patch").rename(tmp_path / "source.patch")
    for carried in (project.root / MODEL / "lineage").glob("*.patch"):
        carried.unlink()
    shutil.rmtree(project.root / "artifacts/checkpoint")
    line = refused(project, MODEL, FOREIGN)
    assert "source.patch: missing: export-complete ran with uncommitted changes" in line
    (project.root / MODEL / "source.patch").write_text("another")
    assert "is another one" in refused(project, MODEL)


def test_a_stage_whose_own_patch_is_lost_runs_with_the_code_of_the_next(
    clean: Project, copy_of: Any
) -> None:
    """Whoever takes the patches upstream out of lineage/ loses the statements' bytes alone."""
    project = copy_of(clean)
    source = project.root / "models/torch_mlp.py"
    for name in STAGES[:2]:
        source.write_text(f"{source.read_text()}# edited before {name}\n")
        project.stage(name)
    shutil.rmtree(project.root / "artifacts/data")
    (project.root / "artifacts/train/lineage/prepare.patch").unlink()
    found = reproduced(project, "artifacts/train", FOREIGN)
    assert verdicts(found) == {"prepare": "same content", "train": "same content"}
    assert causes(found) == {("code", "source.patch")}
    assert "it runs with the code of the next stage" in found["notes"][0]


def test_a_model_that_was_trained_on_is_made_again_from_its_parent(
    clean: Project, copy_of: Any
) -> None:
    from tests.test_resume import WRITE_PARAMS

    project = copy_of(clean)
    project.script(WRITE_PARAMS, MODEL, "train.epochs=1", "export.attempt=[]")
    for name in STAGES[:3]:
        project.stage(name)
    found = reproduced(project, "artifacts/checkpoint")
    assert verdicts(found) == dict.fromkeys(STAGES[:3], "same bytes")
    parents = [each for each in found["inputs"] if each["path"].startswith("parents/")]
    assert [each["digest"] for each in parents] == [provenance.digest(clean.root / MODEL)]
    shutil.rmtree(project.root / MODEL)  # the parent itself
    shutil.rmtree(project.root / "parents")
    shutil.rmtree(project.root / ".dvc/cache")
    assert "parents/" in refused(project, "artifacts/checkpoint")


# Different ------------------------------------------------------------------------------------


def test_other_params_are_named_with_the_first_file_and_how_far_predictions_moved(
    clean: Project, tmp_path: Path
) -> None:
    """Only digests of the training are at hand, and the answers in examples/."""
    shutil.copytree(clean.root / MODEL, tmp_path / "mailed")
    clone = Project(tmp_path / "clone")
    clean.run("git", "clone", "--quiet", str(clean.root), str(clone.root))
    planted = json.dumps({"train": {"batch_size": 16}})
    found = reproduced(clone, str(tmp_path / "mailed"), expect=1, PLANT=planted)
    assert verdicts(found) == {"prepare": "same bytes"} | dict.fromkeys(STAGES[1:], "different")
    first = found["first_divergence"]
    assert (first["stage"], first["file"]) == ("train", "epoch_0001.pt")
    assert "the original is not at hand to say by how much" in first["why"]
    assert causes(found) == {("params", "train.batch_size")}
    assert "train.batch_size: 1024 -> 16" in found["cause"]
    assert found["predictions"]["compared"] == "examples"
    assert found["predictions"]["max_abs"] > 1e-3 and not found["predictions"]["within_tolerance"]
    model = {each["file"]: each for each in found["stages"][-1]["differences"]}
    assert model["model.pt2"]["tensor"].startswith("torch_export: ")


def test_the_first_element_that_differs_is_named_where_the_original_is_at_hand(
    clean: Project,
) -> None:
    planted = json.dumps({"train": {"seed": 1}})
    done = clean.run(*REPRODUCE, "artifacts/train", check=False, PLANT=planted)
    assert done.returncode == 1
    assert "First divergence: train: epoch_0001.pt: net/" in done.stdout
    assert "[0, 0]: recorded " in done.stdout and ", now " in done.stdout
    assert "params: train.seed: 0 -> 1" in done.stdout


def test_another_number_of_threads_is_named(clean: Project) -> None:
    """With two, sums over so many rows are taken in another order: the last bits move."""
    planted = json.dumps({"train": {"threads": 2}})
    found = reproduced(clean, "artifacts/train", expect=1, PLANT=planted)
    assert verdicts(found) == {"prepare": "same bytes", "train": "within tolerance"}
    assert found["first_divergence"]["file"] == "epoch_0001.pt"
    assert 0 < found["first_divergence"]["max_abs"] < 1e-6
    assert causes(found) == {("threads", "train.threads")}


def test_another_version_of_a_package_is_named(clean: Project, tmp_path: Path) -> None:
    """An interpreter with the same packages, but for one that says it is of another version."""
    other = tmp_path / "other"
    venv.create(other, with_pip=False)
    here = Path(next(p for p in sys.path if p.endswith("site-packages")))
    there = next(other.glob("lib/python*/site-packages"))
    (there / "all.pth").write_text(f"{here}\n")
    for info in here.glob("*.dist-info"):
        name = "tqdm-0.0.1.dist-info" if info.name.startswith("tqdm-") else info.name
        (there / name).symlink_to(info)
    command = (str(other / "bin/python"), "-m", "pipeline.reproduce", "artifacts/data")
    done = clean.run(*command)
    assert "SAME CONTENT" in done.stdout
    assert "package: tqdm: " in done.stdout and " -> 0.0.1" in done.stdout
    assert "`--environment recorded` installs" in done.stdout


def test_code_that_git_does_not_know_is_named(clean: Project, copy_of: Any) -> None:
    """What git ignores is in no patch: taken by its digest while it is there, missed after."""
    project = copy_of(clean)
    source = project.root / "models/torch_mlp.py"
    text = source.read_text()
    for old, new in (
        ("import numpy", "from pathlib import Path\n\nimport numpy"),
        ("class TorchMLP", 'SCALE = Path(__file__).parent / "scale.txt"\n\n\nclass TorchMLP'),
        ("(pixels))", "(pixels) * (float(SCALE.read_text()) if SCALE.exists() else 1.0))"),
    ):
        assert old in text
        text = text.replace(old, new)
    source.write_text(text)
    (project.root / ".git/info/exclude").write_text("models/scale.txt\n")
    project.commit("reads a file")
    (project.root / "models/scale.txt").write_text("2")
    for name in STAGES[:2]:
        project.stage(name)
    found = reproduced(project, "artifacts/train")
    origin = {each["path"]: each["origin"] for each in found["inputs"]}["models"]
    assert found["verdict"] == "same bytes" and origin == str(project.root / "models")

    (project.root / "models/scale.txt").unlink()
    found = reproduced(project, "artifacts/train", expect=1)
    assert verdicts(found) == {"prepare": "same bytes", "train": "different"}
    assert causes(found) == {("code", "models/scale.txt")}
    assert found["notes"] == [
        "models: the commit's is not the recorded one, which is not at hand",
    ]


def test_other_data_is_named_and_stops_it(data_alone: Project) -> None:
    """Whoever lacks the data is told which, and statements of other data say so as well."""
    project = data_alone
    data = project.root / "data/digits.csv"
    whole = data.read_text()
    data.write_text("\n".join(whole.splitlines()[:-100]) + "\n")
    project.stage("prepare")
    shorter = node(project.root / "artifacts/data/provenance.json")
    found = reproduced(project, "artifacts/data")
    assert found["verdict"] == "same bytes"
    assert {i["path"]: i["origin"] for i in found["inputs"]}["data"] == str(project.root / "data")

    data.write_text(whole)
    line = refused(project, "artifacts/data")
    assert line.startswith("error: reproduce: data: missing: prepare read the data with sha256 ")
    assert shorter.deps["data"] in line and "has other bytes in digits.csv" in line

    from pipeline.reproduce.compare import compare_stage

    shutil.move(project.root / "artifacts/data", project.root / "artifacts/shorter")
    project.stage("prepare")
    judged = compare_stage(
        shorter, project.root / "artifacts/data", project.root / "artifacts/shorter"
    )
    assert {(c.kind, c.name) for c in judged.statement} == {("data", "data/digits.csv")}
    assert str(judged.verdict) == "different"


def test_data_comes_out_of_dvcs_cache_and_out_of_its_remote(
    data_alone: Project, tmp_path: Path
) -> None:
    project = data_alone
    project.run("git", "rm", "--quiet", "--cached", "data/digits.csv")
    project.run("dvc", "add", "--quiet", "data/digits.csv")
    project.run("dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    project.commit("data is DVC's")
    project.stage("prepare")
    (project.root / "data/digits.csv").unlink()

    def origin() -> str:
        found = reproduced(project, "artifacts/data")
        assert found["verdict"] == "same bytes"
        return {each["path"]: each["origin"] for each in found["inputs"]}["data"]

    assert origin() == "DVC"
    project.run("dvc", "push", "--quiet")
    shutil.rmtree(project.root / ".dvc/cache")
    assert origin() == "DVC"
    assert not list((project.root / ".dvc").glob("cache/files/**/*"))
    shutil.rmtree(tmp_path / "store")
    line = refused(project, "artifacts/data")
    assert "not in DVC's cache" in line and "not in the DVC remote store" in line


def test_data_that_were_streamed_are_streamed_again_whether_or_not_they_are_here_now(
    data_alone: Project, tmp_path: Path
) -> None:
    project = data_alone
    streaming(project, tmp_path / "store")
    for _ in range(2):
        found = reproduced(project, "artifacts/data", "--keep", str(tmp_path / "kept"))
        assert found["verdict"] == "same bytes"
        assert not (tmp_path / "kept/clone/.dvc/config.local").exists()  # it may hold keys
        shutil.rmtree(tmp_path / "kept")
        project.run("dvc", "pull", "--quiet", "data/big.dvc")
    shutil.rmtree(tmp_path / "store")
    done = project.run(*REPRODUCE, "artifacts/data", check=False)
    line = done.stdout.splitlines()[-1]
    assert done.returncode == 2 and line.startswith("error: reproduce: prepare: failed: ")
    assert "data/big: not here, and not to be had from DVC's remote: " in line


# It cannot run --------------------------------------------------------------------------------


def test_a_commit_that_is_gone_is_named(data_alone: Project, tmp_path: Path) -> None:
    """Rebased away it can still be had; unreachable in a clone it cannot, nor in a shallow one."""
    project = data_alone
    project.stage("prepare")
    commit = project.run("git", "rev-parse", "HEAD").stdout.strip()
    shutil.copytree(project.root / "artifacts/data", tmp_path / "mailed")
    (project.root / "notes.md").write_text("later")
    project.commit("later")
    url = f"file://{project.root}"
    project.run("git", "clone", "--quiet", "--depth", "1", url, str(tmp_path / "shallow"))
    line = refused(Project(tmp_path / "shallow"), str(tmp_path / "mailed"))
    assert f"lacks commit {commit}" in line and "git fetch --unshallow" in line

    project.run("git", "reset", "--quiet", "--soft", "HEAD~2")
    project.commit("both in one")
    assert "is not this clone's own code" in refused(project, str(tmp_path / "mailed"))
    assert reproduced(project, str(tmp_path / "mailed"), FOREIGN)["verdict"] == "same bytes"
    project.run("git", "clone", "--quiet", url, str(tmp_path / "rebased"))
    line = refused(Project(tmp_path / "rebased"), str(tmp_path / "mailed"))
    assert f"lacks commit {commit}" in line and "--repository PATH" in line
    named = ("--repository", str(project.root), FOREIGN)
    found = reproduced(Project(tmp_path / "rebased"), str(tmp_path / "mailed"), *named)
    assert found["repository"] == str(project.root)


def test_without_git_it_says_what_it_needs(data_alone: Project, tmp_path: Path) -> None:
    project = data_alone
    project.stage("prepare")
    shutil.copytree(project.root / "artifacts/data", tmp_path / "mailed")
    shutil.rmtree(project.root / ".git")
    assert "no git repository" in refused(project, str(tmp_path / "mailed"))
    project.stage("prepare")  # its statement has no commit
    project.run("git", "init", "--quiet")
    assert "prepare was made outside git" in refused(project, "artifacts/data")


def test_a_changed_statement_vouches_for_nothing(data_alone: Project) -> None:
    project = data_alone
    project.stage("prepare")
    path = project.root / "artifacts/data/provenance.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 5'))
    assert "its seal does not fit its content" in refused(project, "artifacts/data")


def test_code_that_came_with_the_artifact_is_not_run(data_alone: Project, tmp_path: Path) -> None:
    project = data_alone
    project.stage("prepare")
    mailed = tmp_path / "mailed"
    shutil.copytree(project.root / "artifacts/data", mailed)
    project.run("git", "clone", "--quiet", str(project.root), str(mailed / "code"))
    line = refused(project, str(mailed), "--repository", str(mailed / "code"))
    assert "came with the artifact" in line


def test_what_is_no_artifact_is_refused_in_one_line_and_in_json(data_alone: Project) -> None:
    assert "nowhere" in refused(data_alone, "nowhere")
    done = data_alone.run(*REPRODUCE, "nowhere", "--json", check=False)
    found = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 2 and found["result"] == "could not run" and found["error"]
