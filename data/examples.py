"""Rows that are made up of the declared shapes alone, where no data are at hand: they show that an
export answers as its model does, and nothing of how good the model is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

Entry = Mapping[str, Any]


def rows(
    inputs: Mapping[str, Entry],
    targets: Mapping[str, Entry],
    dimensions: Mapping[str, Mapping[str, int]],
    count: int,
    seed: int,
    below: int = 2,
    ranges: Mapping[str, Sequence[float]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Yields a value for each input and target that the section data declares: normal numbers,
    whole ones from 0 to under `below`, classes in turn; rows of each length that is allowed.

    `ranges` has a least value and one that none reaches for some by name: numbers are even then.

    Raises ValueError where a source is not one name.
    """
    generator = np.random.default_rng(seed)
    entries = [*inputs.items(), *targets.items()]
    sources = {
        name: entry["source"]
        for name, entry in entries
        if not str(entry["source"]).startswith("mask of ")
    }
    for name, source in sources.items():
        if not isinstance(source, str) or "{" in source:
            raise ValueError(f"{name}: found the source {source}, expected one name")
    for number in range(count):
        sizes = {
            name: bounds["least"] + number % (bounds["most"] - bounds["least"] + 1)
            for name, bounds in dimensions.items()
        }
        yield {
            entry["source"]: _value(
                generator, entry, number, sizes, (ranges or {}).get(name), below
            )
            for name, entry in entries
            if name in sources
        }


def _value(
    generator: np.random.Generator,
    entry: Entry,
    number: int,
    sizes: Mapping[str, int],
    between: Sequence[float] | None,
    below: int,
) -> Any:
    shape = [sizes[size] if isinstance(size, str) else size for size in entry.get("shape") or []]
    dtype, classes = entry.get("dtype") or "float32", entry.get("classes")
    if classes is not None:
        names = list(range(classes)) if isinstance(classes, int) else list(classes)
        places = number + np.arange(np.prod(shape, dtype=int))
        return np.array([names[place % len(names)] for place in places]).reshape(shape)
    if dtype == "string" or entry.get("tokenizer"):
        return f"example {number}"
    if dtype == "float32" or np.dtype(dtype).kind == "f":
        return generator.uniform(*between, shape) if between else generator.standard_normal(shape)
    return generator.integers(*(between or (0, below)), shape)
