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
    """Returns a schema with its targets by name; of those from before there was one, without."""
    if "target" not in schema:
        return schema
    only = {"shape": [], "labels": None} | schema["target"]
    return {k: v for k, v in schema.items() if k != "target"} | {"targets": {"target": only}}


def split(directory: Path, name: str) -> tuple[Arrays, Arrays]:
    """Returns the inputs, in the order of the model's call, and the targets; rows first."""
    described = schema(directory)

    def read(kind: str) -> Arrays:
        folder = directory / name / kind
        return {key: open_rows(folder / f"{key}.npy") for key in described[kind]}

    return read("inputs"), read("targets")


def rows_of(arrays: Mapping[str, np.ndarray], rows: Any) -> Arrays:
    """Returns these rows of each, in memory."""
    return {name: np.array(array[rows]) for name, array in arrays.items()}


def count(arrays: Mapping[str, np.ndarray]) -> int:
    """Returns how many rows they have."""
    return len(next(iter(arrays.values())))
