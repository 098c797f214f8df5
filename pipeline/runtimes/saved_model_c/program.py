"""The program: check.c, and model.h with the names of the graph's tensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.formats.saved_model.tensors import tensors
from pipeline.runtimes import _compiler, _files
from pipeline.runtimes.contract import Place

NAME = "saved_model_c"
build, run = _compiler.build, _compiler.run
HERE = Path(__file__).with_name("program")
LIBRARY = "tensorflow"


def find() -> Place:
    return _compiler.find("cc", LIBRARY, "TENSORFLOW")


def files(directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
    _files.demand_types(NAME, schema)
    _compiler.refuse_text_answers(NAME, schema)
    described = zip(("INPUTS", "OUTPUTS"), ("inputs", "outputs"), tensors(directory), strict=True)
    tables = [_table(word, list(schema[side]), named) for word, side, named in described]
    return {
        **_files.of(NAME, schema, HERE, _compiler.SHARED),
        "model.h": "\n".join([HEAD, *tables]),
    }


HEAD = """// What the graph calls the model's inputs and outputs.
typedef struct {
  const char *name, *operation;
  int index;
} Port;
"""


def _table(word: str, names: list[str], tensors: Mapping[str, str]) -> str:
    """Raises ValueError for a name that the signature lacks, or that is no text of C's."""
    rows = []
    for name in names:
        operation, _, index = tensors.get(name, "").rpartition(":")
        if not operation or not index.isdigit():
            raise ValueError(f"{NAME}: what SavedModel serves has no {name}")
        rows.append(f"  {{{_compiler.quoted(name)}, {_compiler.quoted(operation)}, {index}}},\n")
    return f"static const Port {word}[] = {{\n{''.join(rows)}}};\n"


def card(directory: Path) -> str:
    return f"make -C runtimes/{NAME}"
