"""A complete model's files on MLflow's server: each sent once, from the disk and not from memory;
or, by reference, only what tells what it is and where DVC has it."""

import contextlib
import json
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline import provenance
from pipeline.provenance.lineage import FOLDER
from pipeline.tracking import requests

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from tqdm import tqdm

REFERENCE = "reference.json"
DESCRIPTIONS = ("README.md", "formats.json", "metrics.json", "requirements.txt", "schema.json")
OPEN = Path("/proc/self/fd")
"""Linux' list of the files that this process has open."""
SHOWN = 0.2
"""Seconds between two looks at how far the file at hand has been read."""


def upload(client: "MlflowClient", model_id: str, directory: Path) -> None:
    """Uploads the files. One that the server has in full, since an earlier upload was cut short, is
    not sent again: the model's digest names its bytes, so that there only the size must be
    compared."""
    sizes = {name: (directory / name).stat().st_size for name in _names(directory)}
    has = dict(_listed(client, model_id))
    left = {name: size for name, size in sizes.items() if has.get(name) != size}
    with (
        requests.patience(requests.for_files(directory)),
        _bar(sum(sizes.values()), sum(sizes.values()) - sum(left.values())) as bar,
    ):
        for name, size in left.items():
            with _watched(directory / name, bar):
                _send(client, model_id, directory / name, name)
            bar.update(size)


def upload_reference(
    client: "MlflowClient", model_id: str, directory: Path, reference: dict[str, Any]
) -> None:
    """Uploads the card, the statements, and where the files are."""
    for name in _names(directory):
        if name in (*DESCRIPTIONS, provenance.NAME) or name.startswith(f"{FOLDER}/"):
            _send(client, model_id, directory / name, name)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / REFERENCE
        path.write_text(json.dumps(reference, indent=1) + "\n")
        _send(client, model_id, path, REFERENCE)


def _names(directory: Path) -> list[str]:
    return [*provenance.files(directory), provenance.NAME]


def _send(client: "MlflowClient", model_id: str, path: Path, name: str) -> None:
    folder = PurePosixPath(name).parent.as_posix()
    client.log_model_artifact(model_id, str(path), None if folder == "." else folder)


def _listed(
    client: "MlflowClient", model_id: str, folder: str | None = None
) -> Iterator[tuple[str, int | None]]:
    for entry in client.list_logged_model_artifacts(model_id, folder):
        if entry.is_dir:
            yield from _listed(client, model_id, entry.path)
        else:
            yield entry.path, entry.file_size


@contextlib.contextmanager
def _bar(total: int, done: int) -> "Iterator[tqdm[Any]]":
    """Yields a progress bar, which shows on a terminal only."""
    from tqdm import tqdm

    with tqdm(
        total=total,
        initial=done,
        unit="B",
        unit_scale=True,
        desc="upload",
        leave=False,
        disable=None,
    ) as bar:
        yield bar


@contextlib.contextmanager
def _watched(path: Path, bar: "tqdm[Any]") -> "Iterator[None]":
    """Shows how far a file has been read, for MLflow sends it whole and says nothing meanwhile."""
    if bar.disable or not OPEN.is_dir():
        yield
        return
    before, ended = bar.n, threading.Event()

    def watch() -> None:
        while not ended.wait(SHOWN):
            bar.n = before + _position(path)
            bar.refresh()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        bar.n = before


def _position(path: Path) -> int:
    """Returns how many bytes of the file this process has read; 0 when it has not opened it."""
    for descriptor in OPEN.iterdir():
        with contextlib.suppress(OSError):  # closed in the meantime
            if descriptor.samefile(path):
                lines = Path(f"/proc/self/fdinfo/{descriptor.name}").read_text()
                return int(lines.split(maxsplit=2)[1])
    return 0
