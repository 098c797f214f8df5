"""What every artifact says of how it was made, and how that is written, read and checked.

`statement` writes provenance.json, last of all files; `digests` says what a digest is of; `lineage`
reads the statements of all that an artifact was made from; `judging` says what one must be before
anything goes by it; `git` is the one caller of git.

`reproduce` runs `environment` and `digest` in clones of commits that may be older or newer than
itself, so these two are imported from here for good.

It imports untrusted.
"""

from pipeline.provenance.digests import NAME, counted, counts, digest, files, folded
from pipeline.provenance.environments import environment
from pipeline.provenance.statement import build_definition, faults, params, read, sealed, write
from pipeline.provenance.work_tree import CODE, NOT_CODE, PATCH, code, patched

__all__ = [
    "CODE",
    "NAME",
    "NOT_CODE",
    "PATCH",
    "build_definition",
    "code",
    "counted",
    "counts",
    "digest",
    "environment",
    "faults",
    "files",
    "folded",
    "params",
    "patched",
    "read",
    "sealed",
    "write",
]
