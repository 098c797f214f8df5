"""What every kind of program is held to, whoever made it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import foreign, formats
from pipeline.errors import DataError

Arrays = dict[str, np.ndarray]


def opened(path: Path) -> Any:
    """What the only kind that knows it reads."""
    assert [n for n in foreign.names() if foreign.kind(n).recognizes(path)] == [
        foreign.recognized(path)
    ]
    return foreign.read(path)


def adopted(
    path: Path, directory: Path, inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> str:
    """Writes the program as its format has it; returns the format."""
    form: str = opened(path).model["program"]
    directory.mkdir()
    formats.adopter(form).adopt(path, directory, inputs, outputs)
    formats.screen(form).screen(directory)
    return form


def answers(path: Path, directory: Path, arrays: Arrays, outputs: Mapping[str, str]) -> Arrays:
    """What the adopted program answers to these, by names of ours."""
    inputs = {f"in.{n}": name for n, name in enumerate(arrays)}
    form = adopted(path, directory, inputs, outputs)
    given = {own: arrays[name] for own, name in inputs.items()}
    answered = formats.loader(form).load(directory)(given)
    assert list(answered) == list(outputs)
    return answered


def refusal(path: Path, directory: Path) -> str:
    """What is said of a program that is refused, in one line that begins with its path or, where
    only bringing it into form shows it, that the stage `train` puts the path before; nothing is
    written then."""
    directory.mkdir(exist_ok=True)
    try:
        program = foreign.read(path)
    except DataError as fault:
        text = str(fault)
        assert text.startswith(f"{path}: ")
    else:
        form = program.model["program"]
        inputs = {name: name for name in program.program.inputs}
        outputs = {name: name for name in program.program.outputs}
        with pytest.raises(ValueError) as raised:
            formats.adopter(form).adopt(path, directory, inputs, outputs)
        text = str(raised.value)
        assert str(directory) not in text
    assert "\n" not in text
    assert len(text) < 700
    assert list(directory.iterdir()) == []
    return text


def contents(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}
