"""What a stranger can do to a complete model: change it, and write a statement that fits."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline import provenance

Edit = Callable[[dict[str, Any]], object]
Names = list[dict[str, Any]]


def fresh(model: Path, directory: Path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(model, directory / "stranger"))


def reseal(directory: Path, edit: Edit | None = None, more: Names | None = None) -> Path:
    """Writes a statement that fits whatever lies there; `edit` changes its definition first, and
    `more` stands in front of its subject."""
    statement = json.loads((directory / provenance.NAME).read_text())
    definition = statement["predicate"]["buildDefinition"]
    if edit:
        edit(definition)
    names = provenance.files(directory)
    subject = [{"name": n, "digest": {"sha256": provenance.digest(directory / n)}} for n in names]
    text = provenance.sealed([*(more or []), *subject], definition)
    (directory / provenance.NAME).write_text(text)
    return directory


def nested(depth: int, inner: str = "1") -> str:
    """JSON in which mappings lie in each other."""
    return '{"a":' * depth + inner + "}" * depth


def chain(directory: Path, length: int, deps: int) -> Path:
    """Gives a model a lineage of its own: each statement names the one before, `deps` times."""
    statement = json.loads((directory / provenance.NAME).read_text())
    base = statement["predicate"]["buildDefinition"]
    code = base["resolvedDependencies"][0]
    shutil.rmtree(directory / "lineage")
    (directory / "lineage").mkdir()
    before: str | None = None

    def named() -> Names:
        return [
            {"name": f"artifacts/{n}", "digest": {"sha256": before}}
            for n in range(deps if before else 0)
        ]

    for number in range(length):
        definition = {
            **base,
            "externalParameters": {"stage": f"s{number}", "params": {}},
            "internalParameters": {"python": "3.11.7", "platform": "x", "packages": {}},
            "resolvedDependencies": [code, *named()],
        }
        text = provenance.sealed([], definition)
        (directory / f"lineage/s{number}.json").write_text(text)
        before = hashlib.sha256(text.encode()).hexdigest()
    return reseal(directory, lambda each: each.update(resolvedDependencies=[code, *named()]))
