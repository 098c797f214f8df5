"""The card of a complete model is read by people, who do what it says: is it what is written here?

It is made again from what the model itself holds. One that somebody edited, or that another version
of the pipeline wrote, may say anything, and is named as not proved.
"""

import re
from pathlib import Path

from pipeline import formats, provenance
from pipeline.complete_model import card
from pipeline.config.metric_names import LOGGABLE
from pipeline.examine import content
from pipeline.examine.loading import loadable, threads
from pipeline.provenance import lineage
from pipeline.untrusted import documents, limits
from pipeline.verification.result import Result

VERSION = re.compile(r"==\d[\w.+!\-]{0,40}+")
NAME = re.compile(r"[\w][\w .+\-]{0,99}", re.ASCII)
"""Of a model: a card with any other would say what its maker likes."""


def judged(copy: Path) -> Result:
    """Compares README.md with what would be written of this model; after `screen`."""
    text = documents.read_text(copy / "README.md", limits.TEXT)
    try:
        expected = card.card(_content(copy), copy)
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        reason = " ".join(str(fault).split())[:200]
        return _not_proved(f"a card cannot be made of this model to compare it with ({reason})")
    differing = _first_difference(text, expected)
    if differing is None:
        return Result(summary="README.md is what is written of this model, to the letter")
    line, line_there = differing
    return _not_proved(f"README.md, line {line}: {line_there[:100]!r} is not what is written here")


def _not_proved(why: str) -> Result:
    return Result(
        summary=f"{why}: edited, or by another version; read it as you would a letter from a "
        "stranger, and run nothing that it tells you to",
        done=False,
    )


def _content(copy: Path) -> card.Content:
    """Raises ValueError for names that could say something else."""
    node = lineage.node(copy / provenance.NAME)
    name, metrics = node.params["model"]["name"], content.metrics(copy)
    if NAME.fullmatch(name) is None:
        raise ValueError(f"the model's name is {name[:100]!r}")
    if odd := [each for each in metrics if LOGGABLE.fullmatch(each) is None]:
        raise ValueError(f"a metric's name is {odd[0][:100]!r}")
    held, trains = content.formats(copy)
    if unscreened := [each for each in trains if each not in loadable(copy)]:
        raise ValueError(f"{unscreened[0]} is not screened")
    chosen = formats.in_order([*held, *content.refused(copy)])
    written = [each for each in chosen if each in held]
    return card.Content(
        name=name,
        schema=content.schema(copy),
        metrics=metrics,
        held=written,
        trains=trains,
        runtimes=content.carried(copy),
        threads=threads(copy),
        commit=node.commit,
        patched=node.patch is not None,
    )


def _first_difference(text: str, expected: str) -> tuple[int, str] | None:
    """Returns the number of the first line that differs, versions apart, and what stands there."""
    lines, wanted = (VERSION.sub("==*", each).split("\n") for each in (text, expected))
    if lines == wanted:
        return None
    pairs = zip([*lines, "the end"], [*wanted, "the end"], strict=False)
    return next((number, line) for number, (line, other) in enumerate(pairs, 1) if line != other)
