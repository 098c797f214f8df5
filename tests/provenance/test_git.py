"""One module runs git, with no hook and no setting of the user."""

import ast
from pathlib import Path

import pytest

from pipeline.errors import CannotRun
from pipeline.provenance import git
from pipeline.provenance.patched_tree import tree_builder
from testing.project import ROOT


def calls_git(path: Path) -> bool:
    """Whether a list or tuple that begins with "git" stands in it, as a command does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.List | ast.Tuple) and node.elts:
            first = node.elts[0]
            if isinstance(first, ast.Constant) and first.value == "git":
                return True
    return False


def test_git_is_run_by_one_module():
    calling = [p.relative_to(ROOT).as_posix() for p in (ROOT / "pipeline").rglob("*.py")]
    assert [name for name in calling if calls_git(ROOT / name)] == ["pipeline/provenance/git.py"]


@pytest.fixture
def repository(tmp_path, monkeypatch):
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A Tester")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "tester@example.org")
    root = tmp_path / "repository"
    root.mkdir()
    git.run(root, "init", "--quiet", "--initial-branch=main")
    (root / "file").write_text("one\n")
    git.run(root, "add", "file")
    git.run(root, "commit", "--quiet", "--message", "one")
    return root


def test_no_hook_runs(repository):
    hook = repository / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    assert git.run(repository, "checkout", "--detach").status == 0
    assert not (repository / "ran").exists()


def test_no_network_is_used_unless_a_caller_says_so(repository, tmp_path):
    clone = ("clone", "--quiet", str(repository))
    assert "not allowed" in git.run(tmp_path, *clone, str(tmp_path / "a")).last_error
    assert git.run(tmp_path, *clone, str(tmp_path / "b"), offline=False).status == 0


def test_what_git_refuses_is_one_line_of_its_own(repository):
    answer = git.run(repository, "rev-parse", "nowhere")
    assert answer.status and "nowhere" in answer.first_error and "\n" not in answer.first_error
    assert git.line(repository, "rev-parse", "nowhere") is None


def test_without_git_a_question_has_no_answer(repository, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert git.line(repository, "rev-parse", "HEAD") is None
    with pytest.raises(CannotRun, match="git: not installed"):
        git.run(repository, "rev-parse", "HEAD")


def test_an_objects_content_is_read_by_its_id(repository):
    blob = git.line(repository, "rev-parse", "HEAD:file")
    with git.objects(repository, {}) as content:
        assert [content(blob), content("0" * 40), content(blob)] == [b"one\n", b"", b"one\n"]
    assert dict(git.blobs(repository, [blob, "0" * 40])) == {blob: b"one\n"}


def test_a_patched_tree_is_built_beside_the_repository(repository):
    (repository / "file").write_text("two\n")
    patch = git.output(repository, "diff")
    before = sorted((repository / ".git").rglob("*"))
    with tree_builder(repository) as builder:
        clean, changed = (
            builder.tree(git.commit(repository, "HEAD"), None),
            builder.tree(git.commit(repository, "HEAD"), patch),
        )
        assert (clean.fits, changed.fits) == (None, True)
        assert (
            builder.tree(git.commit(repository, "HEAD"), patch.replace(b"one", b"six")).fits
            is False
        )
        trees = [tree.output("write-tree").decode().strip() for tree in (clean, changed)]
        differing = git.output(repository, "diff", "--name-only", *trees, environ=builder.environ)
        assert differing == b"file\n"
    assert sorted((repository / ".git").rglob("*")) == before


@pytest.mark.parametrize(
    "name", ["HEAD", "main", "--index-output=there", "HEAD~0", "abbreviated", "the tag", "\n"]
)
def test_only_a_whole_id_is_a_commit(repository, name):
    """Whatever else git takes for one, or for an option, a statement does not name a commit by."""
    commit = git.commit(repository, "HEAD")
    git.run(repository, "tag", "--annotate", "--message=a tag", "tagged", environ=TAGGER)
    tag = git.line(repository, "rev-parse", "tagged")
    name = {"abbreviated": commit[:12], "the tag": tag}.get(name, name)
    assert git.has_commit(repository, commit) and not git.has_commit(repository, name)
    if name != tag:
        with tree_builder(repository) as builder, pytest.raises(CannotRun, match="40 or 64 hex"):
            builder.tree(name, None)
    assert not (repository / "there").exists()


TAGGER = {"GIT_COMMITTER_NAME": "A Tester", "GIT_COMMITTER_EMAIL": "tester@example.org"}
