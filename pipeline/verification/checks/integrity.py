"""Every byte is what the statement says, and the statement names the checkpoint at hand."""

from pathlib import Path

from pipeline import provenance
from pipeline.verification.evidence import Evidence, Result

COPIES = {"schema.json": "schema.json", "metrics.json": "metrics.json"}
EXAMPLES = "examples"


def check(evidence: Evidence) -> Result:
    """Reads bytes and loads nothing."""
    directory, checkpoint = evidence.complete_model, evidence.checkpoint
    faults = provenance.faults(directory)
    if not faults:
        faults = [*_lineage(directory, checkpoint), *_copies(directory, checkpoint)]
    names = provenance.files(directory)
    size = sum((directory / name).stat().st_size for name in names)
    return Result(
        faults=[(None, fault) for fault in faults],
        measured={"files": len(names), "bytes": size},
    )


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
    """What a stranger reads and tries out is what the checkpoint recorded."""
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
