"""A small raw file is prepared in a folder of its own, or refused in one line."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.config.params import PrepareParams
from pipeline.config.reading import read
from pipeline.data.splits import SPLITS
from pipeline.errors import DataError, PipelineError
from pipeline.prepare import prepare

SPLIT = {"val": 0.2, "test": 0.2, "seed": 0}
NO_SPLIT = dict.fromkeys(("val", "test", "seed", "by", "group", "time"))


@contextlib.contextmanager
def refused(*words: str, error: type[Exception] = DataError) -> Iterator[list[str]]:
    """Fails unless what runs within raises the error, in one line that has all the words; yields
    a list that gets the line."""
    line: list[str] = []
    with pytest.raises(error) as caught:
        yield line
    message = str(caught.value)
    line.append(message)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def an_input(source: Any, dtype: str = "float32", shape: Any = (), **more: Any) -> dict[str, Any]:
    return {"source": source, "dtype": dtype, "shape": list(shape), **more}


def prepared(folder: Path, file: Any, **changes: Any) -> dict[str, np.ndarray]:
    """The arrays of all splits by their path below the output, which is folder/output.

    Without changes the file has a column `x`, and a column `label` of two classes.
    """
    values: dict[str, Any] = {"name": "small", "file": file, "id": None, "ignore": []}
    values |= {
        "inputs": {"x": an_input("x")},
        "targets": {"label": {"source": "label", "classes": 2}},
    }
    values |= {"csv": None, "rows": None, "dimensions": {}, **changes}
    values["split"] = NO_SPLIT | changes.get("split", SPLIT)
    output = folder / "output"
    output.mkdir(exist_ok=True)
    prepare(folder, output, read(PrepareParams, {"data": values}))
    files = sorted(output.rglob("*.npy"))
    return {str(path.relative_to(output)): np.load(path, mmap_mode="r") for path in files}


def together(arrays: dict[str, np.ndarray], name: str) -> np.ndarray:
    return np.concatenate([arrays[f"{split}/{name}.npy"] for split in SPLITS])


def refusal(folder: Path, file: Any, **changes: Any) -> str:
    """The one line that it ends in, before anything is written."""
    with pytest.raises(PipelineError) as caught:
        prepared(folder, file, **changes)
    assert "\n" not in str(caught.value)
    assert not list((folder / "output").rglob("*.*"))
    return str(caught.value)
