"""The output of `prepare` is read row by row, or a few rows at a time: memory holds no split."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.on_disk import open_rows

Arrays = dict[str, np.ndarray]


def schema(directory: Path) -> dict[str, Any]:
    """Returns inputs and targets by name with dtype and row shape, and the rows of each split."""
    content: dict[str, Any] = json.loads((directory / "schema.json").read_text())
    return by_name(content)


def by_name(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns a schema with its targets by name; of those from before there was one, without, that
    the first output answered."""
    if "target" not in schema:
        return schema
    only = {"shape": [], "labels": None} | schema["target"]
    named = {k: v for k, v in schema.items() if k != "target"} | {"targets": {"target": only}}
    if "outputs" in schema:
        classes, threshold = only["classes"], schema.get("threshold")
        kind = "value" if classes is None else "argmax" if threshold is None else "threshold"
        answer = {"output": next(iter(schema["outputs"])), "target": "target", "kind": kind}
        named["predictions"] = answer | {"classes": classes, "axis": 1, "threshold": threshold}
    return named


def split(directory: Path, name: str) -> tuple[Arrays, Arrays]:
    """Returns the inputs, in the order of the model's call, and the targets; rows first."""
    described = schema(directory)
    older = directory / name / "target.npy"

    def read(kind: str) -> Arrays:
        folder = directory / name / kind
        return {key: open_rows(folder / f"{key}.npy") for key in described[kind]}

    if older.is_file():  # from before targets had names
        return read("inputs"), {"target": np.load(older, mmap_mode="r")}
    return read("inputs"), read("targets")


def rows_of(arrays: Mapping[str, np.ndarray], rows: Any) -> Arrays:
    """Returns these rows of each, in memory."""
    return {name: np.array(array[rows]) for name, array in arrays.items()}


def count(arrays: Mapping[str, np.ndarray]) -> int:
    """Returns how many rows they have."""
    return len(next(iter(arrays.values())))
