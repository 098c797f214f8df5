"""The words of the command: what stands in braces is filled in, and arguments become options."""

import shlex
from collections.abc import Mapping
from typing import Any

from pipeline.config.command_params import NAMED, NUMBERS
from pipeline.config.params import Train
from pipeline.config.reading import flatten

OPTIONS = "{options}"


def words(train: Train, places: Mapping[str, str]) -> list[str]:
    """Returns the program and its arguments; `places` are output, data, arguments, resume and
    start.

    Where neither {arguments} nor {options} stands in the command, the options come last.
    """
    assert train.command is not None
    values = {**places, **_numbers(train)}
    options = [word for pair in _options(train.arguments, values) for word in pair]
    result: list[str] = []
    for word in shlex.split(train.command):
        result += options if word == OPTIONS else [filled(word, values)]
    said = set(NAMED.findall(train.command))
    return result if said & {"arguments", "options"} else [*result, *options]


def arguments(train: Train, places: Mapping[str, str]) -> dict[str, Any]:
    """Returns train.arguments as the file of {arguments} has them."""
    values = {**places, **_numbers(train)}
    filled_in: dict[str, Any] = _filled(train.arguments, values)
    return filled_in


def filled(text: str, values: Mapping[str, str]) -> str:
    """Puts values in the place of their names in braces; other braces stay."""
    return NAMED.sub(lambda match: values.get(match[1], match[0]), text)


def _numbers(train: Train) -> dict[str, str]:
    return {name: str(getattr(train, name)) for name in NUMBERS}


def _filled(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _filled(each, values) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, values) for each in value]
    return filled(value, values) if isinstance(value, str) else value


def _options(given: Mapping[str, Any], values: Mapping[str, str]) -> list[list[str]]:
    """Returns the words of each option: `--name value`, of a mapping `--name.key value`, of a list
    `--name one two`; a null is left out, and true and false are words."""
    leaves = flatten(_filled(given, values)).items()
    return [[f"--{name}", *_texts(each)] for name, each in leaves if each not in (None, {})]


def _texts(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for each in value for text in _texts(each)]
    return [str(value).lower() if isinstance(value, bool) else str(value)]
