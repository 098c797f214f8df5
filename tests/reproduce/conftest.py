"""A small repository from which patches are made."""

from collections.abc import Callable
from pathlib import Path

import pytest

from testing.project import Project


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    """One commit on main: code, a note, parameters and a link of its own."""
    root = tmp_path / "repository"
    (root / "models").mkdir(parents=True)
    (root / "models/net.py").write_text("SIZE = 1\n")
    (root / "README.md").write_text("A note.\n")
    (root / "params.yaml").write_text("a: 1\n")
    (root / "own_link").symlink_to("README.md")
    made = Project(root)
    made.begin()
    return made


Patch = Callable[[Callable[[Path], object]], bytes]


@pytest.fixture
def patch_of(repository: Project) -> Patch:
    """The patch of a change to the work tree, which is taken back."""

    def patch(change: Callable[[Path], object]) -> bytes:
        change(repository.root)
        repository.run("git", "add", "--all")
        made = repository.run("git", "diff", "--cached", "--binary", "--full-index").stdout
        repository.run("git", "reset", "--hard", "--quiet")
        repository.run("git", "clean", "-fdq")
        return made.encode()

    return patch
