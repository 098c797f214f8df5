"""Rows that no data should have: ids that are negative or too large, floats that are no numbers,
and edge values without an answer.

A receiver's data has them one day. Whether the trained model answers or refuses is written down,
for every format to do the same.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.data import arrays as prepared
from pipeline.data.on_disk import least_and_greatest
from pipeline.reference.source import Arrays, Source

FACTOR, BEYOND = 10, 1000
"""Of an id far too large; a much larger one could ask for all the memory there is, as one-hot."""


def record(
    source: Source,
    row: Arrays,
    training: Mapping[str, np.ndarray],
    left_out: Mapping[str, Arrays],
    path: Path,
) -> None:
    """Writes each question's name and row, and the answers, or what the model says instead."""
    asked = dict(_questions(row, training)) | {f"edge: {k}": v for k, v in left_out.items()}
    real = source.answers(row)
    given = {name: source.answers_or_refuses(inputs) for name, inputs in asked.items()}
    refusals = [each if isinstance(each, str) else "" for each in given.values()]
    answers = [real if isinstance(each, str) else each for each in given.values()]
    arrays = {"question": np.array(list(asked), np.str_), "refusal": np.array(refusals, np.str_)}
    for name in row if asked else ():
        arrays[f"input.{name}"] = np.concatenate([inputs[name] for inputs in asked.values()])
    for name in real if asked else ():
        arrays[f"output.{name}"] = np.concatenate([each[name] for each in answers])
    np.savez(path, **arrays)  # type: ignore[arg-type]


def _questions(row: Arrays, training: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Arrays]]:
    """Yields the row with one input changed, and what was done to it."""
    for name, array in row.items():
        if array.dtype.kind == "f" and array.size:
            odd = array.copy()
            odd.flat[0] = np.nan
            yield f"{name} has a NaN", row | {name: odd}
        if array.dtype.kind in "iu" and array.size:
            most = np.iinfo(array.dtype).max
            high = int(least_and_greatest(prepared.values(training[name]))[1].max())
            values = {
                "is -1": -1 if array.dtype.kind == "i" else None,
                "is one more than the greatest": high + 1,
                "is far too large": FACTOR * abs(high) + BEYOND,
            }
            for what, value in values.items():
                if value is not None and value <= most:
                    yield f"{name} {what}", row | {name: np.full_like(array, value)}
