"""The chosen epoch as a complete model: one directory that predicts and trains on without this
repository."""

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import formats, provenance
from pipeline.complete_model import attempts, card, mlmodel, programs
from pipeline.config.params import ExportParams, Model
from pipeline.errors import FormatError, ParamsError
from pipeline.files import write_atomically
from pipeline.formats.dimensions import Dimensions, declared
from pipeline.provenance import lineage
from pipeline.run import stage
from pipeline.training import parent, parts
from pipeline.training.program import ProgramModule
from pipeline.written import WrittenPath

EXAMPLES = ("one", "seven")
"""Batches of the reference that travel with the model."""

TEXTS = "tokenized.json"
"""So do texts with their ids, where a tokenizer made what the model takes."""

STEPS = "training"
"""So do the steps that the source took on, with a model that can be trained on."""


def export_complete(checkpoint: Path, models: Path, output: Path, params: ExportParams) -> None:
    """Writes every format of params.export.formats, or raises FormatError; and of
    params.export.attempt those that can hold the model; then the programs that run it in other
    languages."""
    if params.lineage.strict:
        demand_commit(checkpoint)
    schema = json.loads((checkpoint / "schema.json").read_text())
    model = _load(checkpoint, schema, params)
    refused = _write_formats(model, checkpoint, WrittenPath(output), params)
    held = [name for name in chosen(params) if name not in refused]
    written = [name for name in formats.in_order(chosen(params)) if name not in refused]
    trains = [name for name in written if model.trains_on(name)]
    (output / "examples").mkdir()
    for batch in (*EXAMPLES, *([STEPS] if trains else [])):
        shutil.copyfile(checkpoint / "reference" / f"{batch}.npz", output / f"examples/{batch}.npz")
    tokenizers = card.tokenizers(schema)
    for name in ("schema.json", "metrics.json", *tokenizers):
        shutil.copyfile(checkpoint / name, output / name)
    if tokenizers:
        shutil.copyfile(checkpoint / "reference" / TEXTS, output / "examples" / TEXTS)
    mlmodel.write(output, schema, written, np.load(output / "examples/one.npz"))
    carried = programs.write(output, schema, held, params.export.runtimes, params.train.threads)
    listed = {"held": held, "trains": trains, "refused": refused, **carried}
    write_atomically(output / "formats.json", json.dumps(listed, indent=1) + "\n")
    write_atomically(output / "requirements.txt", requirements(written, schema))
    code, patch = provenance.code(Path())
    content = card.Content(
        name=params.model.name,
        schema=schema,
        metrics=json.loads((checkpoint / "metrics.json").read_text()),
        held=written,
        trains=trains,
        runtimes=carried.get("runtimes", {}).get("held", ()),
        threads=params.train.threads,
        commit=code["digest"]["gitCommit"],
        patched=bool(patch),
    )
    write_atomically(output / "README.md", card.card(content, output))


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """The chosen epoch, loaded, with examples for the formats."""

    params: ExportParams
    training: Any
    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    outputs: list[str]
    seed: int
    dimensions: Dimensions

    def trains_on(self, name: str) -> bool:
        """Returns whether the format is to hold what it takes to train on."""
        if self.params.model.program:
            return False
        if self.params.train.parent is not None:
            return bool(name == self.training.form)
        return self.params.export.train and formats.declared(name).promises.trainable

    def export(self, name: str, output: Path) -> None:
        """Raises ValueError in one line where the model does not fit the format."""
        example = (self.inputs, self.outputs, output)
        if self.params.model.program:
            module = ProgramModule(self.params.model.program)
            module.export(self.training, name, *example, self.dimensions)
            return
        if self.params.train.parent is not None:
            parent.export(self.training, name, *example, self.dimensions)
            return
        predictor = parts.framework_of(self.params.model).predictor(self.training, self.inputs)
        if self.trains_on(name):
            step = {"training": self.training, "targets": self.targets, "seed": self.seed}
            exporter = formats.training_exporter(name)
            exporter.export(predictor, *example, **step, dimensions=self.dimensions)
        else:
            formats.exporter(name).export(predictor, *example, dimensions=self.dimensions)


def _load(checkpoint: Path, schema: dict[str, Any], params: ExportParams) -> TrainedModel:
    module = parts.training_module(params.model, params.train)
    training = parts.build(params.model, params.train, schema, "cpu")
    module.load(training, checkpoint / f"checkpoint{module.SUFFIX}")
    module.seed(schema.get("seed", 0), training)
    batch = STEPS if module.TRAINS else EXAMPLES[-1]
    steps = np.load(checkpoint / "reference" / f"{batch}.npz")
    return TrainedModel(
        params=params,
        training=training,
        inputs={name: steps[f"input.{name}"] for name in schema["inputs"]},
        targets={k: steps[f"target.{k}"] for k in schema["targets"] if module.TRAINS},
        outputs=list(schema["outputs"]),
        seed=schema.get("seed", 0),
        dimensions=declared(schema),
    )


def _write_formats(
    model: TrainedModel, checkpoint: Path, output: Path, params: ExportParams
) -> dict[str, str]:
    """Writes each format that can hold the model; returns the others, each with its reason.

    One that is only attempted must also answer as it promises.
    """
    refused: dict[str, str] = {}
    for name in formats.in_order(chosen(params)):
        before = set(provenance.files(output))
        try:
            model.export(name, output)
            if name not in params.export.formats:
                attempts.demand_answers(name, output, checkpoint / "reference")
        except ValueError as fault:
            _leave_out(name, str(fault), params, output, before)
            refused[name] = str(fault)
        print(f"{name}: {refused.get(name, 'written')}", flush=True)
    return refused


def demand_commit(checkpoint: Path) -> None:
    """Raises ParamsError unless a commit alone names the code at hand and that of every stage
    before."""
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
    """Returns the required formats, then those to attempt that take the framework's models."""
    model, export = params.model, params.export
    for name in export.formats:
        if not _takes(name, model):
            takes = formats.declared(name).frameworks
            raise ParamsError(
                f"export.formats: found {name}, which takes models of {', '.join(takes)}, "
                f"expected formats for {model.framework or model.program}"
            )
    fitting = [name for name in export.attempt if _takes(name, model)]
    return list(dict.fromkeys([*export.formats, *fitting]))


def _takes(name: str, model: Model) -> bool:
    return name == model.program or model.framework in formats.declared(name).frameworks


def _leave_out(name: str, fault: str, params: ExportParams, output: Path, before: set[str]) -> None:
    """Removes what the format has begun to write. Raises FormatError for a required one."""
    if name in params.export.formats:
        trains = params.export.train and formats.declared(name).promises.trainable
        raise FormatError(
            f"{params.model.name} does not fit the format {name}: {fault}; "
            f"{'set export.train=false, ' if trains else ''}"
            "leave it out of export.formats or change the model"
        )
    for file in set(provenance.files(output)) - before:
        (output / file).unlink()


def requirements(names: Iterable[str], schema: Mapping[str, Any]) -> str:
    """Returns what it takes to load them, and to make what they take of texts, at the versions they
    were written with."""
    distributions = {each for name in names for each in formats.declared(name).requires}
    distributions |= {"tokenizers"} if card.tokenizers(schema) else set()
    return "".join(f"{name}=={version(name).partition('+')[0]}\n" for name in sorted(distributions))


if __name__ == "__main__":
    stage.main(export_complete)
