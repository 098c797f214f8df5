"""Checks, a module each; contract.py says what each has to be."""

import importlib
from pathlib import Path
from typing import cast

from pipeline.verification.checks.contract import Check


def names() -> list[str]:
    files = Path(__file__).parent.glob("[!_]*.py")
    return sorted(path.stem for path in files if path.stem != "contract")


def named(name: str) -> Check:
    return cast(Check, importlib.import_module(f"{__name__}.{name}"))


def about(name: str) -> str:
    """Returns what it checks, in one line for the report's reader."""
    return (named(name).__doc__ or "").strip().partition("\n")[0]
