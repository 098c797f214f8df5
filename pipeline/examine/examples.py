"""The examples of a complete model: inputs and answers as its schema describes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.examine import arrays
from pipeline.examine.content import demand, formats, schema
from pipeline.sandbox.reports import UNREADABLE


def demand_described(directory: Path) -> str:
    """Demands of each the inputs and outputs that schema.json describes. Raises ValueError."""
    described, (_, trains) = schema(directory), formats(directory)
    rows = {"one": 1, "seven": 7} | ({"training": None} if trains else {})
    present = {path.name for path in (directory / "examples").iterdir()}
    if present != {f"{name}.npz" for name in rows}:
        raise ValueError(f"{directory}/examples: found {', '.join(sorted(present)) or 'nothing'}")
    for name, count in rows.items():
        path = directory / f"examples/{name}.npz"
        try:
            _demand_arrays(arrays.read(path), described, count)
        except UNREADABLE as fault:
            raise ValueError(f"{path}: {fault}") from None
    return "inputs and answers as schema.json describes them"


def _demand_arrays(
    example: Mapping[str, np.ndarray], described: Mapping[str, Any], rows: int | None
) -> None:
    """Judges an example with `rows`, or without a training of some steps."""
    wanted = {f"input.{name}": each for name, each in described["inputs"].items()}
    if rows is not None:
        wanted |= {f"output.{name}": each for name, each in described["outputs"].items()}
        demand(set(example) == set(wanted), f"{', '.join(wanted)} alone")
    else:
        steps = ["target", "loss", "ends_epoch", "step"]
        if "val_loss" in example:  # of models made before a schedule could go by it there is none
            steps.append("val_loss")
            val_loss = example["val_loss"]
            demand(val_loss.shape == () and val_loss.dtype.kind == "f", "one number as val_loss")
        demand(set(example) == {*wanted, *steps}, f"{', '.join([*wanted, *steps])} alone")
        rows, count = len(example["target"]), len(example["loss"])
        step, ends = example["step"], example["ends_epoch"]
        demand(0 < count <= 10_000 and ends.shape == (count,), "some steps")
        demand(step.shape == (rows,) and step.dtype.kind == "i", "a step for each row")
        demand(sorted(set(step.tolist())) == list(range(count)), "rows for each step")
    for name, each in wanted.items():
        array = example[name]
        kind = "string" if array.dtype.kind == "U" else str(array.dtype)
        fits = array.shape == (rows, *each["shape"]) and kind == each["dtype"]
        demand(fits, f"{name} as {each['dtype']}{[rows, *each['shape']]}, found {kind}")
