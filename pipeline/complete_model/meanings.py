"""What the numbers of inputs and targets mean, where a receiver has to know more than their shape.

Texts of the data stand in schema.json alone: a card tells where, and never what a stranger wrote.
"""

from collections.abc import Iterator, Mapping
from typing import Any


def lines(schema: Mapping[str, Any]) -> list[str]:
    """Returns a list in Markdown, with an empty line before it; nothing where there is nothing."""
    meanings = [
        *(line for name, spec in schema["inputs"].items() for line in _input(name, spec)),
        *(line for name, spec in schema.get("targets", {}).items() for line in _target(name, spec)),
    ]
    return ["", *meanings] if meanings else []


def _input(name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    if "time" in spec:
        since = "" if " since " in spec["time"] else " since 1970-01-01"
        yield f"* `{name}` counts {spec['time']}{since}, in UTC."
    if "categories" in spec:
        place, count = f"`inputs.{name}.categories` of `schema.json`", len(spec["categories"])
        yield f"* `{name}` is the place of a text in {place}, from 0; {count} is any other text."
    if spec.get("missing") == "keep":
        nothing = "empty" if spec["dtype"] == "string" else "NaN"
        yield f"* `{name}` may be {nothing} where a value is missing."
    elif "missing" in spec:
        place = f"`inputs.{name}.missing` of `schema.json`"
        yield f"* `{name}` may be NaN where a value is missing: the model takes {place} for it."


def _target(name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("labels"):
        place = f"`targets.{name}.labels` of `schema.json`"
        yield f"* The classes of `{name}` are numbered as in {place}, from 0."


def origin(schema: Mapping[str, Any]) -> str:
    """Returns a paragraph on the checkpoint that the model is, or was trained on from, with an
    empty line after it; nothing where there was none."""
    if "start" not in schema:
        return ""
    start = schema["start"]
    does = "Trained on here from a checkpoint that was made elsewhere"
    merged = ""
    if adapter := start.get("adapter"):
        merged = f"Adapters of rank {adapter['r']} were trained, and are merged with its weights.\n"
    if not schema["epoch"]:
        does = "Trained elsewhere: the weights are those of the checkpoint"
    return (
        f"{does}, sha256\n`{start['sha256']}`. `start` in `schema.json` says what is known of it;\n"
        f"not known are its {', '.join(start['unknown'])}.\n{merged}\n"
    )
