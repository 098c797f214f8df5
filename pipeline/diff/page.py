"""The report of diff becomes one page for people."""

from pathlib import Path
from typing import Any

from pipeline.diff import text
from pipeline.html import render

TEMPLATE = Path(__file__).with_suffix(".html")


def as_page(report: dict[str, Any]) -> str:
    return render(TEMPLATE, report=report, text=text, sections=list(text.SECTIONS))
