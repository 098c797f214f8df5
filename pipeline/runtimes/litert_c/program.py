"""The program: check.c, litert.h with what it calls, and model.h with what goes in and out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.formats.litert.tensors import signature
from pipeline.runtimes import _compiler, _files
from pipeline.runtimes.contract import NotHere, Place

NAME = "litert_c"
build, run = _compiler.build, _compiler.run
HERE = Path(__file__).with_name("program")
VERSION = "2.3.0"
"""Of ai-edge-litert, whose functions litert.h declares; pyproject.toml names it, too."""
PACKAGE = f"ai-edge-litert=={VERSION}"
INSTALL = f"pip install {PACKAGE}"
MOST_AXES = 8


def find() -> Place:
    place = _compiler.find("cc", "ai_edge_litert", "LITERT", INSTALL)
    named = Path(place.environment["LITERT"], "__init__.py")
    version = re.match(r'__version__ = "(.*)"', named.read_text() if named.is_file() else "")
    if version is None or version[1] != VERSION:
        raise NotHere(
            f"found ai-edge-litert {version[1] if version else 'of no version'}, expected "
            f"{VERSION}, whose functions its program calls; install it: {INSTALL}"
        )
    return place


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    _compiler.refuse_text_answers(NAME, schema)
    inputs, outputs = signature(directory)
    _demand_same("inputs", inputs, schema["inputs"])
    _demand_same("outputs", outputs, schema["outputs"])
    given = {name: schema["inputs"][name]["shape"] for name in inputs}
    tables = [
        _table("INPUTS", ([name, dtype, ""] for name, dtype in inputs.items())),
        _table("OUTPUTS", _outputs(outputs, schema["outputs"], given)),
    ]
    shared = _files.of(NAME, schema, HERE, _compiler.SHARED, VERSION=VERSION)
    return {**shared, "model.h": "\n".join([HEAD, *tables])}


HEAD = f"""// What the model takes and gives, in its graph's order.
typedef struct {{
  int fixed, input, axis;  // so many, or as many as this input has along this axis
}} Size;

typedef struct {{
  const char *name, *kind;
  int rank;
  Size sizes[{MOST_AXES}];
}} Port;
"""


def _demand_same(side: str, dtypes: Mapping[str, str], described: Mapping[str, Any]) -> None:
    expected = {name: entry["dtype"] for name, entry in described.items()}
    if dict(dtypes) != expected:
        raise ValueError(f"{NAME}: found {side} {dtypes} in model.tflite, expected {expected}")


def _table(word: str, ports: Iterator[list[str]]) -> str:
    rows = "".join(
        f"  {{{_compiler.quoted(name)}, {_compiler.quoted(_kind(dtype))}{sizes}}},\n"
        for name, dtype, sizes in ports
    )
    return f"static const Port {word}[] = {{\n{rows}}};\n"


def _kind(dtype: str) -> str:
    """Returns a dtype as numpy's files have it, without the order of bytes and a text's length."""
    return "U" if dtype == "string" else np.dtype(dtype).str[1:]


def _outputs(
    dtypes: Mapping[str, str], described: Mapping[str, Any], given: Mapping[str, list[Any]]
) -> Iterator[list[str]]:
    """Yields what the table has of each output: LiteRT writes an answer before it says how large
    the answer is, so that its size must follow from what goes in.

    Raises ValueError where it does not."""
    for name, dtype in dtypes.items():
        shape = described[name]["shape"]
        if len(shape) >= MOST_AXES:
            raise ValueError(f"{NAME}: outputs {name} has over {MOST_AXES} axes with its rows")
        sizes = ["{0, 0, 0}", *(_size(name, size, given) for size in shape)]
        yield [name, dtype, f", {len(sizes)}, {{{', '.join(sizes)}}}"]


def _size(name: str, size: int | str | None, given: Mapping[str, list[Any]]) -> str:
    if isinstance(size, int):
        return f"{{{size}}}"
    for number, shape in enumerate(given.values()):
        if size is not None and size in shape:
            return f"{{0, {number}, {1 + shape.index(size)}}}"
    raise ValueError(
        f"{NAME}: outputs {name} has a size that is none of an input's, which LiteRT says only "
        "when it has written the answer"
    )


def card(directory: Path) -> str:
    return f"make -C runtimes/{NAME}"
