"""dvc.yaml of the working directory says what a stage is made from, and who makes a path."""

from pathlib import Path
from typing import Any

from pipeline.config.yaml_text import load_yaml


def stages() -> dict[str, Any]:
    entries: dict[str, Any] = load_yaml(Path("dvc.yaml").read_text(), "dvc.yaml")["stages"]
    return entries


def deps(stage: str) -> list[str]:
    return list(stages()[stage]["deps"])


def makers() -> dict[str, str]:
    """Returns the stage that writes each output path."""
    return {
        out if isinstance(out, str) else next(iter(out)): stage
        for stage, entry in stages().items()
        for out in entry.get("outs", [])
    }
