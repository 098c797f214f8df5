"""Files that only DVC's remote has are read from there one at a time, and come out as if here."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from faults._server import free_port
from pipeline.data import streamed
from pipeline.data.elsewhere import folder_of, is_elsewhere
from testing import preloaded
from testing.prepared import prepared, refusal
from testing.project import ROOT
from testing.sweeps import until

PARTS, ROWS = 4, 50


def dvc(*words: str) -> None:
    subprocess.run([preloaded.python(), "-m", "dvc", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which data/big has been pushed, and is not here. Copy it."""
    folder = tmp_path_factory.mktemp("pushed")
    with contextlib.chdir(folder):
        subprocess.run(["git", "init", "--quiet"], check=True)
        dvc("init", "--quiet")
        dvc("remote", "add", "--default", "away", "remote")
        big = Path("data/big")
        big.mkdir(parents=True)
        for part in range(PARTS):
            rows = [f"{part * ROWS + row}.5,{row % 2}" for row in range(ROWS)]
            (big / f"part-{part}.csv").write_text("\n".join(["x,label", *rows, ""]))
        shutil.copytree("data", "whole")
        dvc("add", "data/big")
        dvc("push")
        shutil.rmtree(big)
        shutil.rmtree(".dvc/cache")
    return folder


@pytest.fixture
def place(pushed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """data/ of a repository in which data/big has been pushed, and is not here."""
    shutil.copytree(pushed, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("data")


@pytest.fixture
def s3(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The same with the remote in a real store of S3's."""
    port, folder = free_port(), tmp_path / "buckets"
    keys = {"AWS_ACCESS_KEY_ID": "a-tester", "AWS_SECRET_ACCESS_KEY": "a-long-secret"}
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    own = {"S3_HOST": "127.0.0.1", "S3_PORT": str(port), "S3_FOLDER": str(folder)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        ["sh", str(ROOT / "deploy/serve-s3")], env={**os.environ, **own, "PATH": path}
    )
    try:
        until(lambda: (folder / "dvc").is_dir())
        shutil.copytree("remote", folder / "dvc/far")
        dvc("remote", "add", "--force", "--default", "away", "s3://dvc/far")
        dvc("remote", "modify", "away", "endpointurl", f"http://127.0.0.1:{port}")
        until(lambda: answers(port))
        yield place
    finally:
        server.terminate()
        server.wait()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def on_the_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many of the parts lay on the disk, each time that one had come."""
    counts: list[int] = []
    bring, here = streamed._Store.bring, set[Path]()

    def counting(store: streamed._Store, name: str, folder: Path) -> Path:
        here.add(path := bring(store, name, folder))
        counts.append(sum(each.exists() for each in here))
        return path

    monkeypatch.setattr(streamed._Store, "bring", counting)
    yield counts


@pytest.mark.parametrize("file", ["big/part-*.csv", "big"])
def test_the_arrays_are_those_of_files_that_are_here_and_two_parts_lie_here_at_most(
    place: Path, file: str, on_the_disk: list[int]
) -> None:
    away = {name: np.array(array) for name, array in prepared(place, file).items()}
    here = prepared(Path("whole"), "big/part-*.csv")
    assert away.keys() == here.keys() and len(away) == 6
    assert all(np.array_equal(away[name], here[name]) for name in here)
    assert max(on_the_disk) == 2 and len(on_the_disk) >= 2 * (PARTS - 1) + 1
    assert not list(place.rglob("part-*"))


def test_a_store_of_s3_is_read_as_a_disk_is(s3: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    away = {name: np.array(array) for name, array in prepared(s3, "big/part-*.csv").items()}
    here = prepared(Path("whole"), "big/part-*.csv")
    assert all(np.array_equal(away[name], here[name]) for name in here)
    assert not list(s3.rglob("part-*"))


def test_a_key_that_the_store_does_not_know_is_one_line(
    s3: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    assert "not to be had from DVC's remote: " in refusal(s3, "big/part-*.csv")


def test_a_fault_in_a_part_names_its_row_and_one_that_has_other_columns_is_refused(
    place: Path,
) -> None:
    dvc("pull")
    for text, said in (
        ("x,label\n1,0\nmany,1\n", "part-2.csv: row 2 (line 3), column 'x': "),
        ("z,label\n1,0\n", "part-2.csv: no column 'x', which part-0.csv has"),
    ):
        Path("data/big").mkdir(exist_ok=True)
        (place / "big/part-2.csv").unlink(missing_ok=True)
        (place / "big/part-2.csv").write_text(text)
        dvc("add", "data/big")
        dvc("push")
        shutil.rmtree(place / "big")
        shutil.rmtree(".dvc/cache")
        assert said in refusal(place, "big/part-*.csv")
        dvc("pull")


def test_other_bytes_than_the_dvc_file_says_are_refused_and_so_is_what_is_nowhere(
    place: Path,
) -> None:
    stored = next(p for p in Path("remote").rglob("*") if p.is_file() and p.read_text()[0] == "x")
    stored.chmod(0o644)
    stored.write_text(stored.read_text().replace(".5", ".6"))
    assert "DVC's remote has md5 " in refusal(place, "big/part-*.csv")
    shutil.rmtree("remote")
    said = refusal(place, "big/part-*.csv")
    assert said.startswith("data/big: not here, and not to be had from DVC's remote: ")


def test_a_pattern_that_names_nothing_says_what_there_is(place: Path) -> None:
    said = refusal(place, "big/*.parquet")
    assert said.startswith("data/big/*.parquet: no such file; data/big.dvc names ")


def test_only_what_is_not_here_is_elsewhere(place: Path) -> None:
    assert folder_of(place, "big/part-*.csv") == folder_of(place, "big") == place / "big"
    assert folder_of(place, "other/*.csv") is None and folder_of(place, "*.csv") is None
    assert is_elsewhere(place, {"train": "x.csv", "val": None, "test": "big/part-3.csv"})
    (place / "big").mkdir()
    assert folder_of(place, "big/part-*.csv") is None and not is_elsewhere(place, None)
