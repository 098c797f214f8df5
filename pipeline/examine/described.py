"""schema.json of a stranger's: what it may say of inputs, targets and outputs."""

import math
import re
from collections.abc import Callable, Mapping, Set
from typing import Any

from pipeline.examine import meanings
from pipeline.sandbox.worker.perturbation import MOST_ROUNDING

VALUES = 1 << 28
"""Of one row of one input or output."""

DTYPES = (
    *("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"),
    *("bool", "string"),
)
WORD = re.compile(r"[A-Za-z_][\w.\-]{0,99}")
TOKENIZER = re.compile(r"tokenizer(\.[A-Za-z_]\w{0,99})?\.json")
DIGEST = re.compile(r"[0-9a-f]{64}")


def demand(holds: bool, what: str) -> None:
    """Raises ValueError, which says what was expected, unless it holds."""
    if not holds:
        raise ValueError(f"expected {what}")


SCHEMA: dict[str, Callable[[Any], bool]] = {
    "inputs": lambda v: _tensors(v, optional=meanings.OF_INPUT),
    "outputs": lambda v: _tensors(v),
    "dimensions": lambda v: _bounds(v),
    "target": lambda v: (
        isinstance(v, dict)
        and set(v) == {"dtype", "classes"}
        and v["dtype"] in DTYPES
        and _classes(v["classes"])
    ),
    "targets": lambda v: (
        v == {}
        or (
            _tensors(v, {"classes", "labels"})
            and all(_classes(each["classes"]) for each in v.values())
        )
    ),
    "decisions": lambda v: (
        isinstance(v, dict) and len(v) < 1000 and all(map(_decision, v.values()))
    ),
    "predictions": lambda v: v is None or _decision(v),
    "rows": lambda v: isinstance(v, dict) and all(map(_count, v.values())),
    "sources": lambda v: isinstance(v, list) and all(map(_word, v)),
    "epoch": lambda v: _count(v),
    "epochs_before": lambda v: _count(v),
    "seed": lambda v: _count(v),
    "threshold": lambda v: isinstance(v, float) and math.isfinite(v),
    "start": lambda v: _start(v),
    "made_up": lambda v: v is True,
    "rounding": lambda v: isinstance(v, float) and 0 <= v <= MOST_ROUNDING,
}
START: dict[str, Callable[[Any], bool]] = {
    "sha256": lambda v: DIGEST.fullmatch(v) is not None,
    "known": lambda v: isinstance(v, dict) and len(v) < 100,
    "unknown": lambda v: v == ["code", "data", "parameters"],
    "tensors": lambda v: _count(v),
    "new": lambda v: _texts(v),
    "left_out": lambda v: _texts(v),
    "optimizer": lambda v: isinstance(v, bool),
    "notes": lambda v: _texts(v),
    "adapter": lambda v: _adapter(v),
}
"""What is said of a checkpoint that training started from."""
DECISION: dict[str, Callable[[Any], bool]] = {
    "output": lambda v: _word(v),
    "target": lambda v: _word(v),
    "kind": lambda v: v in ("argmax", "threshold", "value"),
    "classes": lambda v: _classes(v),
    "axis": lambda v: isinstance(v, int) and -32 < v < 32,
    "threshold": lambda v: v is None or (isinstance(v, float) and math.isfinite(v)),
}
"""How an output becomes a decision."""
VARYING: dict[str, Callable[[Any], bool]] = {
    "pad": lambda v: isinstance(v, int | float) and math.isfinite(v),
    "mask": lambda v: v is True,
    "tokenizer": lambda v: (
        set(v) == {"file", "sha256"}
        and TOKENIZER.fullmatch(v["file"]) is not None
        and DIGEST.fullmatch(v["sha256"]) is not None
    ),
}
"""What is said of an array whose rows differ in length."""
EARLIER = {"target", "threshold"}
"""Keys of a schema from before targets had names; `threshold` is there for one column alone."""
NAMED = {"targets", "decisions", "predictions"}
"""Keys that it has since."""
TRAINING = {"epochs_before", "seed"}
"""Keys of the schema that say where training goes on; there is none without them."""


def demand_schema(value: Mapping[str, Any]) -> None:
    """Raises ValueError for a schema that says anything else, or speaks of more than can be."""
    there = set(value)
    wanted = set(SCHEMA) - EARLIER if "targets" in there else set(SCHEMA) - NAMED
    wanted -= {"threshold", "dimensions", "start", "made_up", "rounding"} - there
    wanted -= set() if TRAINING & there else TRAINING
    demand(set(value) == wanted, f"{', '.join(SCHEMA)} alone")
    for key in wanted:
        demand(SCHEMA[key](value[key]), f"another {key}")
    for key in wanted & {"inputs", "targets", "outputs"}:
        for name, each in value[key].items():
            _demand_sizes(f"{key}.{name}", each["shape"], value.get("dimensions", {}))


def _demand_sizes(name: str, shape: list[Any], bounds: Mapping[str, Any]) -> None:
    named = [size for size in shape if isinstance(size, str)]
    demand(all(size in bounds for size in named), f"bounds of what {name} has in its shape")
    largest = [bounds[size]["most"] if isinstance(size, str) else size or 1 for size in shape]
    demand(math.prod(largest) <= VALUES, f"at most {VALUES} values in {name}")


def tokenizers(schema: Mapping[str, Any]) -> dict[str, str]:
    """Returns the files of tokenizers that a schema names, and the sha256 of each; after
    `demand_schema`."""
    named = (each.get("tokenizer") for each in schema["inputs"].values())
    return {each["file"]: each["sha256"] for each in named if each}


def _tensors(value: Any, more: Set[str] = frozenset(), optional: Set[str] = frozenset()) -> bool:
    return (
        isinstance(value, dict)
        and 0 < len(value) < 1000
        and all(
            _word(name)
            and set(each) - set(VARYING) - optional == {"dtype", "shape", *more}
            and all(VARYING[key](each[key]) for key in set(each) & set(VARYING))
            and each["dtype"] in DTYPES
            and isinstance(each["shape"], list)
            and len(each["shape"]) < 32
            and all(size is None or _count(size) or _word(size) for size in each["shape"])
            and meanings.known(each)
            for name, each in value.items()
        )
    )


def _start(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and {*value, "adapter"} == set(START)
        and all(START[key](each) for key, each in value.items())
    )


def _adapter(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"r", "alpha", "dropout", "targets"}
        and _count(value["r"])
        and all(isinstance(value[each], int | float) for each in ("alpha", "dropout"))
        and _texts(value["targets"])
    )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _decision(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == set(DECISION)
        and all(is_right(value[key]) for key, is_right in DECISION.items())
    )


def _classes(value: Any) -> bool:
    return value is None or (_count(value) and value > 1)


def _bounds(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _word(name)
        and set(each) == {"least", "most"}
        and all(map(_count, each.values()))
        and 0 < each["least"] < each["most"] <= VALUES
        for name, each in value.items()
    )


def _word(value: Any) -> bool:
    return isinstance(value, str) and WORD.fullmatch(value) is not None


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63
