"""A program's files: those that lie in its folder here, with the numbers of the model at hand."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline import formats, runtimes
from pipeline.formats.tolerance import widened

JAVASCRIPT = Path(__file__).with_name("_javascript")
"""What programs in it share."""

TRAINING = "training.js"
"""That of it which trains on."""


def of(name: str, schema: Mapping[str, Any], *folders: Path, **values: str) -> dict[str, str]:
    """Returns the files of the folders, where @ATOL@, @RTOL@ and @<KEY>@ of each value stand for
    what they are."""
    values = {**_allowed(name, schema), **values}
    texts = {path.name: path.read_text() for path in _paths(*folders)}
    for key, value in values.items():
        texts = {file: text.replace(f"@{key}@", value) for file, text in texts.items()}
    return texts


def javascript(
    name: str, schema: Mapping[str, Any], directory: Path, folder: Path, **values: str
) -> dict[str, str]:
    """Returns the files of the folder and those that programs share; what trains on only where the
    complete model in `directory` can be."""
    taken = runtimes.trains(name, directory)
    if not taken:
        files = of(name, schema, folder, JAVASCRIPT, **values)
        return {file: text for file, text in files.items() if file != TRAINING}
    within = formats.declared(taken).continuation
    assert within is not None  # of a format that can be trained on it never is
    values |= {"TRAINING_ATOL": repr(within.atol), "TRAINING_RTOL": repr(within.rtol)}
    return of(name, schema, folder, JAVASCRIPT, **values)


def _allowed(name: str, schema: Mapping[str, Any]) -> dict[str, str]:
    """Returns how far a program's answers may be off."""
    declared = formats.declared(runtimes.declared(name).format).tolerance
    promised = widened(declared, schema.get("rounding", 0.0))
    atol, rtol = runtimes.tolerance(name, promised.atol, promised.rtol)
    return {"ATOL": repr(atol), "RTOL": repr(rtol)}


def _paths(*folders: Path) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(path for path in folder.iterdir() if path.is_file())  # no __pycache__


def demand_types(name: str, schema: Mapping[str, Any]) -> None:
    """Raises ValueError in one line for an input or an output whose dtype the program has no array
    for."""
    types = runtimes.declared(name).types
    for side in ("inputs", "outputs"):
        for each, entry in schema[side].items():
            if entry["dtype"] not in types:
                raise ValueError(
                    f"{name}: {side} {each} is {entry['dtype']}, of which its program reads none; "
                    f"it takes {', '.join(types)}"
                )
