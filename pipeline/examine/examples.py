"""The examples of a complete model: inputs and answers as its schema describes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.examine.content import demand, formats, schema
from pipeline.sandbox.reports import UNREADABLE
from pipeline.untrusted import arrays
from pipeline.untrusted.arrays import Header


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
            steps = _demand_shapes(arrays.headers(path), described, count)
            example = arrays.read(path)
            if steps:
                step = sorted(set(example["step"].tolist()))
                demand(step == list(range(steps)), "rows for each step")
        except UNREADABLE as fault:
            raise ValueError(f"{path}: {fault}") from None
    return "inputs and answers as schema.json describes them"


def _demand_shapes(
    example: Mapping[str, Header], described: Mapping[str, Any], rows: int | None
) -> int:
    """Judges an example with `rows`, or without a training of some steps, whose number it returns.

    Only what the arrays say of themselves is known by then, and that it fits the file."""
    count = 0
    wanted = {f"input.{name}": each for name, each in described["inputs"].items()}
    if rows is not None:
        wanted |= {f"output.{name}": each for name, each in described["outputs"].items()}
        demand(set(example) == set(wanted), f"{', '.join(wanted)} alone")
    else:
        truths = _targets(described)
        steps = [*truths, "loss", "ends_epoch", "step"]
        if "val_loss" in example:  # of models made before a schedule could go by it there is none
            steps.append("val_loss")
            val_loss = example["val_loss"]
            demand(val_loss.shape == () and val_loss.dtype.kind == "f", "one number as val_loss")
        demand(set(example) == {*wanted, *steps}, f"{', '.join([*wanted, *steps])} alone")
        demand(
            all(example[each].shape for each in (*wanted, *truths, "step", "loss")),
            "a row for each",
        )
        (rows, *_), (count, *_) = example["step"].shape, example["loss"].shape
        same = all(example[each].shape[0] == rows for each in truths)
        demand(same, "as many rows of each target as of steps")
        step, ends = example["step"], example["ends_epoch"]
        demand(0 < count <= 10_000 and ends.shape == (count,), "some steps")
        demand(step.shape == (rows,) and step.dtype.kind == "i", "a step for each row")
    for name, each in wanted.items():
        array = example[name]
        kind = "string" if array.dtype.kind == "U" else str(array.dtype)
        fits = array.shape == (rows, *each["shape"]) and kind == each["dtype"]
        demand(fits, f"{name} as {each['dtype']}{[rows, *each['shape']]}, found {kind}")
    return count


def _targets(described: Mapping[str, Any]) -> list[str]:
    """Returns the names of the targets' arrays; before targets had names there was one."""
    if "target" in described:
        return ["target"]
    return [f"target.{name}" for name in described["targets"]]
