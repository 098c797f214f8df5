"""Triton looks for a folder a model with config.pbtxt, and numbered ones in it; an ONNX file whose
weights lie in others stands with them in a folder `model.onnx`."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.formats import declared
from pipeline.runtimes.onnx_files import weight_files

FORMAT = "onnx"
TYPES = {
    "bool": "TYPE_BOOL",
    "string": "TYPE_STRING",
    "bfloat16": "TYPE_BF16",
    **{f"float{bits}": f"TYPE_FP{bits}" for bits in (16, 32, 64)},
    **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
}


def files(
    complete_model: Path, schema: Mapping[str, Any], name: str, version: int, batch: int
) -> Mapping[str, Path | str]:
    file = declared(FORMAT).file
    beside = weight_files(complete_model)
    folder = f"{name}/{version}/{file}" if beside else f"{name}/{version}"
    linked = {f"{folder}/{each}": complete_model / each for each in (file, *beside)}
    return {f"{name}/config.pbtxt": config(schema, name, batch), **linked}


def start(folder: Path, name: str) -> str:
    return f"tritonserver --model-repository={folder.resolve()}"


def config(schema: Mapping[str, Any], name: str, batch: int) -> str:
    """Returns config.pbtxt: rows are the first dimension, and one that Triton itself joins requests
    along if it may join any."""
    lines = [f"name: {json.dumps(name)}", 'backend: "onnxruntime"', f"max_batch_size: {batch}"]
    for side in ("input", "output"):
        for port, entry in schema[f"{side}s"].items():
            lines += [f"{side} {{", *_port(port, entry, batch), "}"]
    return "\n".join([*lines, *(["dynamic_batching { }"] if batch else []), ""])


def _port(name: str, entry: Mapping[str, Any], batch: int) -> Iterator[str]:
    if entry["dtype"] not in TYPES:
        raise ValueError(f"{name} is {entry['dtype']}, expected one of {', '.join(TYPES)}")
    sizes = [size if isinstance(size, int) else -1 for size in entry["shape"]]
    yield f"  name: {json.dumps(name, ensure_ascii=False)}"
    yield f"  data_type: {TYPES[entry['dtype']]}"
    if batch and not sizes:  # Triton takes no empty dims
        yield "  dims: [ 1 ]"
        yield "  reshape { shape: [ ] }"
    else:
        yield f"  dims: {sizes if batch else [-1, *sizes]}"
