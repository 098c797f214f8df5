"""What a runtime is: a folder that declares which format it takes, and brings a program that loads
it, answers the examples and says how far it is from the trained model.

The program lies in the complete model as `runtimes/<name>/` and is called alike in every language:
    <program> [--answers FOLDER] [--time FILE] [EXAMPLES.npz ...]
It answers each file's `input.<name>` (one row and seven of `examples/` unless others are named),
prints how far each `output.<name>` is off, and ends with 0, or with 1 where that is further than
the format promises, or with 2 and a last line that says why it could not. FOLDER gets its answers,
each as `<file>.<name>.npy`. FILE gets JSON: `load_seconds`, `first_seconds` (an answer to the first
file), `median_1_seconds` and `median_32_seconds` (of a hundred answers to so many rows).

One that trains on, where the complete model holds the format that it does it with, also takes
    <program> --train [--answers FOLDER] [STEPS.npz EXAMPLES.npz]
the steps of the first file (examples/training.npz) and answers the second (examples/seven.npz)
after them. It prints how far each loss is off, and ends likewise. FOLDER gets what came of it, as
`<kind>.<name>.npy`: `losses` by the step's number, `state` and `answers`, as trained.npz of the
reference has them, and each name as in a URL (`%2F`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.formats.tolerance import EXACT, Tolerance

FOLDER = "runtimes"
"""Of a complete model, with a folder for each."""

SEARCHED = "/usr/local/bin:/usr/bin:/bin"
"""Where programs are looked for, unless a Place has another PATH."""


class NotHere(Exception):
    """This machine lacks what the runtime needs; its text says what to install, in one line."""


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """What a runtime says of itself, as `RUNTIME` in its __init__.py."""

    format: str
    """Whose files it takes, and whose tolerance it is held to, unless `rounds` is a wider one."""
    trains: str = ""
    """Whose training it goes on with, and whose tolerance of that it is held to; none where it
    predicts alone."""
    title: str
    """The language and the library, as a heading of the card."""
    needs: str
    """What it takes, for a table."""
    systems: str
    """Operating systems and processors that its packages are built for."""
    types: tuple[str, ...]
    """Of inputs and outputs that its program reads and writes, as schema.json names them."""
    rounds: Tolerance = EXACT
    """How far its answers may be off where that is more than the format's tolerance: it adds up in
    another order than the format's own library does."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What of it this machine has."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that program and build are started with."""
    readable: Sequence[Path] = ()
    """Beside the system's own folders and the complete model."""
    serves: bool = False
    """Its program serves the model to a browser, on the port of this machine that PORT names."""


class Program(Protocol):
    """The part `program`."""

    def find(self) -> Place:
        """Raises NotHere."""

    def files(self, directory: Path, schema: Mapping[str, Any]) -> Mapping[str, str]:
        """Returns the program's files for the complete model in `directory`, text by name; the same
        for the same model. Raises ValueError in one line for a model that it cannot run."""

    def build(self, source: Path, target: Path) -> list[str]:
        """Returns the command that builds the program in `source` and writes to `target` alone; it
        is empty where nothing is built. Relative paths are of the source."""

    def run(self, source: Path, target: Path) -> list[str]:
        """Returns the command that starts it, without its arguments."""

    def card(self, directory: Path) -> str:
        """Returns the shell commands of somebody who has the complete model in `directory` alone,
        and stands there."""
