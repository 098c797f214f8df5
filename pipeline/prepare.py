"""prepare: the raw data file becomes one memory-mappable .npy per array and split, and a schema."""

import hashlib
import json
import keyword
import math
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.config.data_params import Data, Input
from pipeline.config.params import PrepareParams
from pipeline.data import columns, declared, dimensions, learning, split_columns, target
from pipeline.data.array_spec import ArraySpec
from pipeline.data.dimensions import Lengths
from pipeline.data.lists import chosen, values_of
from pipeline.data.precision import Spread
from pipeline.data.progress import shown
from pipeline.data.ragged import write_offsets
from pipeline.data.raw import open_raw
from pipeline.data.splits import SPLITS
from pipeline.data.tables import Array, Table
from pipeline.data.tokenizing import Tokenizers
from pipeline.errors import ParamsError
from pipeline.run import stage


def prepare(data: Path, output: Path, params: PrepareParams) -> None:
    """Writes nothing before each value has been read and is good.

    The file is therefore read twice, in batches: memory holds some 30 bytes a row, whatever a row
    weighs. `output` gets <split>/inputs/<name>.npy and <split>/targets/<name>.npy, in which row i
    belongs together and rows keep the file's order, and schema.json. The arrays' bytes are appended
    and not stored through a memory map, as the pages of a map count as this process's memory.

    Raises DataError naming file, row (from 1; in a CSV the line too) and column, and ParamsError.
    """
    dimensions.demand_declared(params.data)
    table, config = open_raw(data, params.data)
    _demand_inputs(config)
    arrays = _array_specs(columns.with_rest(config, table.shapes))
    declared.demand(table, config, arrays)
    _demand_different(table, columns.ids(config))
    labels, arrays = _check_values(table, arrays, target.stratified(config))
    splits = split_columns.split_rows(table, config, labels)
    target.demand_classes(table, config, labels, splits)
    made = Tokenizers(data, config, table, splits == SPLITS.index("train"))
    arrays = learning.categories(table, made.specs(arrays), splits)
    lengths = Lengths.of_rows(table, arrays, config)
    _write(table, arrays, splits, lengths, output)
    made.write(output, splits == SPLITS.index("test"))
    schema = _schema(config, arrays, splits, made)
    for name, entry in config.inputs.items():
        if not entry.masks:
            learnt = _learnt(table, name, entry, arrays[f"inputs/{name}"], output)
            schema["inputs"][name] |= learnt
    (output / "schema.json").write_text(json.dumps(schema, indent=2) + "\n")


def _demand_inputs(data: Data) -> None:
    """Raises ParamsError for inputs that no forward() could take, or that are something else."""
    if not data.inputs:
        raise ParamsError("data.inputs: empty, expected at least one input")
    unread = {*columns.ids(data), *columns.names(data.ignore)}
    others = unread | columns.targets(data)
    _demand_names(data)
    for name, entry in data.inputs.items():
        key = f"data.inputs.{name}"
        sources = columns.names(entry.source)
        if not sources:
            raise ParamsError(f"{key}.source: found {entry.source!r}, which names no column")
        if data.split.by and data.split.by.column in sources:
            raise ParamsError(f"{key}.source: {data.split.by.column!r} names the split, no input")
        if taken := others & set(sources):
            what = "a target, an id or ignored, no input"
            raise ParamsError(f"{key}.source: {taken.pop()!r} is {what}")
    for name, wanted in data.targets.items():
        if taken := unread & set(columns.names(wanted.source)):
            raise ParamsError(
                f"data.targets.{name}.source: {taken.pop()!r} is an id or ignored, no target"
            )
    if len(unread) < len(columns.ids(data)) + len(columns.names(data.ignore)):
        raise ParamsError("data.ignore: names an id, or a column twice; name each once")


def _demand_names(data: Data) -> None:
    """Raises ParamsError for a name that no argument, or more than one array, could have."""
    for kind, entries in {"inputs": data.inputs, "targets": data.targets}.items():
        for name in entries:
            key = f"data.{kind}.{name}"
            if not name.isidentifier() or keyword.iskeyword(name):
                raise ParamsError(f"{key}: no Python name, but forward() takes it as an argument")
    if twice := data.inputs.keys() & data.targets.keys():
        name = sorted(twice)[0]
        raise ParamsError(f"data.targets.{name}: an input has this name, too; choose another")


def _array_specs(data: Data) -> dict[str, ArraySpec]:
    """Returns what is written for each split, by file name without suffix."""
    inputs = {
        f"inputs/{name}": columns.input_array(entry)
        for name, entry in data.inputs.items()
        if not entry.masks
    }
    targets = {f"targets/{n}": columns.target_array(entry) for n, entry in data.targets.items()}
    return inputs | targets


def _check_values(
    table: Table, arrays: Mapping[str, ArraySpec], stratified: str | None
) -> tuple[Array, dict[str, ArraySpec]]:
    """Returns the label of each row, 0 throughout where no target is `stratified`, and the arrays
    with the length of their longest text. Prints what float32 does not tell apart.

    Raises DataError for the first bad value, and for a target that is one value throughout.
    """
    labels, longest = [np.empty(0, np.int64)], dict.fromkeys(arrays, 1)
    spread = Spread()
    targets: dict[str, set[float]] = {key: set() for key, each in arrays.items() if each.is_target}
    for batch in shown(columns.array_batches(table, arrays, spread), "checking"):
        for key, values in targets.items():
            if len(values) < 2:
                values |= set(np.unique(values_of(batch[key]))[:2].tolist())
        rows = len(next(iter(batch.values())))
        of_rows = batch[f"targets/{stratified}"] if stratified else np.zeros(rows)
        labels.append(of_rows.astype(np.int64))
        for key, array in arrays.items():
            if array.kind == "text":
                longest[key] = max(longest[key], *map(len, values_of(batch[key]).flat))
    for key, values in targets.items():
        target.demand_values(table, arrays[key], values, sum(map(len, labels)))
    for line in spread.warnings():
        print(f"prepare: {table.path}: {line}", file=sys.stderr, flush=True)
    return np.concatenate(labels), {
        key: a.with_text_length(longest[key]) for key, a in arrays.items()
    }


def _demand_different(table: Table, ids: tuple[str, ...]) -> None:
    """Demands that no id comes twice; compares 16-byte digests, so that memory does not grow with
    the length of ids."""
    if not ids:
        return
    digests = [
        hashlib.blake2b(json.dumps(texts).encode(), digest_size=16).digest()
        for batch in table.batches(dict.fromkeys(ids, "name"))
        for texts in zip(*(batch[column] for column in ids), strict=True)
    ]
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    earlier = first[inverse]
    repeats = np.flatnonzero(earlier != np.arange(len(digests)))
    if len(repeats):
        row = int(repeats[0])
        problem = f"the id of row {earlier[row] + 1} again; ids must differ"
        raise table.fault(row, ", ".join(ids), problem)


def _write(
    table: Table,
    arrays: Mapping[str, ArraySpec],
    splits: Array,
    lengths: Lengths,
    output: Path,
) -> None:
    with ExitStack() as stack:
        files = {}
        for index, split in enumerate(SPLITS):
            of_rows = lengths.of(splits == index)
            for key, array in arrays.items():
                rows = (splits == index).sum()
                sizes = [of_rows[name] for name in array.dimensions]
                count = math.prod(sizes[1:], start=sizes[0]).sum() if sizes else rows
                file = _npy(output / split / f"{key}.npy", int(count), array)
                files[index, key] = stack.enter_context(file)
            for dimension, each in of_rows.items():
                write_offsets(output / split, dimension, each)
        row = 0
        for batch in shown(columns.array_batches(table, arrays), "writing", len(splits)):
            rows = len(next(iter(batch.values())))
            batch_splits = splits[row : row + rows]
            row += rows
            if row > len(splits):
                break
            for (index, key), file in files.items():
                file.write(chosen(batch[key], batch_splits == index).data)
    if row != len(splits):
        raise table.broken("changed while it was read; run `dvc repro` again")


def _npy(path: Path, rows: int, array: ArraySpec) -> BinaryIO:
    """Opens the file that np.save would begin, behind its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("wb")
    header = {"descr": np.dtype(array.dtype).str, "fortran_order": False}
    np.lib.format.write_array_header_1_0(file, header | {"shape": (rows, *array.shape)})
    return file


def _learnt(table: Table, name: str, entry: Input, spec: ArraySpec, output: Path) -> dict[str, Any]:
    """Returns what a receiver has to know of an input beyond dtype and shape."""
    result: dict[str, Any] = {}
    if entry.time is not None:
        result["time"] = entry.time
    if spec.names is not None:
        result["categories"] = list(spec.names)
    elif entry.missing == "keep" and entry.tokenizer is None:
        result["missing"] = "keep"
    elif entry.missing is not None and entry.tokenizer is None:
        train = output / "train" / "inputs" / f"{name}.npy"
        result["missing"] = learning.filling(table, name, entry, spec, train)
    return result


def _schema(
    data: Data, arrays: Mapping[str, ArraySpec], splits: Array, made: Tokenizers
) -> dict[str, Any]:
    sizes = np.bincount(splits, minlength=len(SPLITS)).tolist()
    return {
        "inputs": {
            name: {"dtype": entry.dtype, "shape": list(entry.shape)}
            | dimensions.described(entry, made.pad(name))
            | made.described(name)
            for name, entry in data.inputs.items()
        },
        "targets": {
            name: {
                "dtype": arrays[f"targets/{name}"].dtype,
                "shape": list(entry.shape),
                "classes": entry.number,
                "labels": list(entry.classes) if isinstance(entry.classes, tuple) else None,
            }
            | dimensions.described(entry, entry.padded_with)
            for name, entry in data.targets.items()
        },
        "rows": dict(zip(SPLITS, sizes, strict=True)),
        **({"made_up": True} if data.made_up else {}),
    } | dimensions.bounds(data)


if __name__ == "__main__":
    stage.main(prepare)
