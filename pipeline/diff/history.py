"""The trainings of two artifacts, epoch by epoch, as far as their histories are at hand."""

import csv
from pathlib import Path
from typing import Any

from pipeline.diff.side import Side
from pipeline.project import EXPORT_COMPLETE
from pipeline.training.history import HISTORY, read_curves
from pipeline.untrusted import documents, limits

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError, csv.Error)
"""What reading a history or a schema raises that somebody else wrote."""

HOLDING = ("checkpoint", "train")
"""Stages that hand on the history; the checkpoint of older ones does not."""
SCHEMA = "schema.json"


def compare(a: Side, b: Side) -> dict[str, Any]:
    """Gives of each side its `curves` and the `epoch` that was chosen (None where that is not
    known), or None where its history is not here; `unsaid` says why."""
    report: dict[str, Any] = {"unsaid": []}
    for side in (a, b):
        nodes = [side.chain[stage] for stage in HOLDING if stage in side.chain]
        holding = [node for node in nodes if HISTORY in node.subject]
        files = [file for node in holding if (file := side.file(node, HISTORY))]
        report[side.name.lower()] = None
        try:
            if files:
                epoch = _epoch(side)
                report[side.name.lower()] = {"curves": _curves(files[0]), "epoch": epoch}
        except UNREADABLE as fault:
            why = " ".join(str(fault).split())[:200]
            report["unsaid"].append(f"{side.name}: the history of its training: {why}")
        if holding and not files:
            why = "is neither here nor in DVC's cache; `dvc pull` gets what the remote has"
            report["unsaid"].append(f"{side.name}: the history of its training {why}")
    return report


def _curves(file: Path) -> dict[str, list[tuple[int, float]]]:
    """Raises one of UNREADABLE."""
    if file.stat().st_size > limits.LISTING:
        raise ValueError(f"{file}: holds more than {limits.LISTING} bytes")
    return read_curves(file)


def _epoch(side: Side) -> int | None:
    """Returns the epoch that the complete model or its checkpoint is of. Raises one of
    UNREADABLE."""
    for stage in (EXPORT_COMPLETE, "checkpoint"):
        node = side.chain.get(stage)
        file = side.file(node, SCHEMA) if node else None
        if file:
            return int(documents.read_json(file, limits.TEXT)["epoch"])
    return None
