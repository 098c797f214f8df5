"""A run is told by its artifacts, and by what the process that logged it knew of itself."""

import contextlib
import getpass
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Details:
    """What no artifact says; reports/mlflow.json has it, so that a run can be made again."""

    start_time: int | None = None
    """Milliseconds since 1970; null is now."""
    end_time: int | None = None
    tags: Mapping[str, str]
    """Those in PROCESS_TAGS that are known."""


PROCESS_TAGS = ("host", "mlflow.user", "dvc.exp.name")


def process_details() -> Details:
    """Returns what this process knows of itself, now."""
    tags = {"host": socket.gethostname()}
    with contextlib.suppress(KeyError, OSError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    if "DVC_EXP_NAME" in os.environ:
        tags["dvc.exp.name"] = os.environ["DVC_EXP_NAME"]
    return Details(tags=tags)
