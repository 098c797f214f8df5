"""The raw data file becomes one memory-mappable .npy per array and split, and a schema."""

import hashlib
import json
import keyword
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from pipeline.config.params import Data, PrepareParams, Split
from pipeline.data import columns
from pipeline.data.columns import Wanted
from pipeline.data.tables import Array, Table, open_table
from pipeline.errors import DataError, ParamsError
from pipeline.run import stage

SPLITS = ("train", "val", "test")


def prepare(data: Path, output: Path, params: PrepareParams) -> None:
    """Nothing is written before every value has been read and found good.

    The file is therefore read twice, in batches: memory holds some 30 bytes a row, whatever a row
    weighs. `output` gets <split>/inputs/<name>.npy and <split>/target.npy, in which row i belongs
    together and rows keep the file's order, and schema.json. The arrays' bytes are appended and
    not stored through a memory map, as the pages of a map count as this process's memory.

    Raises DataError naming file, row (from 1; in a CSV the line too) and column, and ParamsError.
    """
    arrays = _arrays(params.data)
    table = open_table(_locate(data, params.data.file))
    _match(table, params.data.id, arrays)
    _refuse_repeated(table, params.data.id)
    labels, arrays = _survey(table, arrays)
    _require_rows(table, params.data, labels)
    parts = assign(labels, params.data.split)
    _write(table, arrays, parts, output)
    schema = _schema(params.data, arrays, parts)
    (output / "schema.json").write_text(json.dumps(schema, indent=2) + "\n")


def _arrays(data: Data) -> dict[str, Wanted]:
    """What is written for each split, by file name without suffix. Raises ParamsError."""
    if not data.inputs:
        raise ParamsError("data.inputs: empty, expected at least one input")
    for name, entry in data.inputs.items():
        key = f"data.inputs.{name}"
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ParamsError(f"{key}: no Python name, but forward() takes it as an argument")
        taken = {data.target.source, data.id} & set(columns.names(entry.source))
        if taken:
            raise ParamsError(f"{key}.source: {taken.pop()!r} is the target or the id, no input")
    inputs = {f"inputs/{name}": columns.of_input(entry) for name, entry in data.inputs.items()}
    return inputs | {"target": columns.of_target(data.target)}


def _locate(data: Path, file: str) -> Path:
    """Only what lies below `data` is a dep of the stage, so nothing else is read."""
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise ParamsError(f"data.file: found {file!r}, expected a path below {data}/")
    path = data / file
    if path.is_file():
        return path
    if Path(f"{path}.dvc").is_file():
        raise DataError(f"{path}: not here, only its .dvc file; run `dvc pull`")
    there = sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())
    raise DataError(f"{path}: no such file; {data}/ holds {_listed(there)}; set data.file")


def _listed(found: list[str]) -> str:
    return (", ".join(found[:12]) or "nothing") + (", ..." if found[12:] else "")


def _match(table: Table, id_column: str | None, arrays: Mapping[str, Wanted]) -> None:
    """Every column is claimed, and every claim is met in the declared shape."""
    claimed = {column for array in arrays.values() for column in array.columns}
    claimed |= {id_column} if id_column else set()
    for column in sorted(claimed - set(table.shapes)):
        raise table.broken(f"no column {column!r}; it has {_listed(list(table.shapes))}")
    for column in table.shapes:
        if column not in claimed:
            raise table.broken(f"column {column!r} is no input, target or id: remove or declare it")
    for key, array in arrays.items():
        _match_shape(table, key, array)
    if id_column and table.shapes[id_column]:
        shape = table.shapes[id_column]
        raise table.broken(f"column {id_column!r}: found shape {shape} a row, expected one id")


def _match_shape(table: Table, key: str, array: Wanted) -> None:
    shapes = [table.shapes[column] for column in array.columns]
    cells = not any(shapes) and math.prod(array.shape) == len(shapes)
    if not cells and shapes != [array.shape]:
        found = f"shape {shapes[0]} a row" if any(shapes) else f"{len(shapes)} columns"
        raise table.broken(
            f"{key}: found {found}, expected shape {array.shape}; correct data.inputs"
        )


def _survey(table: Table, arrays: Mapping[str, Wanted]) -> tuple[Array, dict[str, Wanted]]:
    """Reads and checks everything. The label of each row, 0 throughout for regression, and the
    arrays with the length of their longest text."""
    found, longest = [np.empty(0, np.int64)], dict.fromkeys(arrays, 1)
    for batch in columns.blocks(table, arrays):
        target = batch["target"]
        found.append(np.zeros(len(target), np.int64) if target.dtype.kind == "f" else target)
        for key, array in arrays.items():
            if array.kind == "text":
                longest[key] = max(longest[key], *map(len, batch[key].flat))
    return np.concatenate(found), {key: a.fixed(longest[key]) for key, a in arrays.items()}


def _refuse_repeated(table: Table, column: str | None) -> None:
    """Compares 16-byte digests of the ids, so that memory does not grow with their length."""
    if column is None:
        return
    digests = [
        hashlib.blake2b(text.encode(), digest_size=16).digest()
        for batch in table.batches({column: "text"})
        for text in batch[column]
    ]
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    earlier = first[inverse]
    repeats = np.flatnonzero(earlier != np.arange(len(digests)))
    if len(repeats):
        row = int(repeats[0])
        raise table.fault(row, column, f"the id of row {earlier[row] + 1} again; ids must differ")


def _require_rows(table: Table, data: Data, labels: Array) -> None:
    least, each = len(SPLITS), f"one for each of {', '.join(SPLITS)}"
    if len(labels) < least:
        raise table.broken(f"found {len(labels)} rows, expected at least {least}: {each}; add rows")
    if data.target.classes is None:
        return
    sizes = np.bincount(labels)
    for label in np.flatnonzero((sizes > 0) & (sizes < least)):
        found = f"column {data.target.source!r}: class {label} has {sizes[label]} rows"
        raise table.broken(
            f"{found}, expected at least {least}: {each}; add rows or drop the class"
        )


def assign(labels: Array, split: Split) -> Array:
    """The split of each row, as an index into SPLITS: each gets its share of every class.

    A share is rounded down or up, though never to nothing; what one class rounds away, the next
    makes good. The order is that of raw PCG64 words, which NumPy promises never to change.
    scikit-learn's stratified split does the like, but its import costs a second of start-up.
    """
    words = np.random.PCG64(split.seed).random_raw(len(labels))
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    fractions = np.array([1 - split.val - split.test, split.val, split.test])
    parts = np.empty(len(labels), np.uint8)
    each = np.tile(np.arange(len(SPLITS), dtype=np.uint8), len(sizes))
    parts[np.lexsort((words, labels))] = np.repeat(each, _shares(sizes, fractions))
    return parts


def _shares(sizes: Array, fractions: Array) -> Array:
    """Rows of each class in each split, class after class."""
    owed, counts = np.zeros(len(fractions)), []
    for size in sizes:
        exact = size * fractions
        count = np.maximum(np.floor(exact + 1e-9), 1).astype(np.int64)
        while count.sum() < size:
            count[np.where(count < exact, owed + exact - count, -np.inf).argmax()] += 1
        while count.sum() > size:
            count[count.argmax()] -= 1
        owed += exact - count
        counts.append(count)
    return np.concatenate(counts)


def _write(table: Table, arrays: Mapping[str, Wanted], parts: Array, output: Path) -> None:
    with ExitStack() as stack:
        files = {
            (index, key): stack.enter_context(
                _npy(output / split / f"{key}.npy", int((parts == index).sum()), array)
            )
            for index, split in enumerate(SPLITS)
            for key, array in arrays.items()
        }
        row = 0
        for batch in columns.blocks(table, arrays):
            part = parts[row : row + len(batch["target"])]
            row += len(batch["target"])
            if row > len(parts):
                break
            for (index, key), file in files.items():
                file.write(batch[key][part == index].data)
    if row != len(parts):
        raise table.broken("changed while it was read; run `dvc repro` again")


def _npy(path: Path, rows: int, array: Wanted) -> BinaryIO:
    """The file that np.save would begin, open behind its header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("wb")
    header = {"descr": np.dtype(array.dtype).str, "fortran_order": False}
    np.lib.format.write_array_header_1_0(file, header | {"shape": (rows, *array.shape)})
    return file


def _schema(data: Data, arrays: Mapping[str, Wanted], parts: Array) -> dict[str, Any]:
    sizes = np.bincount(parts, minlength=len(SPLITS)).tolist()
    return {
        "inputs": {
            name: {"dtype": entry.dtype, "shape": list(entry.shape)}
            for name, entry in data.inputs.items()
        },
        "target": {"dtype": arrays["target"].dtype, "classes": data.target.classes},
        "rows": dict(zip(SPLITS, sizes, strict=True)),
    }


if __name__ == "__main__":
    stage.main(prepare)
