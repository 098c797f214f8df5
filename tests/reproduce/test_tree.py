"""Whatever lies in the clone, this process writes in the clone alone."""

from pathlib import Path

import pytest

from pipeline.errors import CannotRun
from pipeline.reproduce import tree


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "clone").mkdir()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/victim").write_text("mine")
    return tmp_path / "clone"


def test_a_link_is_replaced_and_not_followed(clone: Path) -> None:
    victim = clone.parent / "outside/victim"
    (clone / "params.yaml").symlink_to(victim)
    tree.write(clone, clone / "params.yaml", b"new")
    assert (clone / "params.yaml").read_bytes() == b"new"
    assert not (clone / "params.yaml").is_symlink() and victim.read_text() == "mine"
    (clone / "data").symlink_to(victim.parent)
    tree.copy(clone, Path(__file__).parent, clone / "data")
    assert (clone / "data/test_tree.py").is_file() and not (clone / "data").is_symlink()
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]
    tree.remove(clone / "data")
    (clone / "data").symlink_to(victim.parent)
    tree.remove(clone / "data")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("name", ["../outside/victim", "linked/victim", "/etc/victim", "a/../../x"])
def test_a_path_that_leads_out_of_the_clone_is_refused(clone: Path, name: str) -> None:
    (clone / "linked").symlink_to(clone.parent / "outside")
    for write in (tree.write, lambda *given: tree.copy(given[0], Path(__file__), given[1])):
        with pytest.raises(CannotRun, match="out of the clone|is a link"):
            write(clone, clone / name, b"new")
    with pytest.raises(CannotRun):
        tree.demand_inside(clone, clone / name)
    assert (clone.parent / "outside/victim").read_text() == "mine"
