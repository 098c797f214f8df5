"""A private key that git would publish signs nothing."""

import subprocess
from pathlib import Path

import pytest

from pipeline.errors import ParamsError
from pipeline.sign import demand_unpublished
from testing.project import ROOT


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the project's own .gitignore."""
    clone = tmp_path / "clone"
    (clone / "below").mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet"], cwd=clone, check=True)
    (clone / ".gitignore").write_text((ROOT / ".gitignore").read_text())
    return clone


def added(clone: Path) -> set[str]:
    """What `git add --all` takes."""
    command = ["git", "add", "--all", "--dry-run"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=True)
    return {line.split("'")[1] for line in done.stdout.splitlines()}


@pytest.mark.parametrize(
    "name",
    [
        *("private.pem", "mine.pem", "below/private.pem", "signing.key", "team.p12", "a.pfx"),
        *("id_rsa", "id_ecdsa", "below/id_ed25519", "store.jks"),
    ],
)
def test_a_private_key_is_not_added_by_its_usual_names(clone: Path, name: str) -> None:
    (clone / name).write_text("secret")
    assert added(clone) == {".gitignore"}
    demand_unpublished(clone / name)


def test_the_public_key_is_added(clone: Path) -> None:
    (clone / "public.pem").write_text("for all")
    assert added(clone) == {".gitignore", "public.pem"}


def test_a_key_that_would_be_added_is_refused_and_told_where_to_be(clone: Path) -> None:
    (clone / "secret").write_text("secret")
    with pytest.raises(ParamsError, match="`git add --all` would publish .* outside: mkdir -p ~/k"):
        demand_unpublished(clone / "secret")


def test_a_key_that_git_has_is_refused(clone: Path) -> None:
    (clone / "private.pem").write_text("secret")
    subprocess.run(["git", "add", "--force", "private.pem"], cwd=clone, check=True)
    with pytest.raises(ParamsError, match="git tracks this private key: .* trust this one no long"):
        demand_unpublished(clone / "private.pem")


def test_a_key_elsewhere_and_one_that_is_missing_are_not_its_concern(tmp_path: Path) -> None:
    (tmp_path / "private.pem").write_text("secret")
    demand_unpublished(tmp_path / "private.pem")
    demand_unpublished(tmp_path / "nowhere/private.pem")
