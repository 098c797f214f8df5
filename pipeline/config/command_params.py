"""A command in the place of the training loop: the keys of `train` that say what it is."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import ParamsError

if TYPE_CHECKING:
    from pipeline.config.train_params import Train

PLACES = ("output", "data", "arguments", "resume", "start", "options")
NUMBERS = ("seed", "threads", "device", "epochs", "batch_size", "lr")
NAMED = re.compile(r"\{([a-z_]+)\}")
COLUMN = re.compile(r"(train|val)/[\w. -]+")
ONLY = ("code", "arguments", "checkpoint", "history")
"""Keys that say something of a command alone."""
KEYS = ("command", *ONLY)
OWN_LOOP = ("parent", "early_stopping", "averaging", "adapter", "new_weights")
"""Keys that say something of the loop in its place."""


@dataclass(frozen=True, kw_only=True)
class CommandHistory:
    file: str | None = None
    """The log below {output}, a file or folder, where * stands for any text; null finds it."""
    columns: Mapping[str, str | None] | None = None
    """What the log calls a value -> train/<name> or val/<name>; null leaves it out."""

    def __post_init__(self) -> None:
        for theirs, ours in (self.columns or {}).items():
            if ours is not None and not COLUMN.fullmatch(ours):
                raise ParamsError(
                    f"train.history.columns.{theirs}: found {ours}, expected train/<name>, "
                    "val/<name> or null"
                )


def demand_consistent(train: "Train") -> None:
    """Raises ParamsError for keys that do not go with a command, or with none."""
    if train.command is None:
        for name in ONLY:
            if value := getattr(train, name):
                raise ParamsError(
                    f"train.{name}: found {value!r}, expected none without train.command"
                )
        return
    for name in OWN_LOOP:
        if value := getattr(train, name):
            raise ParamsError(
                f"train.{name}: found {value!r}, expected none with train.command, whose loop is "
                "its own"
            )
    _demand_words(train.command)
    texts = " ".join([train.command, *map(str, _leaves(train.arguments))])
    if "{output}" not in texts:
        raise ParamsError(
            f"train.command: found {train.command!r}, expected {{output}} in it: the folder that "
            "it is to write to, `--out {output}` for instance"
        )
    if train.start is not None and "{start}" not in texts:
        raise ParamsError(
            f"train.command: found {train.command!r} with train.start, expected {{start}} in it: "
            "the checkpoint that it is to start from, `--from {start}` for instance; or set "
            "train.start to null"
        )


def _demand_words(command: str) -> None:
    try:
        words = shlex.split(command)
    except ValueError as fault:
        raise ParamsError(f"train.command: found {command!r}: {fault}; quote it in pairs") from None
    if not words:
        raise ParamsError("train.command: found no word, expected a program and its arguments")
    allowed = (*PLACES, *NUMBERS)
    for name in NAMED.findall(command):
        if name not in allowed:
            listed = ", ".join(f"{{{each}}}" for each in allowed)
            raise ParamsError(f"train.command: found {{{name}}}, expected one of {listed}")


def _leaves(value: object) -> list[object]:
    if isinstance(value, Mapping):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, list | tuple):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]
