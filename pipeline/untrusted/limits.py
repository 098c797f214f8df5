"""How much of what a stranger made is read at most, in one place, and why so much.

A genuine complete model stays far below each. Its weights have no bound of their own here: hundreds
of GB are nothing odd, and they are hashed or mapped, never parsed. But they must lie there: a file
of holes costs its sender nothing, and its reader a read of every byte that is not there.
"""

FILES, DEPTH, NAME = 10_000, 12, 200
"""Files and directories of a complete model, directories within each other, characters of a name. A
SavedModel has about ten files, three deep."""

ARTIFACT_FILES = 100_000
"""Files of any other artifact: a training has a few for each of its epochs."""

HOLES = 4 << 30
"""Bytes that files name and do not store, all together, unless as many are stored: file systems
compress, leave zeros out and keep one copy of what is there twice, but not this much."""

SIGNED = 1 << 40
"""Bytes of a directory whose signature is checked: every one of them is hashed."""

STATEMENT = 16 << 20
"""Bytes of a statement; that of a directory with 100,000 files has about as many."""

STATEMENTS, LINEAGE = 500, 32 << 20
"""Statements that an artifact carries, and bytes of all: a training has three or four of about
30 KB, so that is for one that was trained on a hundred times. Git is asked for each one's code."""

DEPS = 2000
"""Deps of a statement: dvc.yaml names about ten for a stage."""

PATCH = 64 << 20
"""Bytes of a patch, which is what was not committed of one repository's code."""

TEXT = 4 << 20
"""Bytes of a description: card, schema, metrics, MLmodel."""

LISTING = 64 << 20
"""Bytes of a list of files or epochs that is read line by line: a signature, a history, an index of
weights."""

JSON_DEPTH = 64
"""Mappings and lists within each other; parameters of a model are the deepest, with about ten."""

JSON_VALUES = 1_000_000
"""Values in one JSON, counted by its brackets and commas: each takes about 70 bytes of memory."""

DIGITS = 400
"""Characters of a number in JSON: a double has 17, and 326 where zeros are written out."""

TABLE = 4 << 20
"""Bytes of an archive's table of contents: an example has a few arrays, each with a hundred."""

EXAMPLES = 4 << 30
"""Bytes of an example's arrays, which are held in memory: seven rows of what a model takes."""

INTERPOLATIONS, INTERPOLATED, NESTED = 10_000, 1 << 20, 10
"""Interpolations that are followed, characters that come of them, and how many lead through each
other: a configuration has about five, one deep."""
