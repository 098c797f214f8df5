"""What a killed stage goes on from survives that DVC replaces its output."""

import shutil
from pathlib import Path

import pytest

from pipeline.run import backup


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Unfinished, after one epoch."""
    output = tmp_path / "train"
    output.mkdir()
    (output / "unfinished.json").write_text("plan")
    (output / "epoch_0001.pt").write_bytes(b"1" * 4096)
    backup.update(output)
    return output


def found(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("finished", [False, True], ids=["removed", "an older one in its place"])
def test_an_output_that_dvc_replaced_comes_back(output: Path, finished: bool) -> None:
    before = found(output)
    shutil.rmtree(output)
    if finished:
        output.mkdir()
        (output / "provenance.json").write_text("{}")
    backup.restore(output, "unfinished.json")
    assert found(output) == before


def test_it_comes_back_a_second_time(output: Path) -> None:
    before = found(output)
    for _ in range(2):
        shutil.rmtree(output)
        backup.restore(output, "unfinished.json")
    assert found(output) == before


def test_an_unfinished_output_is_left_as_it_is(output: Path) -> None:
    (output / "epoch_0001.pt").write_bytes(b"2")
    (output / "unfinished.json").unlink()
    (output / "unfinished.json").write_text("another plan")
    backup.restore(output, "unfinished.json")
    assert (output / "unfinished.json").read_text() == "another plan"


def test_what_is_kept_takes_no_room_and_follows_the_output(output: Path) -> None:
    place = output.with_name(".train.kept")
    assert (place / "epoch_0001.pt").samefile(output / "epoch_0001.pt")
    (output / "new").write_bytes(b"3")
    (output / "new").replace(output / "epoch_0001.pt")
    (output / "epoch_0002.pt").write_bytes(b"2")
    (output / "unfinished.json").unlink()
    backup.update(output)
    assert found(place) == found(output)
    assert (place / "epoch_0001.pt").samefile(output / "epoch_0001.pt")


def test_a_finished_output_leaves_nothing_behind(output: Path) -> None:
    backup.remove(output)
    backup.remove(output)
    assert [path.name for path in output.parent.iterdir()] == ["train"]
