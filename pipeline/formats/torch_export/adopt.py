"""Takes in a program that torch.export.save wrote elsewhere: its graph and its raw tensors."""

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._copying import copy_part
from .._patching import load_patched
from .._zip import Span
from ..contract import Arrays
from ..programs import Program
from ._names import FILE, MODEL, SIGNATURE
from .foreign import Archive, Graph, brought_home
from .screen import screen

if TYPE_CHECKING:
    from torch import nn

ALIGNED, LOCAL_HEADER, FIELD_HEADER = 64, 30, 4
PADDING = b"FB"
"""The kind of a header's field that torch pads with, so that tensors can be mapped."""
COPIED = ("archive_format", "archive_version", "byteorder", ".data/version")
SMALL = 100  # bytes
LAID_OUT = (KeyError, TypeError, AttributeError, IndexError, ValueError)


def describe(path: Path) -> Program:
    """Reads signature and graph; see programs.Adopter."""
    archive, graph = _read(path)
    devices = brought_home(graph.content) | brought_home(archive.payloads("weights"))
    notes = []
    if devices:
        notes.append(f"was exported for {', '.join(sorted(devices))}; brought to the CPU")
    if archive.left_out:
        notes.append(f"programs left out: {', '.join(archive.left_out)}")
    version = graph.content.get("torch_version")
    return Program(
        inputs=graph.inputs(),
        outputs=graph.outputs(),
        versions={"torch": str(version)} if version else {},
        notes=tuple(notes),
    )


def _read(path: Path) -> tuple[Archive, Graph]:
    """Returns both. Raises ValueError for a layout that is not torch's, and for a program that was
    exported in training mode."""
    try:
        archive = Archive(path)
        graph = archive.program()
        graph.inputs(), graph.outputs()
        changed = graph.in_training_mode()
    except LAID_OUT as error:
        if type(error) is ValueError:
            raise ValueError(str(error).removeprefix(f"{path}: ")) from error
        kind = type(error).__name__
        raise ValueError(f"not laid out as torch writes it ({kind}: {error})") from error
    if changed:
        raise ValueError(
            f"was exported in training mode, as {changed[0]} shows; export it again after "
            "model.eval()"
        )
    return archive, graph


def adopt(
    path: Path, directory: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Writes the archive anew with what a program needs, and screens it; see programs.Adopter."""
    archive, graph = _read(path)
    taken = {theirs: own for own, theirs in inputs.items()}
    target = directory / FILE
    try:
        signature = {"inputs": [taken[name] for name in graph.inputs()], "outputs": list(outputs)}
        graph.keep(outputs.values())
        brought_home(graph.content)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as written:
            _write(written, archive, graph, signature)
        screen(directory)
    except LAID_OUT as error:
        target.unlink(missing_ok=True)
        raise ValueError(str(error).replace(str(target), "the program")) from error


def load_with(directory: Path, weights: Mapping[str, np.ndarray]) -> Callable[[Arrays], Arrays]:
    """Returns what `load` does, of the program with these weights; see programs.Adopter."""
    from . import load

    return load_patched(load.load, directory, load.weights(directory), weights)


def predictor(directory: Path) -> "nn.Module":
    """Returns the program as a module in evaluation mode."""
    import torch

    screen(directory)
    module = torch.export.load(directory / FILE).module()
    for each in module.modules():
        each.training = False  # baked in; eval() of an exported program raises
    return module


def _write(
    written: zipfile.ZipFile, archive: Archive, graph: Graph, signature: dict[str, list[str]]
) -> None:
    for folder in ("weights", "constants"):
        config = archive.payloads(folder)
        brought_home(config)
        for payload in dict.fromkeys(each["path_name"] for each in config["config"].values()):
            _copy(written, archive, f"data/{folder}/{payload}")
        _add(written, f"data/{folder}/{MODEL}_{folder}_config.json", _text(config))
    _add(written, f"models/{MODEL}.json", _text(graph.content))
    _add(written, f"data/sample_inputs/{MODEL}.pt", b"")
    _add(written, f"extra/{SIGNATURE}", _text(signature))
    for name in COPIED:
        if archive.spans[f"{archive.root}/{name}"][1] > SMALL:
            raise ValueError(f"{name} holds more than a word; do not load it")
        _copy(written, archive, name)


def _text(content: Any) -> bytes:
    return json.dumps(content).encode()


def _add(written: zipfile.ZipFile, member: str, content: bytes) -> None:
    info = _info(written, member)
    written.writestr(info, content)
    info.extra = b""  # the table's entry has no padding


def _copy(written: zipfile.ZipFile, archive: Archive, member: str) -> None:
    start, size = _span(archive, member)
    info = _info(written, member)
    info.file_size = size
    with written.open(info, "w") as target:
        copy_part(archive.path, start, size, target)
    info.extra = b""


def _span(archive: Archive, member: str) -> Span:
    name = f"{archive.root}/{member}"
    if name not in archive.spans:
        raise ValueError(f"lacks {member}, which its table names")
    return archive.spans[name]


def _info(written: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    """Returns a header after which data begin at a multiple of ALIGNED."""
    info = zipfile.ZipInfo(f"{FILE.partition('.')[0]}/{member}")
    assert written.fp is not None
    behind = written.fp.tell() + LOCAL_HEADER + len(info.filename) + FIELD_HEADER
    size = -behind % ALIGNED
    info.extra = PADDING + size.to_bytes(2, "little") + b"Z" * size
    return info
