"""A run is told by its artifacts, and by what the process that logged it knew of itself."""

import contextlib
import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.run.made_here import Training


@dataclass(frozen=True, kw_only=True)
class Details:
    """What no artifact says; reports/mlflow.json has it, so that a run can be made again."""

    start_time: int | None = None
    """Milliseconds since 1970; null is now."""
    end_time: int | None = None
    run_name: str | None = None
    """That of a run that is made again; null is the content's own."""
    tags: Mapping[str, str]
    """Those in PROCESS_TAGS that are known."""


PROCESS_TAGS = ("host", "mlflow.user", "dvc.exp.name")


def process_details(training: Training | None = None) -> Details:
    """Returns what this process knows of itself, now. The run is of the time of the training, where
    that is known: logging takes a second or two, whatever was trained."""
    tags = {"host": socket.gethostname()}
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    if "DVC_EXP_NAME" in os.environ:
        tags["dvc.exp.name"] = os.environ["DVC_EXP_NAME"]
    if training is None:
        return Details(tags=tags)
    return Details(start_time=training.began, end_time=training.ended, tags=tags)
