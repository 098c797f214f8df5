"""The job of one process: what it is given, what it does, and where it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True)
class Job:
    """Says what one process does; job.json is this, with every path as text."""

    task: Literal["answer", "train", "screen", "time", "tokenize", "adopt"]
    format: str
    complete_model: str
    copy: str | None = None
    """Where a copy with one changed weight, or an adopted program, may be written; null for
    none."""
    batches: Mapping[str, str]
    """Batch -> .npz whose arrays `input.<name>` are given to the model."""
    training: str
    """An .npz with the rows of the steps to take, `step`, `target.<name>` and `ends_epoch`, and
    size.<array> where that is padded beyond the longest row of a step."""
    influence: str | None = None
    """An .npz that says which weights move the source's answers; null where none was recorded."""
    allowed: tuple[float, float] = (0.0, 0.0)
    """atol and rtol of answers: a changed weight must move them by more."""
    questions: str | None = None
    """An .npz with rows that the model may refuse; null where none were recorded."""
    varying: Mapping[str, Any] = field(default_factory=dict)
    """Input whose rows differ in length -> what schema.json says of it."""
    texts: str | None = None
    """A .json with the texts of each input that has a tokenizer, and the tokenizer's file."""
    ports: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """`inputs` and `outputs`, each name that they get -> that in the program to adopt."""
    test: Mapping[str, str] = field(default_factory=dict)
    """Input -> .npy with the rows of the test split."""
    scored: list[str] = field(default_factory=list)
    """The outputs that are written of the test split."""
    test_answers: str | None = None
    """A file to write: for each batch of the test split one .npy an output after the other."""
    digests: bool = False
    """Whether the state after the steps is told by the sha256 of each tensor."""
    rows: int = 0
    """The batch size for the test split."""
    threads: int
    """Of the arithmetic."""
    refused: list[str]
    """Top-level packages that cannot be imported; empty only with `source`."""
    repository: str
    """A directory that is taken off the import path."""
    source: str | None = None
    """The directory that modules may be imported from."""
    answers: str
    """An .npz to write: outputs|again|reloaded|perturbed/<batch>/<output>; or
    losses/<step>, state/<name> and answers/<output>; or ids/<input>/<text>."""
    report: str
    """A .json to write; `error` is null or one line, `at` what was being done then."""
