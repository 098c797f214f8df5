"""Every byte is what the statement says, and the statement names the checkpoint at hand."""

from pathlib import Path

from pipeline import provenance
from pipeline.verification.evidence import Evidence
from pipeline.verification.result import Fault, Result

COPIES = {"schema.json": "schema.json", "metrics.json": "metrics.json"}
EXAMPLES = "examples"


def check(evidence: Evidence) -> Result:
    """Compares bytes with the statement; nothing is loaded."""
    directory, checkpoint = evidence.complete_model, evidence.checkpoint
    faults = provenance.faults(directory)
    if not faults:
        faults = [*_lineage(directory, checkpoint), *_copies(directory, checkpoint)]
    measured = {"files": len(evidence.files), "bytes": sum(evidence.files.values())}
    return Result(faults=tuple(map(Fault, faults)), measured=measured)


def _lineage(directory: Path, checkpoint: Path) -> list[str]:
    definition = provenance.read(directory)["predicate"]["buildDefinition"]
    named = {dep["name"]: dep["digest"].get("sha256") for dep in definition["resolvedDependencies"]}
    actual = provenance.digest(checkpoint)
    if actual in named.values():
        return []
    recorded = named.get("artifacts/checkpoint", "nothing")
    text = f"made from the checkpoint {recorded}, but {checkpoint} is {actual}"
    return [f"{directory / provenance.NAME}: {text}; run `dvc repro export-complete`"]


def _copies(directory: Path, checkpoint: Path) -> list[str]:
    """Yields what a stranger reads or tries out that is not what the checkpoint recorded."""
    copies = dict(COPIES)
    for path in sorted((directory / EXAMPLES).glob("*")):
        copies[f"{EXAMPLES}/{path.name}"] = f"reference/{path.name}"
    return [
        f"{directory / copy}: not the checkpoint's {original}"
        for copy, original in copies.items()
        if not _equal(directory / copy, checkpoint / original)
    ]


def _equal(copy: Path, original: Path) -> bool:
    both = copy.is_file() and original.is_file()
    return both and provenance.digest(copy) == provenance.digest(original)
