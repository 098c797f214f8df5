"""A statement names every byte of its directory and everything it was made from."""

import json
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import provenance


@pytest.fixture
def artifact(tmp_path):
    directory = tmp_path / "artifact"
    (directory / "sub").mkdir(parents=True)
    (directory / "weights.bin").write_bytes(bytes(range(256)))
    (directory / "sub" / "ümlaut.txt").write_text("text")
    code = {"name": "git", "digest": {"gitCommit": None}}
    provenance.write(directory, provenance.build_definition("train", {"train": {}}, [], code))
    return directory


def test_a_fresh_artifact_has_no_faults(artifact):
    assert provenance.faults(artifact) == []


def test_the_statement_has_the_form_of_in_toto_and_slsa(artifact):
    statement = provenance.read(artifact)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert [entry["name"] for entry in statement["subject"]] == ["sub/ümlaut.txt", "weights.bin"]
    assert set(statement["predicate"]) == {"buildDefinition", "runDetails"}


def test_a_removed_an_added_and_a_renamed_file_are_named(artifact):
    (artifact / "weights.bin").rename(artifact / "other.bin")
    found = provenance.faults(artifact)
    assert any("weights.bin: missing" in fault for fault in found)
    assert any("other.bin: not in the statement" in fault for fault in found)


def test_a_directory_without_a_statement_is_not_complete(artifact):
    (artifact / provenance.NAME).unlink()
    assert "missing, so the directory is not complete" in provenance.faults(artifact)[0]


@settings(max_examples=300)
@given(data=st.data())
def test_any_flipped_bit_is_found_and_its_file_named(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("flip")
    (directory / "weights.bin").write_bytes(b"weights")
    (directory / "schema.json").write_text('{"inputs": {}}')
    code = {"name": "git", "digest": {"gitCommit": "ab" * 20}}
    provenance.write(directory, provenance.build_definition("train", {"train": {}}, [], code))
    path = directory / data.draw(st.sampled_from(["weights.bin", "schema.json", provenance.NAME]))
    content = bytearray(path.read_bytes())
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    assert any(path.name in fault for fault in provenance.faults(directory))


def test_the_same_files_give_the_same_statement_anywhere(artifact, tmp_path):
    other = tmp_path / "elsewhere" / "copy"
    other.parent.mkdir()
    artifact.rename(other)
    before = (other / provenance.NAME).read_bytes()
    definition = provenance.read(other)["predicate"]["buildDefinition"]
    provenance.write(other, definition)
    assert (other / provenance.NAME).read_bytes() == before


def test_a_complete_artifact_is_named_by_its_statement(artifact):
    assert provenance.digest(artifact) == provenance.digest(artifact / provenance.NAME)


def test_pythons_caches_do_not_count(tmp_path):
    (tmp_path / "module.py").write_text("")
    before = provenance.digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "module.pyc").write_text("x")
    assert provenance.digest(tmp_path) == before


def test_nothing_of_clock_host_or_user_is_recorded(artifact):
    text = (artifact / provenance.NAME).read_text()
    node = subprocess.run(["uname", "-n"], capture_output=True, text=True).stdout.strip()
    assert node not in text
    assert "/home" not in text and "/root" not in text and "/tmp" not in text


def test_a_clean_tree_is_its_commit(project):
    code, patch = provenance.code(project.root)
    assert patch == b""
    assert code == {
        "name": "git",
        "digest": {"gitCommit": project.run("git", "rev-parse", "HEAD").stdout.strip()},
    }


def test_parameters_and_data_are_not_code(project):
    names = ["params.yaml", "conf/train/default.yaml", "dvc.lock", "data/new.csv"]
    names += ["data/y", "data/py", "data/xpy", "data/x.pyc", "data/corpus/x.py", "data/digits.csv"]
    for name in names:
        (project.root / name).parent.mkdir(exist_ok=True)
        (project.root / name).write_text("changed: 1\n")
    project.run("git", "add", "--all")
    assert provenance.code(project.root)[1] == b""


@pytest.mark.parametrize("ignored", [False, True])
def test_a_function_that_yields_rows_is_code(project, ignored):
    """DVC has git ignore what it tracks."""
    if ignored:
        (project.root / "data/.gitignore").write_text("/drawn.py\n")
    (project.root / "data/drawn.py").write_text("def rows(): yield {}\n")
    code, patch = provenance.code(project.root)
    assert b"+def rows" in patch and code["annotations"]
    assert provenance.patched(patch) == ["data/drawn.py"]
    if not ignored:
        assert project.commit() == provenance.code(project.root)[0]["digest"]["gitCommit"]
        (project.root / "data/drawn.py").write_text("def rows(): yield {1: 2}\n")
        assert b"-def rows" in provenance.code(project.root)[1]


def test_the_patch_makes_the_work_tree_from_the_commit(project):
    changed = project.root / "models/torch_mlp.py"
    changed.write_text(changed.read_text() + "# changed\n")
    (project.root / "models/torch_cnn.py").unlink()
    (project.root / "models/neü.py").write_text("NEW = 1\n")
    tree = {p.name: p.read_text() for p in (project.root / "models").glob("*.py")}
    code, patch = provenance.code(project.root)
    assert len(code["annotations"][provenance.PATCH]) == 64
    project.run("git", "stash", "--include-untracked")
    (project.root / "a.patch").write_bytes(patch)
    project.run("git", "apply", "a.patch")
    assert {p.name: p.read_text() for p in (project.root / "models").glob("*.py")} == tree


def test_asking_for_the_patch_leaves_git_as_it_was(project):
    (project.root / "models/new.py").write_text("NEW = 1\n")
    before = project.run("git", "status", "--porcelain").stdout
    provenance.code(project.root)
    assert project.run("git", "status", "--porcelain").stdout == before == "?? models/new.py\n"


def test_a_directory_outside_git_has_no_commit(tmp_path):
    assert provenance.code(tmp_path) == ({"name": "git", "digest": {"gitCommit": None}}, b"")


def test_every_installed_distribution_is_recorded():
    packages = provenance.environment()["packages"]
    assert packages["torch"].startswith("2.")
    assert "complete-models" not in packages, "our own version says nothing that the code does not"
    assert json.loads(json.dumps(packages)) == packages
