"""The program: check.c, onnxruntime.h with what it calls, and model.h with the graph's names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.runtimes import _compiler, _files
from pipeline.runtimes.contract import NotHere, Place

NAME = "onnx_c"
build, run = _compiler.build, _compiler.run
HERE = Path(__file__).with_name("program")
LIBRARY = "capi/libonnxruntime.so.*"


def find() -> Place:
    place = _compiler.find("cc", "onnxruntime", "ONNXRUNTIME")
    folder = Path(place.environment["ONNXRUNTIME"])
    if not any(folder.glob(LIBRARY)):
        raise NotHere(
            f"found no {LIBRARY} in {folder}, expected that of a wheel for Linux; install it: "
            "pip install onnxruntime"
        )
    return place


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    _compiler.refuse_text_answers(NAME, schema)
    shared = _files.of(NAME, schema, HERE, _compiler.SHARED)
    return {**shared, "model.h": _compiler.ports(schema["inputs"], schema["outputs"])}


def card(directory: Path) -> str:
    return f"make -C runtimes/{NAME}"
