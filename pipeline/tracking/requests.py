"""Requests to MLflow: how long they may take, and what several machines' at once may meet."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"

# What the user has set stays. MLflow's own 7 retries of 120 s, and a Retry-After of any length, are
# minutes a call; these are at most 36 s until a stage knows that nobody answers.
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    RETRIES: "2",
    TIMEOUT: "10",
}

BUFFERED, SENT, STORED = 8 << 20, 1 << 18, 1 << 24
"""Bytes of an upload that the system takes at once; bytes a second that are then sent at least, and
that a server stores at least before it answers."""

GONE = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST")
"""How MLflow refuses what is done to a run, a logged model or a version that was deleted."""

CLASH = re.compile("UNIQUE constraint failed|duplicate key value|INSERT INTO datasets")
"""What sqlite and PostgreSQL say of a row that is there already."""


@contextlib.contextmanager
def patience(seconds: int, retries: int | None = None) -> Iterator[None]:
    """Sets timeout and retries of the requests made meanwhile."""
    changes = {TIMEOUT: str(seconds)} | ({} if retries is None else {RETRIES: str(retries)})
    before = {name: os.environ[name] for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        os.environ.update(before)


def for_files(directory: Path) -> int:
    """Returns the seconds without an answer that the upload of the largest of these files may take.
    While it is being sent there is no limit in all: the timeout is one of each block of 16 kB."""
    largest = max((p.stat().st_size for p in directory.rglob("*") if p.is_file()), default=0)
    return int(os.environ[TIMEOUT]) + min(largest, BUFFERED) // SENT + largest // STORED


def retry_on_clash(request: Callable[[], object]) -> None:
    """Repeats a request that met another one's row: of several that insert the same row at once the
    database lets one, and the others find it there a moment later."""
    from mlflow.exceptions import MlflowException

    for left in (3, 2, 1, 0):
        try:
            request()
            return
        except MlflowException as error:
            if not left or CLASH.search(str(error)) is None:
                raise


@contextlib.contextmanager
def gone_is_fine() -> Iterator[None]:
    """Passes over MLflow's saying that what is to be removed is gone: another machine was
    faster."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in GONE:
            raise
