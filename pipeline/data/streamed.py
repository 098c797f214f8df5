"""Files that lie with DVC's remote alone are read from there, one after the other: each is on the
disk while its rows are read, and no longer.

The .dvc file says what they are: a file's bytes are held to the digest that DVC has of it.
"""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from tempfile import mkdtemp

from pipeline.config.csv_params import Csv
from pipeline.data.declared import listing
from pipeline.data.parts import Parts
from pipeline.data.tables import Batch, Kind, Table, open_table
from pipeline.errors import DataError
from pipeline.files import temporary_folder

CHUNK = 1 << 20


def open_streamed(data: Path, file: str, folder: Path, csv: Csv | None) -> Table:
    """Returns the table of the files that `file` names, a pattern or the folder itself. Raises
    DataError."""
    store = _Store(folder)
    names = store.names(data / file)
    if not names:
        there = listing(store.names(folder))
        raise DataError(f"{data / file}: no such file; {folder}.dvc names {there}; set data.file")
    print(
        f"prepare: {folder}: not here; reading {len(names)} of its files from DVC's remote, one at "
        f"a time (`dvc pull {folder}` brings them all)",
        file=sys.stderr,
        flush=True,
    )
    first = open_table(store.bring(names[0], Path(mkdtemp(prefix="streamed"))), csv)
    others = [Streamed(name, csv, store, first) for name in names[1:]]
    return Parts(data / file, [first, *others]) if others else first


class _Store:
    """What DVC's remote has of a folder."""

    def __init__(self, folder: Path) -> None:
        from dvc.api import DVCFileSystem

        self.folder = folder
        with _translate_remote_errors(folder):
            self.system = DVCFileSystem(".")

    def names(self, path: Path) -> list[str]:
        """Returns the files of a pattern, or below a folder, in the order of their names."""
        with _translate_remote_errors(self.folder):
            below = self.system.find(self.folder.as_posix())
        named = [each for each in below if PurePath(each).match(path.as_posix())]
        return sorted(below if path == self.folder else named)

    def bring(self, name: str, place: Path) -> Path:
        """Copies a file to a folder. Raises DataError for bytes that are not those of the .dvc
        file."""
        path, digest = place / PurePath(name).name, hashlib.md5()
        with _translate_remote_errors(self.folder):
            expected = self.system.info(name).get("md5")
            with self.system.open(name, "rb") as source, path.open("wb") as target:
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    target.write(chunk)
        if expected is not None and expected != digest.hexdigest():
            raise DataError(
                f"{name}: DVC's remote has md5 {digest.hexdigest()}, expected {expected} as "
                f"{self.folder}.dvc says; `dvc push` it anew from where it is whole"
            )
        return path


class Streamed(Table):
    """A file that is brought whenever its rows are read, and has the columns of the first."""

    def __init__(self, name: str, csv: Csv | None, store: _Store, first: Table) -> None:
        self.store, self.first = store, first
        self.opened: Table | None = None
        """The reader of the file while it is here, which says where a fault is."""
        super().__init__(Path(name), csv)

    def _shapes(self) -> dict[str, tuple[int | None, ...]]:
        return self.first.shapes

    def demand_kinds(self, kinds: Mapping[str, Kind]) -> None:
        """Is done when the file is here."""

    def batches(self, kinds: Mapping[str, Kind]) -> Iterator[Batch]:
        with temporary_folder() as place:
            part = open_table(self.store.bring(self.path.as_posix(), place), self.csv)
            Parts(self.path, [self.first, part])  # the columns are the same
            part.let_vary(self.varying)
            part.let_miss(self.optional)
            part.demand_kinds(kinds)
            self.opened = part
            yield from part.batches(kinds)

    def line(self, row: int) -> int | None:
        return self.opened.line(row) if self.opened else None

    def fault(self, row: int, column: str, problem: str) -> DataError:
        if self.opened is None:
            return super().fault(row, column, problem)
        return self.opened.fault(row, column, problem)


@contextmanager
def _translate_remote_errors(folder: Path) -> Iterator[None]:
    """Makes what DVC and its remotes raise one line."""
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexError

    try:
        yield
    except (DvcException, DataIndexError, OSError) as fault:
        first = " ".join(str(fault).split()) or type(fault).__name__
        raise DataError(
            f"{folder}: not here, and not to be had from DVC's remote: {first}"
        ) from None
