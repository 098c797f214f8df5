"""Asks the trained model everything that a check will want to know, and writes it down."""

import json
from pathlib import Path
from typing import Any

from pipeline.data import arrays as prepared
from pipeline.files import write_atomically
from pipeline.reference import batches, influence, questions
from pipeline.reference.source import Source

NOTES = "notes.json"


def record(source: Source, data: Path, folder: Path, many: int) -> tuple[dict[str, Any], list[str]]:
    """Writes the reference into `folder`, but for the steps of training.

    Returns the dtype and row shape of each output, and what a person should know.
    """
    folder.mkdir()
    asked = batches.record(source, data, folder, many)
    notes = [f"left out of the edge values: {note}" for note in asked["edge"].notes]
    if "wide" in asked:
        notes.append("the model answers all rows of the batch `many` alike")
    notes += influence.record(source, asked["seven"].inputs, folder / "influence.npz")
    training, _ = prepared.split(data, "train")
    one, left_out = asked["one"].inputs, asked["edge"].left_out
    questions.record(source, one, training, left_out, folder / "questions.npz")
    write_atomically(folder / NOTES, json.dumps(notes, indent=1) + "\n")
    described = {
        name: {"dtype": str(array.dtype), "shape": list(array.shape[1:])}
        for name, array in asked["one"].outputs.items()
    }
    return described, notes
