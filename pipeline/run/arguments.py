"""A stage's signature says what it gets: each Path is an option, each dataclass is read from
params.yaml."""

import argparse
import inspect
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from pipeline.config.reading import read
from pipeline.config.yaml_text import load_yaml
from pipeline.errors import ParamsError
from pipeline.project import PARAMS

Stage = Callable[..., None]


def arguments(stage: Stage) -> dict[str, Any]:
    """Returns what the stage is called with: paths of the command line and checked params."""
    signature = inspect.signature(stage, eval_str=True).parameters
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{stage.__name__}")
    for parameter in signature.values():
        if parameter.annotation is Path:
            option = f"--{parameter.name.replace('_', '-')}"
            parser.add_argument(option, type=Path, required=True, metavar="PATH")
    values = vars(parser.parse_args())
    for parameter in signature.values():
        kind = parameter.annotation
        if isinstance(kind, type) and is_dataclass(kind):
            values[parameter.name] = read(kind, params_file())
    return values


def sections(stage: Stage) -> list[str]:
    """Returns the sections of params.yaml that the stage reads."""
    parameters = inspect.signature(stage, eval_str=True).parameters.values()
    kinds = [p.annotation for p in parameters if is_dataclass(p.annotation)]
    return [field.name for kind in kinds for field in fields(kind)]


def params_file() -> dict[str, Any]:
    """Returns params.yaml of the working directory as plain values. Raises ParamsError."""
    if not PARAMS.is_file():
        raise ParamsError(f"{PARAMS}: missing; run `dvc repro compose` in the repository's root")
    values = load_yaml(PARAMS.read_text(), str(PARAMS))
    if not isinstance(values, dict):
        raise ParamsError(f"{PARAMS}: found no mapping; run `git checkout {PARAMS}` to get it back")
    return values
