"""Whose a commit is, git says: what the clone's own branches reach, or its own remote's."""

from pathlib import Path

import pytest

from pipeline.reproduce import trust
from testing.project import Project


def committed(project: Project, name: str) -> str:
    """A commit of no branch, on top of the current one."""
    tree = project.run("git", "write-tree").stdout.strip()
    return project.run("git", "commit-tree", "-p", "HEAD", "-m", name, tree).stdout.strip()


def test_a_commit_of_a_branch_is_the_clone_s_own(repository: Project) -> None:
    commit = repository.run("git", "rev-parse", "HEAD").stdout.strip()
    repository.run("git", "checkout", "--quiet", "--orphan", "other")
    repository.commit("other")
    assert trust.is_own(repository.root, commit)


@pytest.mark.parametrize(
    "ref",
    [
        None,
        "refs/tags/release",
        "refs/exps/aa/bb/quick-dog",
        "refs/stash",
        "refs/notes/x",
        "refs/remotes/stranger/main",
        "refs/remotes/origin/pr/1",
        "refs/pull/1/head",
    ],
)
def test_a_commit_that_only_lies_there_is_not(repository: Project, ref: str | None) -> None:
    """The objects of a clone can hold anybody's commits: fetched, stashed, tagged, or put there."""
    repository.run("git", "remote", "add", "origin", "https://example.org/own.git")
    fetch = "+refs/pull/*/head:refs/remotes/origin/pr/*"
    repository.run("git", "config", "--add", "remote.origin.fetch", fetch)
    repository.run("git", "remote", "add", "stranger", "https://example.org/other.git")
    commit = committed(repository, "theirs")
    if ref:
        repository.run("git", "update-ref", ref, commit)
    assert not trust.is_own(repository.root, commit)
    assert (
        trust.base(repository.root, commit)
        == repository.run("git", "rev-parse", "HEAD").stdout.strip()
    )


@pytest.mark.parametrize("remote", ["origin", "upstream"])
def test_a_branch_of_the_clone_s_own_remote_counts(repository: Project, remote: str) -> None:
    """That called origin, or the only one there is."""
    repository.run("git", "remote", "add", remote, "https://example.org/own.git")
    commit = committed(repository, "pushed")
    repository.run("git", "update-ref", f"refs/remotes/{remote}/main", commit)
    assert trust.is_own(repository.root, commit)
    repository.run("git", "remote", "add", "stranger", "https://example.org/other.git")
    assert trust.is_own(repository.root, commit) == (remote == "origin")


def test_a_commit_that_shares_no_history_has_no_base(repository: Project, tmp_path: Path) -> None:
    tree = repository.run("git", "write-tree").stdout.strip()
    alone = repository.run("git", "commit-tree", "-m", "alone", tree).stdout.strip()
    assert not trust.is_own(repository.root, alone)
    assert trust.base(repository.root, alone) is None


def test_words_of_a_command_are_known_where_the_commit_s_configuration_has_them(
    repository: Project,
) -> None:
    """A program stands in them: parameters that came with an artifact are a stranger's."""
    folded = (
        "train:\n  command: python mine.py --out {output}\n    --fast\n  arguments: {name: big}\n"
    )
    (repository.root / "params.yaml").write_text(folded)
    (repository.root / "notes.txt").write_text("command: rm -rf {output}\n")
    commit = repository.commit("a command")
    own = {"command": "python mine.py --out {output} --fast", "arguments": {"name": "big", "n": 3}}
    assert trust.commands({"train": {"command": None}}) == []
    words = trust.commands({"train": own})
    assert words == [own["command"], "name", "big", "n"]
    assert trust.unsaid(repository.root, commit, words) == ["n"]
    others = ["rm -rf {output}", "python mine.py", "python mine.py --out {output} --fast; x"]
    assert trust.unsaid(repository.root, commit, others) == others
