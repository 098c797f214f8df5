"""The chosen epoch as a complete model: one directory that predicts and trains on without this
repository."""

import json
import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import numpy as np

from pipeline import formats, provenance
from pipeline.complete_model import card, mlmodel
from pipeline.config.params import ExportParams
from pipeline.errors import FormatError, ParamsError
from pipeline.files import write_atomically
from pipeline.provenance import lineage
from pipeline.run import stage
from pipeline.training import parts
from pipeline.training.parts import build

EXAMPLES = ("one", "seven")
"""Batches of the reference that travel with the model."""

STEPS = "training"
"""So do the steps that the source took on, with a model that can be trained on."""


def export_complete(checkpoint: Path, models: Path, output: Path, params: ExportParams) -> None:
    """Writes every format of params.export.formats, or raises FormatError; and of
    params.export.attempt those that can hold the model."""
    if params.lineage.strict:
        demand_commit(checkpoint)
    schema = json.loads((checkpoint / "schema.json").read_text())
    framework = parts.framework(params.model, params.train)
    training = build(params.model, params.train, schema, "cpu")
    framework.load(training, checkpoint / f"checkpoint{framework.SUFFIX}")
    framework.seed(schema["seed"], training)
    example = np.load(checkpoint / "reference" / f"{STEPS}.npz")
    inputs = {name: example[f"input.{name}"] for name in schema["inputs"]}
    step = {"training": training, "target": example["target"], "seed": schema["seed"]}

    outputs = list(schema["outputs"])
    refused: dict[str, str] = {}

    def trains_on(name: str) -> bool:
        if params.train.parent is not None:
            return bool(name == training.form)
        return params.export.train and formats.declared(name).promises.trainable

    written = in_order(chosen(params))
    for name in list(written):
        before = set(provenance.files(output))
        try:
            if params.train.parent is not None:
                framework.export(training, name, inputs, outputs, output)
            elif trains_on(name):
                model = framework.predictor(training)
                formats.training_exporter(name).export(model, inputs, outputs, output, **step)
            else:
                model = framework.predictor(training)
                formats.exporter(name).export(model, inputs, outputs, output)
        except ValueError as fault:
            _leave_out(name, str(fault), params, output, before)
            refused[name] = str(fault)
            written.remove(name)
        print(f"{name}: {refused.get(name, 'written')}", flush=True)

    trains = [name for name in written if trains_on(name)]
    (output / "examples").mkdir()
    for batch in (*EXAMPLES, *([STEPS] if trains else [])):
        shutil.copyfile(checkpoint / "reference" / f"{batch}.npz", output / f"examples/{batch}.npz")
    for name in ("schema.json", "metrics.json"):
        shutil.copyfile(checkpoint / name, output / name)
    held = [name for name in chosen(params) if name in written]
    kept = {"held": held, "trains": trains, "refused": refused}
    write_atomically(output / "formats.json", json.dumps(kept, indent=1) + "\n")
    write_atomically(output / "requirements.txt", requirements(written))
    mlmodel.write(output, schema, written, np.load(output / "examples/one.npz"))
    write_atomically(
        output / "README.md", card.card(params, schema, checkpoint, written, trains, output)
    )


def demand_commit(checkpoint: Path) -> None:
    """A commit alone names the code at hand and that of every stage before. Raises ParamsError."""
    code, patch = provenance.code(Path())
    wanted = "lineage.strict: expected code that a commit alone names, found"
    if code["digest"]["gitCommit"] is None:
        raise ParamsError(f"{wanted} none at all; commit it, or set lineage.strict=false")
    if patch:
        files = ", ".join(provenance.patched(patch))
        raise ParamsError(f"{wanted} changes in {files}; commit them, or set lineage.strict=false")
    for node in lineage.nodes(checkpoint).values():
        if node.commit is None or node.patch:
            raise ParamsError(
                f"{wanted} a {node.stage} ({node.digest[:8]}) made from code that was not "
                f"committed; run `dvc repro --force {node.stage}`, or set lineage.strict=false"
            )


def chosen(params: ExportParams) -> list[str]:
    """Required formats, then those to attempt that take the framework's models."""
    framework, export = params.model.framework, params.export
    for name in export.formats:
        takes = formats.declared(name).frameworks
        if framework not in takes:
            raise ParamsError(
                f"export.formats: found {name}, which takes models of {', '.join(takes)}, "
                f"expected formats for {framework}"
            )
    fitting = [n for n in export.attempt if framework in formats.declared(n).frameworks]
    return list(dict.fromkeys([*export.formats, *fitting]))


def in_order(names: list[str]) -> list[str]:
    """One that refers to another's file comes after it."""
    return sorted(names, key=lambda name: len(set(formats.declared(name).after) & set(names)))


def _leave_out(name: str, fault: str, params: ExportParams, output: Path, before: set[str]) -> None:
    """Removes what the format has begun to write; a required one ends the stage."""
    if name in params.export.formats:
        trains = params.export.train and formats.declared(name).promises.trainable
        raise FormatError(
            f"{params.model.name} does not fit the format {name}: {fault}; "
            f"{'set export.train=false, ' if trains else ''}"
            "leave it out of export.formats or change the model"
        )
    for file in set(provenance.files(output)) - before:
        (output / file).unlink()


def requirements(names: Iterable[str]) -> str:
    """What it takes to load them, at the versions they were written with."""
    needed = sorted(
        {distribution for name in names for distribution in formats.declared(name).requires}
    )
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in needed)


if __name__ == "__main__":
    stage.main(export_complete)
