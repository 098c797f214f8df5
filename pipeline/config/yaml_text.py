"""YAML 1.2 is read and written by the parser that DVC uses, so that both see the same values."""

import copy
import io
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pipeline.errors import ParamsError

VALUES = 1_000_000
"""Of a YAML file with aliases; a dvc.lock has some thousands."""


def load_yaml(text: str, where: str) -> Any:
    """Reads YAML 1.2 by the parser that DVC uses, for the same values (1e-3 is a number).

    The values are the caller's own. Raises ParamsError naming `where` and the line, and for aliases
    that stand for more values than any file has.
    """
    from ruamel.yaml.error import MarkedYAMLError

    try:
        value = _parsed(text)
        if "&" in text and "*" in text:
            _demand_bounded(value, where)
        return copy.deepcopy(value)
    except RecursionError:
        raise ParamsError(f"{where}: nested deeper than any configuration; flatten it") from None
    except MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else "?"
        raise ParamsError(f"{where}: line {line}: no YAML: {fault.problem}") from None


@lru_cache(256)
def _parsed(text: str) -> Any:
    """Returns a text's values, parsed once: a stage reads dvc.yaml five times, in all a tenth of a
    second."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(text)


def _demand_bounded(value: Any, where: str) -> None:
    """Counts what stands there once aliases are written out: nine of nine, nine deep, is a
    billion."""
    sizes: dict[int, int] = {}
    waiting = [(value, False)]
    while waiting:
        each, behind = waiting.pop()
        children = each.values() if isinstance(each, Mapping) else each
        if not isinstance(each, Mapping | list) or (id(each) in sizes and not behind):
            continue
        if behind:
            sizes[id(each)] = 1 + sum(sizes.get(id(child), 1) for child in children)
            if sizes[id(each)] > VALUES:
                raise ParamsError(f"{where}: its aliases stand for more than {VALUES} values")
        else:
            sizes[id(each)] = VALUES  # until it is known: what stands in itself has no end
            waiting += [(each, True), *((child, False) for child in children)]


def dump_yaml(values: Any) -> str:
    """Writes block style, keys in their order: the same text for the same values."""
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 100
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
