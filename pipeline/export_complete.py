"""The chosen epoch as a complete model: one directory that predicts without this repository."""

import json
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import numpy as np

from pipeline import mlmodel, model_card, provenance, stage
from pipeline.components import build, plugin
from pipeline.errors import FormatError, ParamsError
from pipeline.params import ExportParams
from pipeline.provenance import write_atomically

EXAMPLES = ("one", "seven")
"""Batches of the reference that travel with the model."""


def export_complete(checkpoint: Path, models: Path, output: Path, params: ExportParams) -> None:
    """Writes every format of params.export.formats, or raises FormatError; and of
    params.export.attempt those that can hold the model."""
    schema = json.loads((checkpoint / "schema.json").read_text())
    framework = plugin("frameworks", params.model.framework)
    training = build(framework, params.model, params.train, schema["inputs"], trains=False)
    framework.load(training, checkpoint / f"checkpoint{framework.SUFFIX}")
    example = np.load(checkpoint / "reference" / "seven.npz")
    inputs = {name: example[f"input.{name}"] for name in schema["inputs"]}

    refused: dict[str, str] = {}
    formats = in_order(chosen(params))
    for name, written in list(formats.items()):
        before = set(provenance.files(output))
        try:
            written.export(framework.predictor(training), inputs, list(schema["outputs"]), output)
        except ValueError as fault:
            _leave_out(name, str(fault), params, output, before)
            refused[name] = str(fault)
            del formats[name]
        print(f"{name}: {refused.get(name, 'written')}", flush=True)

    (output / "examples").mkdir()
    for batch in EXAMPLES:
        shutil.copyfile(checkpoint / "reference" / f"{batch}.npz", output / f"examples/{batch}.npz")
    for name in ("schema.json", "metrics.json"):
        shutil.copyfile(checkpoint / name, output / name)
    kept = {"held": [n for n in chosen(params) if n in formats], "refused": refused}
    write_atomically(output / "formats.json", json.dumps(kept, indent=1) + "\n")
    write_atomically(output / "requirements.txt", requirements(formats))
    mlmodel.write(output, schema, list(formats))
    write_atomically(output / "README.md", model_card.card(params, schema, checkpoint, formats))


def chosen(params: ExportParams) -> list[str]:
    """Required formats, then those to attempt that take the framework's models."""
    framework, export = params.model.framework, params.export
    for name in export.formats:
        takes = plugin("formats", name).FRAMEWORKS
        if framework not in takes:
            raise ParamsError(
                f"export.formats: found {name}, which takes models of {', '.join(takes)}, "
                f"expected formats for {framework}"
            )
    fitting = [n for n in export.attempt if framework in plugin("formats", n).FRAMEWORKS]
    return list(dict.fromkeys([*export.formats, *fitting]))


def in_order(names: Iterable[str]) -> dict[str, ModuleType]:
    """Formats by name; one that refers to another's file comes after it."""
    found = {name: plugin("formats", name) for name in names}
    return dict(sorted(found.items(), key=lambda item: len(set(item[1].AFTER) & set(found))))


def _leave_out(name: str, fault: str, params: ExportParams, output: Path, before: set[str]) -> None:
    """Removes what the format has begun to write; a required one ends the stage."""
    if name in params.export.formats:
        raise FormatError(
            f"{params.model.name} does not fit the format {name}: {fault}; "
            "leave it out of export.formats or change the model"
        )
    for file in set(provenance.files(output)) - before:
        (output / file).unlink()


def requirements(formats: dict[str, ModuleType]) -> str:
    """What it takes to load them, at the versions they were written with."""
    needed = sorted(
        {distribution for written in formats.values() for distribution in written.REQUIRES}
    )
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in needed)


if __name__ == "__main__":
    stage.main(export_complete)
