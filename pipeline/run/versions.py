"""Artifacts that were made with other versions of what computes than are installed here.

They stay usable, and DVC takes them for up to date: a line says so, and how to make them anew.
"""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pipeline import provenance
from pipeline.config.reading import flatten
from pipeline.project import PARENTS
from pipeline.run import dvc_file

ALWAYS = "numpy"
BENEATH = {"keras": "tensorflow"}
"""What computes for a library that only describes."""
FRAMEWORKS = ("keras", "tensorflow", "torch")
"""What counts where a model's configuration names no library, but functions of models/ alone."""


def warn(stage: str, inputs: Iterable[str], parent: str | None) -> None:
    """Prints a line for each input of the stage, and its parent, made with other versions.

    Of an input that another input was made from, the stage between them has told already.
    """
    stages = dvc_file.stages()
    maker_of = {path: maker for path, maker in dvc_file.makers().items() if path in set(inputs)}
    made_upstream = {dep for maker in maker_of.values() for dep in stages[maker].get("deps", [])}
    lines = [
        line(Path(path), maker) for path, maker in maker_of.items() if path not in made_upstream
    ]
    if parent and not any("train" in stages[each].get("params", []) for each in maker_of.values()):
        lines.append(line(PARENTS / parent, None))
    for text in filter(None, lines):
        print(f"{stage}: {text}", file=sys.stderr, flush=True)


def line(artifact: Path, maker: str | None) -> str | None:
    """Returns what was other when the artifact was made, and how to make it anew; None where
    nothing was, or where its statement cannot be read, which others judge."""
    changes = differences(artifact)
    if not changes:
        return None
    command = f"dvc repro --force {maker}" if maker else f"python -m pipeline.reproduce {artifact}"
    return f"{artifact} was made with {', '.join(changes)}; `{command}` makes it anew"


def differences(artifact: Path) -> list[str]:
    """Returns each version that was other at the making, as "numpy 1.26.4 (2.4.0 here)"."""
    try:
        definition = provenance.read(artifact)["predicate"]["buildDefinition"]
        then, now = map(_versions, (definition["internalParameters"], provenance.environment()))
        names = ["python", *_computing(definition["externalParameters"]["params"], then)]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    pairs = ((name, then.get(name), now.get(name, "none")) for name in names)
    return [f"{name} {old} ({new} here)" for name, old, new in pairs if old and old != new]


def _versions(environment: Mapping[str, Any]) -> dict[str, str]:
    return {"python": environment["python"], **environment["packages"]}


def _computing(params: Mapping[str, Any], installed: Mapping[str, str]) -> list[str]:
    """Returns the packages that computed: numpy and, of a model, the libraries that it is of."""
    if "model" not in params:
        return [ALWAYS]
    targets = [v for k, v in flatten(params["model"]).items() if k.endswith("_target_")]
    named = [*targets, *params["model"].get("libraries", [])]
    libraries = {name.partition(".")[0].replace("_", "-") for name in named} & set(installed)
    libraries = libraries or set(FRAMEWORKS)
    return sorted({ALWAYS, *libraries, *(BENEATH[each] for each in libraries & set(BENEATH))})
