"""Raw data are one table, be they a file, many files, a folder of media or a function."""

import sys
from functools import partial
from pathlib import Path

from pipeline.config.component import component
from pipeline.config.data_params import Data, Files
from pipeline.config.reading import Component
from pipeline.config.targets import DATA, MODELS
from pipeline.config.targets import Kind as TargetKind
from pipeline.data import columns, folders, media_columns
from pipeline.data.declared import listing
from pipeline.data.npy_columns import NPY, NpyColumns, grouped
from pipeline.data.parts import OwnFiles, Parts
from pipeline.data.splits import SPLITS
from pipeline.data.tables import Table, open_table, suffixes
from pipeline.data.yielded import Yielded
from pipeline.errors import DataError, ParamsError
from pipeline.project import untracked


def open_raw(data: Path, config: Data) -> tuple[Table, Data]:
    """Returns the table, and the configuration in which what is decoded has a column of its own.

    Raises DataError and ParamsError.
    """
    decoded, renamed = media_columns.declared(data, config)
    if config.rows is not None:
        table: Table = Yielded(*_function(config.rows))
    elif isinstance(config.file, Files):
        table = _of_splits(data, config, config.file)
    else:
        table = _of_files(data, config, str(config.file))
    if isinstance(table, folders.Files):
        renamed = table.named(renamed)
    return media_columns.over(table, decoded, columns.claimed(renamed)), renamed


def _function(config: Component) -> tuple[Path, partial[object]]:
    """Returns the file that the function is in, and its call.

    Raises ParamsError for one that imports models/, on which the stage does not depend.
    """
    key = "data.rows"
    before = MODELS in sys.modules
    make = component(config, key, TargetKind(packages=(), bases=(), own=DATA))
    file = Path(DATA, str(config["_target_"]).split(".")[1]).with_suffix(".py")
    if MODELS in sys.modules and not before:
        way_out = "move what it needs to data/, for `prepare` does not depend on models/"
        raise ParamsError(f"{key}: {file} imports {MODELS}/; {way_out}")
    return file, partial(make)


def _of_splits(data: Path, config: Data, named: Files) -> Table:
    """Returns the rows of each split's own file, one after the other.

    Raises ParamsError for folders of media, whose splits are a column.
    """
    tables = {index: _of_files(data, config, file) for index, file in named.named().items()}
    for index, table in tables.items():
        if isinstance(table, folders.Files):
            raise ParamsError(
                f"data.file.{SPLITS[index]}: found {table.path}, a folder of media; set data.file "
                "to the folder that holds all of them, and data.split.by={column: folder}"
            )
    return OwnFiles(data / named.train, tables)


def _of_files(data: Path, config: Data, file: str) -> Table:
    path = data / file
    paths = _located(data, file)
    kinds = {each.suffix.lower() for each in paths}
    if not kinds & {*suffixes(), NPY} and (path.is_dir() or kinds & set(folders.SUFFIXES)):
        return folders.Files(data, path, columns.claimed(config))
    if len(kinds) > 1:
        found = " and ".join(sorted(kinds))
        raise DataError(
            f"{path}: holds {found}; set data.file to the table, or to a pattern of one"
        )
    tables: list[Table]
    if kinds == {NPY}:
        tables = [NpyColumns(part) for part in grouped(paths)]
    else:
        tables = [open_table(each, config.csv) for each in paths]
    return Parts(path, tables) if len(tables) > 1 else tables[0]


def _located(data: Path, file: str) -> list[Path]:
    """Returns the files that are named, in the order of their names. Only what lies below `data` is
    a dep of the stage, so nothing else is read."""
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise ParamsError(f"data.file: found {file!r}, expected a path below {data}/")
    path = data / file
    if path.is_file():
        return [path]
    if path.is_dir():
        return list(folders.files(path))
    if Path(f"{path}.dvc").is_file():
        raise DataError(f"{path}: not here, only its .dvc file; run `dvc pull`")
    is_pattern = bool(folders.PATTERN & set(file))
    matching = folders.matching(data, file) if is_pattern else []
    if matching:
        return matching
    there = sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())
    what = "no file of this pattern" if is_pattern else "no such file"
    maker = data / f"{Path(file).parts[0]}.py"
    made = f", or make it: `python {maker}`" if maker.is_file() else ""
    raise DataError(
        f"{path}: {what}; {data}/ holds {listing(there)}; set data.file{made}{untracked(path)}"
    )
