"""The examples of a complete model: inputs and answers as its schema describes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.examine.content import formats, schema
from pipeline.examine.described import demand, tokenizers
from pipeline.sandbox.reports import UNREADABLE
from pipeline.untrusted import arrays, documents, limits
from pipeline.untrusted.arrays import Header

TEXTS, MOST_TEXTS = "tokenized.json", 1000


def demand_described(directory: Path) -> str:
    """Demands of each the inputs and outputs that schema.json describes. Raises ValueError."""
    described, (_, trains) = schema(directory), formats(directory)
    rows = {"one": 1, "seven": 7} | ({"training": None} if trains else {})
    present = {path.name for path in (directory / "examples").iterdir()}
    texts = {TEXTS} if tokenizers(described) else set[str]()
    if present != {f"{name}.npz" for name in rows} | texts:
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
    if texts:
        _demand_texts(directory, described)
    return "inputs and answers as schema.json describes them"


def texts_of(directory: Path) -> dict[str, Any]:
    """Returns the texts of each input that a tokenizer makes, with their ids; none where none does.
    Raises ValueError for what is no JSON."""
    path = directory / "examples" / TEXTS
    return documents.read_json(path, limits.TEXT, constants=False) if path.is_file() else {}


def _demand_texts(directory: Path, described: Mapping[str, Any]) -> None:
    """Raises ValueError unless each tokenizer is the file that the schema means, and there are
    texts with ids of each."""
    for file, digest in tokenizers(described).items():
        if provenance.digest(directory / file) != digest:
            raise ValueError(f"{directory / file}: is not the tokenizer that schema.json names")
    inputs = {n: each for n, each in described["inputs"].items() if "tokenizer" in each}
    path = directory / "examples" / TEXTS
    try:
        texts = texts_of(directory)
        demand(set(texts) == set(inputs), f"texts of {', '.join(inputs)}")
        for name, each in inputs.items():
            most = described["dimensions"][each["shape"][0]]["most"]
            wanted = {"file": each["tokenizer"]["file"], "most": most}
            demand({k: texts[name][k] for k in wanted} == wanted, f"{wanted} of {name}")
            pairs = texts[name]["texts"], texts[name]["ids"]
            demand(all(isinstance(each, list) for each in pairs), "lists of texts and ids")
            demand(len(pairs[0]) == len(pairs[1]) <= MOST_TEXTS, "ids of each text")
            demand(all(isinstance(text, str) for text in pairs[0]), "texts")
            demand(all(isinstance(ids, list) for ids in pairs[1]), "a list of ids for each")
    except (LookupError, TypeError, AttributeError, ValueError) as fault:
        raise ValueError(f"{path}: {fault}") from None


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
        steps += (of_steps := _sizes(described))
        demand(set(example) == {*wanted, *steps}, f"{', '.join([*wanted, *steps])} alone")
        demand(
            all(example[each].shape for each in (*wanted, *truths, "step", "loss")),
            "a row for each",
        )
        steps_there = example["loss"].shape[:1]
        alike = all(example[n].shape == steps_there + more for n, more in of_steps.items())
        whole = all(example[each].dtype.kind in "iu" for each in of_steps)
        demand(alike and whole, "a size for each step")
        (rows, *_), (count, *_) = example["step"].shape, example["loss"].shape
        same = all(example[each].shape[0] == rows for each in truths)
        demand(same, "as many rows of each target as of steps")
        step, ends = example["step"], example["ends_epoch"]
        demand(0 < count <= 10_000 and ends.shape == (count,), "some steps")
        demand(step.shape == (rows,) and step.dtype.kind == "i", "a step for each row")
    sizes: dict[str, int] = {}
    for name, each in wanted.items():
        array = example[name]
        kind = "string" if array.dtype.kind == "U" else str(array.dtype)
        fits = _has_shape(array.shape, [rows, *each["shape"]], sizes) and kind == each["dtype"]
        demand(fits, f"{name} as {each['dtype']}{[rows, *each['shape']]}, found {kind}")
    bounds = described.get("dimensions", {})
    for name, size in sizes.items():
        least, most = bounds[name]["least"], bounds[name]["most"]
        demand(least <= size <= most, f"{name} of {least} to {most}")
    return count


def _has_shape(found: tuple[int, ...], expected: list[Any], sizes: dict[str, int]) -> bool:
    """Returns whether the shape is the expected one; a name stands for the same size wherever it
    is, which `sizes` gets, and None for any."""
    if len(found) != len(expected):
        return False
    for size, wanted in zip(found, expected, strict=True):
        known = sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted
        if known is not None and known != size:
            return False
    return True


def _sizes(described: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Returns the names of the arrays that say how large the rows of each step are, with what they
    have of a step: a number, or one for each axis until the last that varies."""
    arrays = {f"input.{name}": each for name, each in described["inputs"].items()}
    arrays |= {f"target.{name}": each for name, each in described.get("targets", {}).items()}
    last = {
        n: [a for a, size in enumerate(e["shape"], 1) if _is_name(size)] for n, e in arrays.items()
    }
    return {f"size.{n}": () if axes[-1] == 1 else (axes[-1],) for n, axes in last.items() if axes}


def _is_name(size: Any) -> bool:
    return isinstance(size, str)


def _targets(described: Mapping[str, Any]) -> list[str]:
    """Returns the names of the targets' arrays; before targets had names there was one."""
    if "target" in described:
        return ["target"]
    return [f"target.{name}" for name in described["targets"]]
