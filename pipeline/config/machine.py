"""`auto` as train.threads is written as the number that it stands for where it is composed: only
numbers reach params.yaml, so that the same threads are set everywhere."""

import os
from typing import Any


def with_its_threads(values: dict[str, Any]) -> dict[str, Any]:
    """Returns the sections with this machine's number of processors as train.threads, if that is
    auto."""
    train = values.get("train")
    if not isinstance(train, dict) or train.get("threads") != "auto":
        return values
    return values | {"train": train | {"threads": processors()}}


def processors() -> int:
    """Returns those that this process may use, as `nproc` does."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
