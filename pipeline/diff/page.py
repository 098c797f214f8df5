"""The report of diff becomes one page for people."""

from pathlib import Path
from typing import Any

from pipeline.diff import text
from pipeline.html import charts, render

TEMPLATE = Path(__file__).with_suffix(".html")


def as_page(report: dict[str, Any]) -> str:
    """Returns HTML of what `compare` gives."""
    tensors = report["weights"].get("differing", [])
    moved = [each["relative"] for each in tensors if each.get("relative") is not None]
    return render(
        TEMPLATE,
        report=report,
        text=text,
        sections=list(text.SECTIONS),
        curves=learning_curves(report["metrics"]["history"]),
        farthest=max(moved, default=0) or 1,
    )


def learning_curves(history: dict[str, Any]) -> list[charts.Panel]:
    """Returns the curves of both sides, or of the one whose history is at hand."""
    known = {name: history[name.lower()] for name in ("A", "B") if history[name.lower()]}
    chosen = {name: each["epoch"] for name, each in known.items() if each["epoch"] is not None}
    return charts.learning_curves({name: each["curves"] for name, each in known.items()}, chosen)
