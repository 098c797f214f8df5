"""A project whose raw data lie with DVC's remote alone."""

from pathlib import Path

from testing.project import TINY, Project


def streaming(project: Project, store: Path) -> None:
    """Prepares the digits from a remote in one user's settings, by a path that counts from them."""
    big = project.root / "data/big"
    big.mkdir()
    project.run("git", "mv", "data/digits.csv", "data/big/digits.csv")
    project.run("git", "rm", "--quiet", "--cached", "data/big/digits.csv")
    project.run("dvc", "add", "--quiet", "data/big")
    project.run("dvc", "remote", "add", "--local", "--default", "away", str(store))
    project.run("dvc", "push", "--quiet")
    for each in (big, project.root / ".dvc/cache"):
        project.run("rm", "-r", str(each))
    project.params(*TINY, "data.file=big/*.csv")
    project.commit("the digits lie with DVC's remote")
    project.stage("prepare")
