"""Raw data are one table, be they a file, many files, a folder of media or a function.

What is not used is not imported: most raw data are one file, and their reading takes a second.
"""

from pathlib import Path

from pipeline.config.data_params import Data, Files, Input, Target
from pipeline.data import columns
from pipeline.data.tables import Table, open_table, suffixes
from pipeline.errors import ParamsError


def open_raw(data: Path, config: Data) -> tuple[Table, Data]:
    """Returns the table, and the configuration in which what is decoded has a column of its own,
    and labels that are folders have names.

    Raises DataError and ParamsError.
    """
    entries: list[Input | Target] = [*config.inputs.values(), *config.targets.values()]
    if not any(entry.image or entry.audio for entry in entries):
        return _opened(data, config, config)
    from pipeline.data.media.decoded import Decoded
    from pipeline.data.media_columns import declared

    decoded, renamed = declared(data, config)
    table, renamed = _opened(data, config, renamed)
    return Decoded(table, decoded, columns.claimed(renamed)), renamed


def _opened(data: Path, config: Data, renamed: Data) -> tuple[Table, Data]:
    """Returns the table, and `renamed` with the names of labels that are folders."""
    if config.rows is not None:
        from pipeline.data.yielded import open_function

        return open_function(config.rows), renamed
    if isinstance(config.file, Files):
        from pipeline.data.many_files import open_splits

        return open_splits(data, config, config.file), renamed
    path = below(data, str(config.file))
    if path.is_file() and path.suffix.lower() in suffixes():
        return open_table(path, config.csv), renamed
    from pipeline.data.folders import FileTable
    from pipeline.data.many_files import open_files

    table = open_files(data, config, str(config.file))
    return table, table.named(renamed) if isinstance(table, FileTable) else renamed


def below(data: Path, file: str) -> Path:
    """Returns a path below `data`: only that is a dep of the stage, so nothing else is read."""
    if Path(file).is_absolute() or ".." in Path(file).parts:
        raise ParamsError(f"data.file: found {file!r}, expected a path below {data}/")
    return data / file
