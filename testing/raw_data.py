"""A folder of raw data, prepared or refused as a configuration has it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import PrepareParams
from pipeline.config.reading import read
from pipeline.data.splits import SPLITS
from pipeline.errors import DataError
from pipeline.prepare import prepare
from testing.prepared import NO_SPLIT, SPLIT, refused

LABEL = {"label": {"source": "label", "classes": 2}}


@dataclass(frozen=True)
class RawData:
    root: Path

    @property
    def data(self) -> Path:
        return self.root / "data"

    def write(self, name: str, content: bytes | str) -> Path:
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def write_arrays(self, **config: Any) -> Path:
        """The output of `prepare`."""
        values = {"name": "raw", "file": None, "rows": None, "id": None, "ignore": []}
        values |= {"targets": LABEL, "csv": None, "split": NO_SPLIT | SPLIT, "dimensions": {}}
        output = self.root / "output"
        output.mkdir(exist_ok=True)
        prepare(self.data, output, read(PrepareParams, {"data": values | config}))
        return output

    def prepare(self, **config: Any) -> dict[str, np.ndarray]:
        """All rows of each array by name, in the order of the splits."""
        output = self.write_arrays(**config)
        names = {p.relative_to(output / "train").as_posix() for p in output.rglob("train/*/*.npy")}
        return {
            Path(name).stem: np.concatenate([np.load(output / each / name) for each in SPLITS])
            for name in sorted(names)
        }

    def refuses_late(self, *words: str, error: type[Exception] = DataError, **config: Any) -> None:
        """One line that has all the words, whatever was written: the stage then removes it."""
        with refused(*words, error=error):
            self.prepare(**config)

    def refuses(self, *words: str, error: type[Exception] = DataError, **config: Any) -> str:
        """One line that has all the words, and nothing written."""
        with refused(*words, error=error) as line:
            self.prepare(**config)
        assert not list((self.root / "output").rglob("*.npy")), line
        return line[0]
