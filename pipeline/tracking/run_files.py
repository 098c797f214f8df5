"""A run has files beside the complete model: parameters, statements, the report, pictures."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.errors import PipelineError
from pipeline.tracking.content import RunContent

Files = list[tuple[str, bytes]]
"""Name below the run's artifacts, and content."""


@contextlib.contextmanager
def drawing(content: RunContent) -> Iterator[Callable[[], Files]]:
    """Draws in another process meanwhile; gives a function that waits for the pictures.

    It raises PipelineError with the last thing that process had to say.
    """
    classes = json.dumps(_classes(content.schema))
    files = (content.train / "history.csv", content.checkpoint / "predictions.csv")
    command = [sys.executable, "-m", "pipeline.tracking.pictures", *map(str, files), classes]
    with (
        tempfile.TemporaryDirectory() as scratch,
        subprocess.Popen([*command, scratch], stderr=subprocess.PIPE, text=True) as process,
    ):

        @cache
        def pictures() -> Files:
            said = process.communicate()[1].split("\n")
            if process.returncode:
                raise PipelineError(f"pictures of {files[0]} and {files[1]}: {said[-2:][0]}")
            return [(f"plots/{p.name}", p.read_bytes()) for p in sorted(Path(scratch).iterdir())]

        try:
            yield pictures
        finally:
            process.terminate()


def artifacts(content: RunContent) -> Iterator[tuple[str, bytes]]:
    """Yields name and bytes of parameters, statements and the report of verify."""
    import yaml

    yield (
        "params.yaml",
        yaml.safe_dump(content.params, sort_keys=False, allow_unicode=True).encode(),
    )
    for artifact in content.artifacts.values():
        statement = artifact.directory / provenance.NAME
        yield f"provenance/{artifact.node.stage}.json", statement.read_bytes()
    for path in (content.verify_report, content.verify_report.with_suffix(".html")):
        if path.is_file():
            yield f"verify/{path.name}", path.read_bytes()


def _classes(schema: Mapping[str, Any]) -> list[str] | None:
    """Returns the names of the classes that predictions.csv has, None where it has none."""
    shown = schema.get("predictions") or {}
    if shown.get("classes") is None:
        return None
    names: list[str] | None = schema["targets"][shown["target"]]["labels"]
    return names or [str(number) for number in range(shown["classes"])]
