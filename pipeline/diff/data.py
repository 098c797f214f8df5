"""Raw data of two artifacts: digests, and where they are tabular the rows, columns and labels."""

import csv
import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.csv_params import Csv
from pipeline.config.reading import convert
from pipeline.diff.side import Side
from pipeline.errors import PipelineError
from pipeline.provenance import git
from pipeline.resolve import dvc as resolve_dvc

FOLDER = "data"
LARGEST = 200_000_000
"""Bytes of a file whose rows are compared, since they are held in memory."""
UNLIKE = (LookupError, TypeError, AttributeError, ValueError)
"""What parameters raise that somebody else recorded."""
LABELS = 100
"""More values than this are no labels."""

Row = tuple[str, ...]


def compare(a: Side, b: Side) -> dict[str, Any]:
    """Compares the raw data: `differ` by digest; `rows`, `columns`, `labels` where both files are
    at hand."""
    try:
        one, other = named(a), named(b)
    except UNLIKE as fault:
        what = f"parameters of the data are laid out otherwise: {fault}"
        return {"a": None, "b": None, "differ": None, "unsaid": [what]}
    report: dict[str, Any] = {"a": one, "b": other, "unsaid": []}
    if one is None or other is None:
        missing = [side.name for side, each in ((a, one), (b, other)) if each is None]
        return report | {
            "differ": None,
            "unsaid": [f"{n}: no statement of its data" for n in missing],
        }
    report["differ"] = one["sha256"] != other["sha256"]
    if not report["differ"]:
        return report
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        files = [_at_hand(side, each, scratch) for side, each in ((a, one), (b, other))]
        for side, each, path in zip((a, b), (one, other), files, strict=True):
            if path is None:
                report["unsaid"].append(_missing(side, each))
        if files[0] is not None and files[1] is not None:
            try:
                report |= tables(files[0], files[1], a.params["data"], b.params["data"])
            except (PipelineError, csv.Error, *UNLIKE) as fault:
                report["unsaid"].append(f"rows are not compared: {fault}")
    return report


def named(side: Side) -> dict[str, str] | None:
    """Returns the raw file and its digest; those of the folder it lies in where files are not
    listed."""
    node = side.chain.get("prepare")
    if node is None:
        return None
    deps, path = side.deps(node), f"{FOLDER}/{node.params['data']['file']}"
    if path in deps:
        return {"path": path, "sha256": deps[path]}
    return {"path": FOLDER, "sha256": deps[FOLDER]} if FOLDER in deps else None


def _missing(side: Side, data: dict[str, str]) -> str:
    if data["path"] == FOLDER:
        return f"{side.name}: its statement names no one file of {FOLDER}/ that its rows are in"
    name, sha = data["path"], data["sha256"][:8]
    return f"{side.name}: {name} as it was (sha256 {sha}…) is not here; `git fetch` or `dvc pull`"


def _at_hand(side: Side, data: dict[str, str], scratch: Path) -> Path | None:
    """Returns the file with this digest: from the work tree, DVC's cache, or git."""
    name, wanted = data["path"], data["sha256"]
    if name == FOLDER:
        return None
    for path in (side.root / name, *_cached(side, name)):
        if path.is_file() and provenance.digest(path) == wanted:
            return path if path.suffix == Path(name).suffix else _linked(path, name, scratch, side)
    for commit in _commits(side, name):
        content = git.file_at(side.root, commit, name)
        target = _target(name, scratch, side)
        if content is not None:
            target.write_bytes(content)
            if provenance.digest(target) == wanted:
                return target
    return None


def _commits(side: Side, name: str) -> Iterator[str]:
    """Yields the stage's own commit, and those at which the file changed: it may be committed after
    the run."""
    if commit := side.chain["prepare"].commit:
        yield commit
    yield from (git.line(side.root, "log", "--all", "--format=%H", "--", name) or "").split()


def _cached(side: Side, name: str) -> Iterator[Path]:
    """Yields the objects in DVC's cache of every version of <name>.dvc: that of the work tree, and
    those in git."""
    pointer = f"{name}.dvc"
    here = side.root / pointer
    texts = [here.read_bytes()] if here.is_file() else []
    for commit in _commits(side, pointer):
        if text := git.file_at(side.root, commit, pointer):
            texts.append(text)
    for text in dict.fromkeys(texts):
        for _, md5 in resolve_dvc.tracked(text, pointer):
            yield resolve_dvc.stored(side.root, md5)


def _target(name: str, scratch: Path, side: Side) -> Path:
    folder = scratch / side.name
    folder.mkdir(exist_ok=True)
    return folder / Path(name).name


def _linked(path: Path, name: str, scratch: Path, side: Side) -> Path:
    """Returns a link to an object of DVC's cache, under a name that tells its kind."""
    target = _target(name, scratch, side)
    target.symlink_to(path.resolve())
    return target


def tables(one: Path, other: Path, config: Any, other_config: Any) -> dict[str, Any]:
    """Raises PipelineError when a file is too large or cannot be read."""
    (columns, rows), (other_columns, other_rows) = _read(one, config), _read(other, other_config)
    shared = [name for name in columns if name in other_columns]
    keys = _ids(config) if _ids(config) == _ids(other_config) else ()
    keys = keys if set(keys) <= set(shared) else ()
    report: dict[str, Any] = {
        "columns": {
            "added": [name for name in other_columns if name not in columns],
            "removed": [name for name in columns if name not in other_columns],
        },
        "rows": {"a": len(rows), "b": len(other_rows)},
    }
    if shared:
        mine, theirs = _only(shared, columns, rows), _only(shared, other_columns, other_rows)
        at = tuple(shared.index(key) for key in keys)
        report["rows"] |= changes(mine, theirs, shared, at)
    column, other_column = _label_column(config), _label_column(other_config)
    if column == other_column and column in shared:
        report["labels"] = labels(
            [row[columns.index(column)] for row in rows],
            [row[other_columns.index(column)] for row in other_rows],
        )
    return report


def _label_column(config: Any) -> str | None:
    """Returns the column of the first target that is one column; older artifacts have one target,
    without a name."""
    targets = [config["target"]] if "target" in config else config["targets"].values()
    return next((each["source"] for each in targets if isinstance(each["source"], str)), None)


def _ids(config: Any) -> tuple[str, ...]:
    """Returns the columns that together name a row; older artifacts have one name at most."""
    key = config["id"]
    return () if key is None else (key,) if isinstance(key, str) else tuple(key)


def changes(a: list[Row], b: list[Row], columns: list[str], key: tuple[int, ...]) -> dict[str, Any]:
    """Returns which rows changed, were removed or added. A changed row has the same id or, without
    an id, stands at the same place in both files; every other row that one file has and the other
    has not was removed or added."""
    lost, gained = Counter(a), Counter(b)
    lost, gained = lost - gained, gained - lost
    if not key:
        pairs = [(x, y) for x, y in zip(a, b, strict=False) if x != y]
    else:
        known = {tuple(row[at] for at in key): row for row in b}
        same = ((row, known.get(tuple(row[at] for at in key), row)) for row in a)
        pairs = [(mine, theirs) for mine, theirs in same if mine != theirs]
    changed, cells = 0, Counter[str]()
    for x, y in pairs:
        if lost[x] > 0 and gained[y] > 0:
            lost[x], gained[y], changed = lost[x] - 1, gained[y] - 1, changed + 1
            differing = zip_longest(columns, x, y)
            cells.update(name for name, left, right in differing if left != right)
    by_column = {name: cells[name] for name in columns if cells[name]}
    return {
        "added": gained.total(),
        "removed": lost.total(),
        "changed": changed,
        "matched_by": ", ".join(columns[at] for at in key) or "place",
        "changed_by_column": by_column,
    }


def labels(a: list[str], b: list[str]) -> list[dict[str, Any]]:
    """Counts of each label; none when there are too many values for labels."""
    one, other = Counter(a), Counter(b)
    counts = {**one, **other}
    if len(counts) > LABELS:
        return []
    ordered = sorted(counts, key=lambda label: (len(label), label))
    return [{"label": label, "a": one[label], "b": other[label]} for label in ordered]


def _only(shared: list[str], columns: list[str], rows: list[Row]) -> list[Row]:
    places = [columns.index(name) for name in shared]
    return rows if shared == columns else [tuple(row[i] for i in places) for row in rows]


def _read(path: Path, config: Any) -> tuple[list[str], list[Row]]:
    """Returns columns and rows as text. An empty cell is no fault here, it is only different."""
    if path.stat().st_size > LARGEST:
        size = f"{path.stat().st_size / 1e6:.0f} MB"
        raise PipelineError(
            f"{path.name}: {size}, rows of more than {LARGEST / 1e6:.0f} MB are not"
        )
    from pipeline.data.tables import open_table
    from pipeline.data.tables.csv import Reader

    written = config.get("csv")
    table = open_table(path, convert(written, Csv, "data.csv") if written else None)
    if isinstance(table, Reader):
        columns, *rows = [tuple(row) for _, row in table.records()]
        return list(columns), rows
    names = list(table.shapes)
    table.optional = frozenset(names)
    table.let_vary({name: shape for name, shape in table.shapes.items() if None in shape})
    rows = []
    for batch in table.batches(dict.fromkeys(names, "any")):
        columns_of_text = [[_text(value) for value in batch[name]] for name in names]
        rows += list(zip(*columns_of_text, strict=True))
    return names, rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value.tolist(), default=str)
