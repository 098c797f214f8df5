"""The programs in other languages that a complete model carries: each has run with this model.

A card names what ran, so a program is written, built, run with the examples, and taken out again
where that fails. `verify` builds and runs it once more, with all of the reference.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline import runtimes
from pipeline.complete_model import running
from pipeline.config.params import Limits
from pipeline.config.params import Runtimes as Chosen
from pipeline.errors import FormatError
from pipeline.runtimes.contract import FOLDER

LIMITS = Limits(memory_gib=16, minutes=10, file_gib=4)
EXAMPLES = ("one", "seven")


def write(
    directory: Path, schema: dict[str, Any], held: Sequence[str], chosen: Chosen, threads: int
) -> dict[str, Any]:
    """Returns what formats.json says of them; nothing where none is chosen.

    Raises FormatError for a required one that did not run, or answers otherwise.
    """
    wanted = list(dict.fromkeys([*chosen.required, *chosen.attempt]))
    refused: dict[str, str] = {}
    for name in wanted:
        try:
            _write(name, directory, schema, held, threads)
        except ValueError as fault:
            shutil.rmtree(directory / FOLDER / name, ignore_errors=True)
            if name in chosen.required:
                raise FormatError(
                    f"export.runtimes.required: {name}: {fault}; or leave it out"
                ) from fault
            refused[name] = str(fault)
        print(f"{name}: {refused.get(name, 'ran')}", flush=True)
    if not wanted:
        return {}
    ran = [name for name in wanted if name not in refused]
    required = [name for name in ran if name in chosen.required]
    return {FOLDER: {"held": ran, "required": required, "refused": refused}}


def _write(
    name: str, directory: Path, schema: dict[str, Any], held: Sequence[str], threads: int
) -> None:
    """Raises ValueError in one line for a program that cannot run, or answers otherwise."""
    taken = runtimes.declared(name).format
    if taken not in held:
        raise ValueError(f"takes the format {taken}, which the model does not hold")
    folder = directory / FOLDER / name
    folder.mkdir(parents=True)
    for file, text in runtimes.program(name).files(directory, schema).items():
        (folder / file).write_text(text)
    batches = {each: directory / f"examples/{each}.npz" for each in EXAMPLES}
    ran = running.answer(name, directory, batches, LIMITS, threads, timed=False)
    if ran.missing or ran.fault:
        raise ValueError(f"not run here: {ran.missing}" if ran.missing else ran.fault)
    if ran.trained and ran.trained.fault:
        raise ValueError(f"training on with {ran.trained.format}: {ran.trained.fault}")
