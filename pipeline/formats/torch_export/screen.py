"""Refuses what could run, before torch reads it.

`torch.export.load` trusts its file: it unpickles sample inputs and marked weights, evaluates shape
expressions as Python, looks operators up by any name under `torch`, and writes node names into code
that it compiles. So all of that is read here first, and the export is held to the same rules.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._json import LIMIT, parse
from .._zip import Span, read_span, spans
from ._names import FILE, LOSS, MODEL, OPTIMIZER, SIGNATURE, TRAIN
from ._screen_optimizer import check_optimizer
from ._screen_payloads import check_payloads
from ._screen_program import check_program

PROGRAM = f"({MODEL}|{TRAIN}|{LOSS})"
MEMBER = re.compile(
    r"[\w-]+/(archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    rf"|models/{PROGRAM}\.json|data/sample_inputs/{PROGRAM}\.pt|extra/{re.escape(SIGNATURE)}"
    rf"|data/weights/(weight_\d+|{PROGRAM}_weights_config\.json)"
    rf"|data/constants/(tensor_\d+|{PROGRAM}_constants_config\.json))",
    re.ASCII,
)

SIGNED = {"inputs", "outputs", "targets", "loss", "own"}
"""What signature.json may name."""


def screen(directory: Path) -> None:
    """Raises ValueError unless all is plain data, and every name and expression in it inert.

    It reads tables, JSON and a pickle's opcodes; torch is not loaded. What a program made of
    torch's own operators computes, for how long and with how much memory, cannot be told from it.
    """
    for file, check in ((FILE, _check_programs), (OPTIMIZER, check_optimizer)):
        if file == FILE or (directory / file).exists():
            try:
                check(directory / file)
            except (KeyError, TypeError, AttributeError, IndexError, OSError) as error:
                raise ValueError(
                    f"{directory / file}: not laid out as it is written here "
                    f"({type(error).__name__}: {error}); do not load it"
                ) from error


def _check_programs(path: Path) -> None:
    members = spans(path)
    _check_members(path, members)
    for name, content in _json_members(path, members):
        where = f"{path}: {name}"
        if name.endswith("_config.json"):
            folder = name.rpartition("/")[0]
            check_payloads(content["config"], folder, members, where)
        elif "/models/" in name:
            check_program(content, where)
        else:
            _check_signature(content, where)


def _check_members(path: Path, members: dict[str, Span]) -> None:
    roots = {name.partition("/")[0] for name in members}
    if len(roots) != 1:
        raise ValueError(f"{path}: malformed archive, expected one root folder; do not load it")
    for name, (_, size) in members.items():
        pickled = "/sample_inputs/" in name and size > 0
        if MEMBER.fullmatch(name) is None or pickled:
            raise ValueError(
                f"{path}: member {name!r} may hold a pickle or code, expected plain tensors and "
                "JSON; do not load it"
            )


def _check_signature(content: Any, where: str) -> None:
    """Raises ValueError unless it names inputs and outputs and, of a training, targets, what the
    loss compares, and the net's own methods that make the loss."""
    kinds = set(content)
    lists = [content[kind] for kind in SIGNED & kinds]
    plain = all(isinstance(each, list) and all(isinstance(n, str) for n in each) for each in lists)
    if not {"inputs", "outputs"} <= kinds <= SIGNED or not plain:
        raise ValueError(f"{where}: expected lists of names alone; do not load it")


def _json_members(path: Path, members: dict[str, Span]) -> Iterator[tuple[str, Any]]:
    """Yields each JSON member's name and content, all of them within the limit for one."""
    left = LIMIT
    for name, span in members.items():
        if name.endswith(".json"):
            left -= span[1]
            if left < 0:
                raise ValueError(f"{path}: over {LIMIT} bytes of JSON; do not load it")
            yield name, parse(read_span(path, span), f"{path}: {name}")
