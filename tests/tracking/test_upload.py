"""What an upload reads, shows and keeps in memory; a real server, real files."""

import io
import subprocess
import sys
import time
from pathlib import Path

from tqdm import tqdm

from faults._server import serving
from pipeline.tracking.upload import OPEN, _watched
from testing.project import ROOT

SIZE = 256 << 20
MEASURED = """
import pathlib, resource, sys
from pipeline import provenance
from pipeline.tracking import store as mlflow_store
from pipeline.tracking.upload import upload

def read():
    return int(pathlib.Path("/proc/self/io").read_text().split()[1])

uri, directory = sys.argv[1], pathlib.Path(sys.argv[2])
store = mlflow_store.Store(uri=uri, artifacts=None, lock=directory.with_name("lock"))
with mlflow_store.opened(store) as client:
    model = client.create_logged_model(client.create_experiment("upload"), name="large")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        start = read()
        upload(client, model.model_id, directory)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        print(read() - start, grown * 1024)
"""


def test_a_large_file_is_read_once_and_never_held_in_memory(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with (tmp_path / "model/model.pt2").open("wb") as file:
        file.truncate(SIZE)
    (tmp_path / "model/provenance.json").write_text("{}")
    with serving(tmp_path / "server") as server:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, f"http://127.0.0.1:{server.port}", tmp_path / "model"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        sent = [path.stat().st_size for path in server.files.rglob("model.pt2")]
    assert done.returncode == 0, done.stderr
    (read, grown), (again, _) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert sent == [SIZE]
    assert SIZE <= read < 1.1 * SIZE and grown < SIZE / 8
    assert again < SIZE / 100


def test_the_bar_follows_the_file_that_is_being_read(tmp_path: Path) -> None:
    assert OPEN.is_dir(), "Linux alone tells how far a file was read"
    path = tmp_path / "model.pt2"
    path.write_bytes(bytes(1000))
    with tqdm(total=3000, initial=500, file=io.StringIO()) as bar:
        with _watched(path, bar), path.open("rb", buffering=0) as file:
            file.read(600)
            until = time.monotonic() + 30
            while bar.n != 1100 and time.monotonic() < until:
                time.sleep(0.05)
            assert bar.n == 1100
        assert bar.n == 500, "the file counts when it was sent"
