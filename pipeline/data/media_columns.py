"""An input or a target with `image` or `audio` is a column of the arrays that its files hold."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline.config.data_params import Data, Input, Target
from pipeline.data import columns
from pipeline.data.media import Decode, Place, audio, image
from pipeline.data.media.column import Column
from pipeline.errors import ParamsError

Entry = TypeVar("Entry", Input, Target)


def declared(data: Path, config: Data) -> tuple[dict[str, Column], Data]:
    """Returns the columns that are decoded, and the configuration that names them as sources."""
    decoded: dict[str, Column] = {}
    inputs = _renamed(data, "inputs", config.inputs, decoded)
    targets = _renamed(data, "targets", config.targets, decoded)
    return decoded, replace(config, inputs=inputs, targets=targets)


def _renamed(
    data: Path, section: str, entries: Mapping[str, Entry], decoded: dict[str, Column]
) -> dict[str, Entry]:
    renamed = dict(entries)
    for name, entry in entries.items():
        key = f"data.{section}.{name}"
        if (place_and_decode := _decoder(data, entry, key)) is None:
            continue
        place, decode = place_and_decode
        sources = columns.names(entry.source)
        if len(sources) != 1:
            found = f"found {len(sources)} columns, expected the one that names the files"
            raise ParamsError(f"{key}.source: {found}")
        column = f"{sources[0]} as {name}"
        shape = columns.sizes(entry.shape)
        width = math.prod(shape) * np.dtype(_dtype(entry)).itemsize
        decoded[column] = Column(
            source=sources[0], place=place, decode=decode, shape=shape, bytes=width
        )
        renamed[name] = replace(entry, source=column)
    return renamed


def _decoder(data: Path, entry: Input | Target, key: str) -> tuple[Place, Decode] | None:
    if entry.image is not None and entry.audio is not None:
        raise ParamsError(f"{key}: found image and audio, expected one of them")
    shape = columns.sizes(entry.shape)
    if entry.dimension is not None and (entry.image or entry.audio):
        raise ParamsError(f"{key}.shape: found {entry.dimension!r}, expected the size to decode to")
    if entry.image is not None:
        decode = image.decoder(entry.image, shape, _dtype(entry), key)
        return Place(data, entry.image.folder, entry.image.suffix), decode
    if entry.audio is not None:
        decode = audio.decoder(entry.audio, shape, _dtype(entry), key)
        return Place(data, entry.audio.folder, entry.audio.suffix), decode
    return None


def _dtype(entry: Input | Target) -> str:
    """Returns what the array is declared as; a target's may follow from its classes."""
    if isinstance(entry, Target):
        return columns.target_array(entry).dtype
    return entry.dtype
