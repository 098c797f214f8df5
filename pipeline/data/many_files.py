"""What a folder or a pattern names is one table: of files, of parts, or of arrays."""

from pathlib import Path

from pipeline.config.data_params import Data, Files
from pipeline.data import columns, elsewhere, folders
from pipeline.data.declared import listing
from pipeline.data.folders import FileTable
from pipeline.data.media import archives
from pipeline.data.npy_columns import NPY, NpyColumns, grouped
from pipeline.data.parts import OwnFiles, Parts
from pipeline.data.raw import below
from pipeline.data.splits import SPLITS
from pipeline.data.tables import Table, open_table, suffixes
from pipeline.errors import DataError, ParamsError
from pipeline.project import untracked


def open_splits(data: Path, config: Data, named: Files) -> Table:
    """Returns the rows of each split's own file, one after the other.

    Raises ParamsError for folders of media, whose splits are a column.
    """
    tables = {index: open_files(data, config, file) for index, file in named.named().items()}
    for index, table in tables.items():
        if isinstance(table, FileTable):
            raise ParamsError(
                f"data.file.{SPLITS[index]}: found {table.path}, a folder of media; set data.file "
                "to the folder that holds all of them, and data.split.by={column: folder}"
            )
    return OwnFiles(data / named.train, tables)


def open_files(data: Path, config: Data, file: str) -> Table:
    """Returns the table of all files that `file` names below `data`. Raises DataError."""
    path = below(data, file)
    if folder := elsewhere.folder_of(data, file):
        from pipeline.data.streamed import open_streamed

        return open_streamed(data, file, folder, config.csv)
    if archives.is_archive(path):
        return FileTable(data, path, columns.claimed(config))
    paths = located(data, file)
    kinds = {each.suffix.lower() for each in paths}
    if not kinds & {*suffixes(), NPY} and (path.is_dir() or kinds & set(folders.SUFFIXES)):
        return FileTable(data, path, columns.claimed(config))
    if len(kinds) > 1:
        listed = " and ".join(sorted(kinds))
        raise DataError(
            f"{path}: holds {listed}; set data.file to the table, or to a pattern of one"
        )
    tables: list[Table]
    if kinds == {NPY}:
        tables = [NpyColumns(part) for part in grouped(paths)]
    else:
        tables = [open_table(each, config.csv) for each in paths]
    return Parts(path, tables) if len(tables) > 1 else tables[0]


def located(data: Path, file: str) -> list[Path]:
    """Returns the files that are named, in the order of their names."""
    path = data / file
    if path.is_file():
        return [path]
    if path.is_dir():
        return list(folders.files(path))
    if Path(f"{path}.dvc").is_file():
        raise DataError(f"{path}: not here, only its .dvc file; run `dvc pull`")
    is_pattern = bool(folders.PATTERN & set(file))
    if matching := folders.matching(data, file) if is_pattern else []:
        return matching
    below = (p.relative_to(data) for p in data.rglob("*") if p.is_file())
    there = sorted(str(p) for p in below if not folders.is_note(p))
    what = "no file of this pattern" if is_pattern else "no such file"
    maker = data / f"{Path(file).parts[0]}.py"
    made = f", or make it: `python {maker}`" if maker.is_file() else ""
    raise DataError(
        f"{path}: {what}; {data}/ holds {listing(there)}; set data.file{made}{untracked(path)}"
    )
