"""Nothing of the machine gets into an artifact: no token, no user, no host, no path of it."""

import getpass
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testing import finished
from testing.project import Project


def contents(root: Path) -> Iterator[tuple[str, bytes]]:
    """Every file, and every member of an archive, as it is before it is packed."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(root)), path.read_bytes()
            if zipfile.is_zipfile(path):
                with zipfile.ZipFile(path) as archive:
                    for name in archive.namelist():
                        yield f"{path.relative_to(root)}: {name}", archive.read(name)


@pytest.fixture(scope="module", params=finished.IN_A_TELLING_PLACE)
def ran(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, list[str]]:
    """A run in a place with telling names, and those names."""
    project = finished.finished(tmp_path_factory, request.param)
    telling = [*set(finished.TELLING.values()), str(project.root.parent), finished.HOME]
    names = [socket.gethostname(), getpass.getuser()]
    telling += [name for name in names if len(name) > 6]  # "root" and "vm" are words of their own
    return project, telling


def test_no_file_of_any_artifact_tells_where_it_was_made(ran: tuple[Project, list[str]]) -> None:
    project, telling = ran
    looked = 0
    for root in ("artifacts", "reports"):
        for name, content in contents(project.root / root):
            looked += 1
            found = [text for text in telling if text.encode() in content]
            assert not found, f"{root}/{name} holds {found}"
    assert looked > 50


def test_the_search_would_find_it(ran: tuple[Project, list[str]], tmp_path: Path) -> None:
    _, telling = ran
    with zipfile.ZipFile(tmp_path / "model.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", f"x{telling[0]}y" * 9)
    hits = [name for name, content in contents(tmp_path) if telling[0].encode() in content]
    assert hits == ["model.zip: config.json"]
