"""What a stranger's schema.json may say of dimensions that vary, and of tokenizers."""

import copy
from typing import Any

import pytest

from pipeline.examine.described import demand_schema, tokenizers
from pipeline.examine.examples import _has_shape

DIGEST = "0" * 64
DECISION = {"output": "half", "target": "label", "kind": "argmax", "classes": 3, "axis": 1}
DECISION |= {"threshold": None}
SCHEMA: dict[str, Any] = {
    "inputs": {
        "tokens": {
            "dtype": "int64",
            "shape": ["length"],
            "pad": 0,
            "tokenizer": {"file": "tokenizer.json", "sha256": DIGEST},
        },
        "mask": {"dtype": "float32", "shape": ["length"], "mask": True},
    },
    "targets": {},
    "outputs": {"half": {"dtype": "float32", "shape": [None, 3]}},
    "dimensions": {"length": {"least": 1, "most": 64}},
    "decisions": {"accuracy": DECISION},
    "predictions": DECISION,
    "rows": {"train": 1},
    "sources": ["models"],
    "epoch": 1,
    "epochs_before": 0,
    "seed": 1,
}


def changed(path: str, value: Any) -> dict[str, Any]:
    schema = copy.deepcopy(SCHEMA)
    *above, last = path.split(".")
    entry = schema
    for key in above:
        entry = entry[key]
    entry[last] = value
    return schema


def test_a_schema_with_a_dimension_and_a_tokenizer_is_one() -> None:
    demand_schema(SCHEMA)
    demand_schema(SCHEMA | {"rounding": 0.002})
    assert tokenizers(SCHEMA) == {"tokenizer.json": DIGEST}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dimensions", {}),
        ("dimensions", {"length": {"least": 1}}),
        ("dimensions", {"length": {"least": 0, "most": 4}}),
        ("dimensions", {"length": {"least": 5, "most": 4}}),
        ("dimensions", {"length": {"least": 1, "most": 1 << 40}}),
        ("inputs.tokens.shape", ["width"]),
        ("inputs.tokens.shape", ["length", 1 << 27]),
        ("inputs.tokens.shape", [1.5]),
        ("inputs.tokens.pad", "no number"),
        ("inputs.tokens.pad", float("nan")),
        ("inputs.mask.mask", 1),
        ("inputs.tokens.more", 1),
        ("inputs.tokens.tokenizer", {"file": "../tokenizer.json", "sha256": DIGEST}),
        ("inputs.tokens.tokenizer", {"file": "model.pt2", "sha256": DIGEST}),
        ("inputs.tokens.tokenizer", {"file": "tokenizer.json", "sha256": "0"}),
        ("targets", {"label": {"dtype": "int64", "shape": [], "classes": "2", "labels": None}}),
        ("decisions", {"accuracy": {}}),
        ("decisions", {"accuracy": DECISION | {"more": 1}}),
        ("decisions", {"accuracy": DECISION | {"kind": "call"}}),
        ("decisions", {"accuracy": DECISION | {"axis": "1"}}),
        ("predictions", DECISION | {"threshold": "0"}),
        ("predictions", DECISION | {"classes": -1}),
        ("predictions", {"output": "half"}),
        ("rounding", 0.5),
        ("rounding", -1.0),
        ("rounding", float("nan")),
        ("rounding", "0"),
    ],
)
def test_any_other_is_refused(path: str, value: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        demand_schema(changed(path, value))


def test_a_name_stands_for_one_size_wherever_it_is() -> None:
    sizes: dict[str, int] = {}
    assert _has_shape((2, 5, 3), [2, "length", 3], sizes)
    assert _has_shape((2, 5), [2, "length"], sizes) and sizes == {"length": 5}
    assert not _has_shape((2, 6), [2, "length"], sizes)
    assert _has_shape((2, 9), [2, None], sizes) and not _has_shape((2,), [2, None], sizes)
