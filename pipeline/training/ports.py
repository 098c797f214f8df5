"""Inputs and outputs of a program that was made elsewhere, and those of data and parameters."""

import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import ModelError, ParamsError
from pipeline.formats.programs import Port, Program

POSITIONAL = re.compile(
    r"(args?|inputs?|x|arg|in|keras_tensor|tensor|float_input|int64_input|onnx::\w+?)[._]?[\d.:]*",
    re.IGNORECASE,
)
"""Names that say nothing of what an input is, as exporters give."""
TAKEN = ("float32", "float64", "int64", "uint8", "string")
"""Dtypes that data have."""


def inputs(program: Program, schema: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """Returns the name of each input of the data -> that in the program, and what a person should
    know. Raises ModelError where they are not the same in number, dtype and shape."""
    own, theirs = list(schema["inputs"]), list(program.inputs)
    notes = []
    if set(own) == set(theirs):
        pairs = {name: name for name in own}
    elif len(own) == len(theirs) and (len(own) == 1 or all(map(POSITIONAL.fullmatch, theirs))):
        pairs = dict(zip(own, theirs, strict=True))
        said = ", ".join(f"{mine} is its {name}" for mine, name in pairs.items())
        notes.append(f"inputs of the program, in their order: {said}")
    else:
        raise ModelError(
            f"data.inputs: found {', '.join(own)}, but the program takes {', '.join(theirs)}; name "
            "the inputs of the data as the program does"
        )
    for mine, name in pairs.items():
        _demand_alike(mine, schema["inputs"][mine], name, program.inputs[name])
    return pairs, notes


def _demand_alike(own: str, described: Mapping[str, Any], name: str, port: Port) -> None:
    key, row = f"data.inputs.{own}", list(described["shape"])
    if port.dtype != described["dtype"]:
        can = (
            f"set {key}.dtype={port.dtype}"
            if port.dtype in TAKEN
            else (f"data have {', '.join(TAKEN)} alone, so export it again to take one of these")
        )
        raise ModelError(
            f"{key}: is {described['dtype']}, but the program takes {port.dtype} as {name}; {can}"
        )
    if port.shape is None:
        return
    if not port.shape or port.shape[0] is not None:
        raise ModelError(
            f"model.program: its input {name} is of the shape {list(port.shape)}, so that the "
            f"number of rows is fixed; {REEXPORT}"
        )
    fitting = len(port.shape) == len(row) + 1 and all(
        size is None or size == mine for size, mine in zip(port.shape[1:], row, strict=True)
    )
    if not fitting:
        wanted = ["any" if size is None else size for size in port.shape[1:]]
        raise ModelError(
            f"{key}: a row is of the shape {row}, but the program takes {wanted} as {name}; "
            "correct the data, or export it again"
        )


REEXPORT = (
    "export it again for any number of rows: torch.export and torch.onnx with dynamic_shapes={…: "
    "{0: Dim('batch')}}, Keras with keras.Input(shape), tf.TensorSpec([None, …])"
)


def outputs(program: Program, wanted: Mapping[str, str]) -> dict[str, str]:
    """Returns the name of each output -> that in the program. Names that it does not have are those
    of all its outputs in their order. Raises ParamsError."""
    theirs = list(program.outputs)
    if set(wanted.values()) <= set(theirs):
        return dict(wanted)
    if len(wanted) != len(theirs) or set(wanted) != set(wanted.values()):
        raise ParamsError(
            f"model.outputs: found {', '.join(wanted.values())}, but the program answers "
            f"{', '.join(theirs)}; expected some of these, or a name for each"
        )
    return dict(zip(wanted, theirs, strict=True))
