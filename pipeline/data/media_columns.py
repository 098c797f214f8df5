"""An input or a target with `image` or `audio` is a column of the arrays that its files hold."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.config.data_params import Data, Dimension, Input, Target
from pipeline.data import columns
from pipeline.data.media import Bounds, Decode, Place, audio, image
from pipeline.data.media.column import Column
from pipeline.errors import ParamsError

Entry = TypeVar("Entry", Input, Target)


def declared(data: Path, config: Data) -> tuple[dict[str, Column], Data]:
    """Returns the columns that are decoded, and the configuration that names them as sources."""
    decoded: dict[str, Column] = {}
    inputs = _renamed(data, "inputs", config.inputs, config.dimensions, decoded)
    targets = _renamed(data, "targets", config.targets, config.dimensions, decoded)
    return decoded, replace(config, inputs=inputs, targets=targets)


def _renamed(
    data: Path,
    section: str,
    entries: Mapping[str, Entry],
    dimensions: Mapping[str, Dimension],
    decoded: dict[str, Column],
) -> dict[str, Entry]:
    renamed = dict(entries)
    for name, entry in entries.items():
        key = f"data.{section}.{name}"
        bounds = tuple(_bounds(size, dimensions) for size in entry.shape)
        if (place_and_decode := _decoder(data, entry, bounds, key)) is None:
            continue
        place, decode = place_and_decode
        sources = columns.names(entry.source)
        if len(sources) != 1:
            problem = f"found {len(sources)} columns, expected the one that names the files"
            raise ParamsError(f"{key}.source: {problem}")
        column = f"{sources[0]} as {name}"
        width = math.prod(most for _, most in bounds) * np.dtype(_dtype(entry)).itemsize
        shape = tuple(None if isinstance(size, str) else size for size in entry.shape)
        decoded[column] = Column(
            source=sources[0], place=place, decode=decode, shape=shape, bytes=width
        )
        renamed[name] = replace(entry, source=column)
    return renamed


def _bounds(size: int | str, dimensions: Mapping[str, Dimension]) -> Bounds:
    if isinstance(size, int):
        return size, size
    return dimensions[size].least, dimensions[size].most


def _decoder(
    data: Path, entry: Input | Target, bounds: tuple[Bounds, ...], key: str
) -> tuple[Place, Decode] | None:
    if entry.image is not None and entry.audio is not None:
        raise ParamsError(f"{key}: found image and audio, expected one of them")
    if entry.image is not None:
        decode = image.decoder(entry.image, bounds, _dtype(entry), key)
        return Place(data, entry.image.folder, entry.image.suffix), decode
    if entry.audio is not None:
        decode = audio.decoder(entry.audio, bounds, _dtype(entry), key)
        return Place(data, entry.audio.folder, entry.audio.suffix), decode
    return None


def _dtype(entry: Input | Target) -> str:
    """Returns what the array is declared as; a target's may follow from its classes."""
    if isinstance(entry, Target):
        return columns.target_array(entry).dtype
    return entry.dtype
