"""Asks the trained model everything that a check will want to know, and writes it down."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.files import write_atomically
from pipeline.reference import batches, influence, questions, rounding
from pipeline.reference.batches import Asked
from pipeline.reference.source import Source
from pipeline.sandbox.worker.perturbation import MOST_ROUNDING

NOTES = "notes.json"


def record(source: Source, data: Path, folder: Path, many: int) -> tuple[dict[str, Any], list[str]]:
    """Writes the reference into `folder`, but for the steps of training.

    Returns what schema.json says of it: the dtype and row shape of each output, and how far answers
    hang on rounding; and what a person should know.
    """
    folder.mkdir()
    asked = batches.record(source, data, folder, many)
    notes = [f"left out of the edge values: {note}" for note in asked["edge"].notes]
    if "wide" in asked:
        notes.append("the model answers all rows of the batch `many` alike")
    of_rounding = max(each.rounding for each in asked.values())
    notes += rounding.notes(of_rounding)
    allowed = min(of_rounding, MOST_ROUNDING)
    notes += influence.record(source, asked["seven"].inputs, folder / "influence.npz", allowed)
    training, _ = prepared.split(data, "train")
    one, left_out = asked["one"].inputs, asked["edge"].left_out
    questions.record(source, one, training, left_out, folder / "questions.npz")
    write_atomically(folder / NOTES, json.dumps(notes, indent=1) + "\n")
    schema = prepared.schema(data)
    described = {
        name: {"dtype": str(array.dtype), "shape": _row_shape(schema, asked, name)}
        for name, array in asked["one"].outputs.items()
    }
    return {"outputs": described, "rounding": allowed}, notes


def _row_shape(
    schema: dict[str, Any], asked: Mapping[str, Asked], output: str
) -> list[int | str | None]:
    """Returns the shape of a row of an output: a number where it is the same in every batch, the
    dimension that it follows, or None where it varies otherwise."""
    shapes = [each.outputs[output].shape[1:] for each in asked.values()]
    named = [_sizes(schema, each.inputs) for each in asked.values()]
    row: list[int | str | None] = []
    for seen in zip(*shapes, strict=True):
        fitting = [n for n in named[0] if [sizes[n] for sizes in named] == list(seen)]
        row.append(seen[0] if len(set(seen)) == 1 else next(iter(fitting), None))
    return row


def _sizes(schema: dict[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Returns the size of each dimension in a batch."""
    return {
        size: inputs[name].shape[axis]
        for name in inputs
        for axis, size in enumerate(schema["inputs"][name]["shape"], 1)
        if isinstance(size, str)
    }
