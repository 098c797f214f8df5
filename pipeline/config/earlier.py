"""What earlier versions wrote is read as what stands for it since."""

from collections.abc import Mapping
from typing import Any

ADDED: dict[str, Any] = {
    "augment": None,
    "libraries": [],
    "rename": {},
    "weights_of": None,
    "program": None,
}
"""Keys of `model` that not every version had."""


DISTRIBUTED: dict[str, Any] = {"processes": 1, "strategy": "ddp", "nodes": 1, "timeout": 45}
"""Of `train`, from before several processes could train together."""
RUNTIMES: dict[str, Any] = {"required": [], "attempt": []}
"""Of `export`, in which not every version had them."""


def schema(values: dict[str, Any]) -> dict[str, Any]:
    """Returns a schema with its targets by name; of those from before there was one, without, that
    the first output answered."""
    if "target" not in values:
        return values
    only = {"shape": [], "labels": None} | values["target"]
    named = {k: v for k, v in values.items() if k != "target"} | {"targets": {"target": only}}
    if "outputs" in values:
        classes, threshold = only["classes"], values.get("threshold")
        kind = "value" if classes is None else "argmax" if threshold is None else "threshold"
        answer = {"output": next(iter(values["outputs"])), "target": "target", "kind": kind}
        named["predictions"] = answer | {"classes": classes, "axis": 1, "threshold": threshold}
    return named


def params(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a configuration from before targets had names with its only one called target, and
    from before models could be augmented, rename the tensors of a checkpoint, be run in other
    languages, or be trained by several processes, with none of it."""
    model, data, export = values.get("model"), values.get("data"), values.get("export")
    train = values.get("train")
    if isinstance(model, Mapping):
        values = {**values, "model": {**ADDED, **model}}
    if isinstance(train, Mapping):
        values = {**values, "train": {"distributed": DISTRIBUTED, **train}}
    if isinstance(export, Mapping):
        values = {**values, "export": {"runtimes": RUNTIMES, **export}}
    if isinstance(data, Mapping) and "made_up" not in data:
        data = {**data, "made_up": False}
        values = {**values, "data": data}
    if not isinstance(data, Mapping) or "targets" in data or "target" not in data:
        return values
    others = {name: value for name, value in data.items() if name != "target"}
    return {**values, "data": {**others, "targets": {"target": data["target"]}}}
