"""A metric's name is MLflow's too: it is looked at before the training, not when it is logged."""

import re
from collections.abc import Iterable

from pipeline.errors import ParamsError

LOGGABLE = re.compile(r"[\w -]+([:/][\w -]+)*")
"""What MLflow takes, but for the dot, which parts the names of params."""
TAKEN = ("loss", "epoch")
"""What the pipeline itself logs as val/<name> or test/<name>."""


def demand_loggable(name: str) -> None:
    """Raises ParamsError for a name that MLflow does not take, or that is in use."""
    if not LOGGABLE.fullmatch(name):
        raise ParamsError(
            f"train.metrics: found the name {name!r}, expected letters, digits, space, -, _, : and "
            "/, for MLflow takes no other, and a dot parts the names of params; rename it"
        )
    if name.lower() in TAKEN:
        raise ParamsError(
            f"train.metrics: found the name {name!r}, under which the pipeline itself logs "
            f"(val/loss, test/epoch), expected another; rename it"
        )


def demand_column(key: str, metric: str, metrics: Iterable[str]) -> None:
    """Raises ParamsError, which names `key`, for a metric that history.csv will not have."""
    columns = ["train/loss", "val/loss", *(f"val/{name}" for name in metrics)]
    if metric not in columns:
        raise ParamsError(f"{key}: found {metric!r}, expected one of {', '.join(columns)}")
