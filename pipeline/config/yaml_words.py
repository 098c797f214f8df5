"""Hydra reads conf/ as YAML 1.1, to which NO is false, 012 is 10 and 1:30 is 90.

A text that is read as something else is refused before it becomes a column or a name.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import ParamsError

BOOLEAN = re.compile("yes|no|on|off", re.IGNORECASE)
"""Words that YAML 1.1 reads as true or false beside these two themselves."""
NUMBER = re.compile(r"[-+]?(0_*[0-7][0-7_]*|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)")
"""Numbers with a leading zero, which are octal, and with a colon, which count by sixties."""
KEYS = ("bool", "float", "null")
"""What no key of a mapping is meant to be."""


def demand_readable(path: Path) -> None:
    """Raises ParamsError for a file that is not UTF-8, or no YAML, with byte or line."""
    _root(path)


def demand_plain(path: Path) -> None:
    """Raises ParamsError for the first word that YAML reads as something else, with its line."""
    for node, is_key in _scalars(_root(path)):
        kind = node.tag.rpartition(":")[2]
        if node.style is None and (_misread(node.value, kind) or (is_key and kind in KEYS)):
            line = node.start_mark.line + 1
            raise ParamsError(
                f"{path}: line {line}: YAML reads {node.value or 'nothing'} as {_read(node)}; "
                f'quote it: "{node.value}"'
            )


def _root(path: Path) -> Any:
    import yaml
    from omegaconf._utils import get_yaml_loader

    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=get_yaml_loader())
    except UnicodeDecodeError as fault:
        at = f"byte {fault.start + 1}"
        raise ParamsError(f"{path}: {at} is not UTF-8; save the file as UTF-8") from None
    except yaml.MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else "?"
        raise ParamsError(f"{path}: line {line}: no YAML: {fault.problem}") from None
    except yaml.YAMLError as fault:
        raise ParamsError(f"{path}: no YAML: {' '.join(str(fault).split())}") from None


def _misread(text: str, kind: str) -> bool:
    if kind == "bool":
        return BOOLEAN.fullmatch(text) is not None
    return kind in ("int", "float") and NUMBER.fullmatch(text) is not None


def _read(node: Any) -> str:
    import yaml
    from omegaconf._utils import get_yaml_loader

    value = get_yaml_loader()("").construct_object(node)
    return str(yaml.safe_dump(value).split("\n")[0])


def _scalars(node: Any, is_key: bool = False) -> Iterator[tuple[Any, bool]]:
    """Yields each scalar, and whether it is a mapping's key."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key, True)
            yield from _scalars(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item)
    elif isinstance(node, yaml.ScalarNode):
        yield node, is_key
