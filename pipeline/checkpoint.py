"""The chosen epoch in full, and the reference: what the trained model answers, and what it becomes
in a few more steps, as plain arrays.

After it nothing needs models/.
"""

import csv
import json
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import written
from pipeline.config.params import CheckpointParams
from pipeline.data import arrays as prepared
from pipeline.files import write_atomically
from pipeline.frameworks import _npz as npz
from pipeline.frameworks.contract import TrainingModule
from pipeline.reference import tokenized, trained
from pipeline.reference.recording import record
from pipeline.reference.source import Source
from pipeline.run import parent, stage, start
from pipeline.run.made_here import is_made_here
from pipeline.training import checkpoints, parts
from pipeline.training.deciding import Deciding
from pipeline.training.decision import Decision
from pipeline.training.epochs import end_epoch, epoch_batches, judge
from pipeline.training.history import HISTORY, best_epoch, judged_here, read_history, row_of
from pipeline.training.model_faults import PYTHONS, translate_model_faults
from pipeline.training.parts import build, seed
from pipeline.training.recomputed import demand_recomputed


def checkpoint(
    train: Path, data: Path, models: Path, output: Path, params: CheckpointParams
) -> None:
    """Picks the epoch by params.checkpoint.metric and judges it on the test split."""
    schema = prepared.schema(data)
    framework = parts.training_module(params.model, params.train)
    epochs = parts.epoch_module(params.model, params.train)
    history = checkpoints.at_hand(epochs, train, read_history(train / HISTORY))
    metric, mode = params.checkpoint.metric, params.checkpoint.mode
    chosen = best_epoch(history, metric, mode, "checkpoint.metric")
    epoch_file = checkpoints.epoch_file(epochs, train, chosen)
    training = build(params.model, params.train, schema, "cpu")
    before = parts.epochs_before(params.train)
    inputs, targets = prepared.split(data, "train")
    if params.train.adapts:
        from pipeline.training.start import beginning

        beginning(framework, params)(training, inputs)
    epochs.load(training, epoch_file)
    deciding = Deciding(training, params.model, params.train, schema, inputs, targets)
    decisions = deciding.of_metrics()
    predictions = deciding.of_predictions(decisions)
    exact, reached = is_made_here(train / HISTORY), row_of(history, chosen)
    given = (framework, training, data, "val", params.train, decisions)
    demand_recomputed(partial(judge, *given), reached, exact)
    _write_whole(params, training, data, epoch_file, output / f"checkpoint{framework.SUFFIX}")
    shutil.copyfile(train / HISTORY, output / HISTORY)

    source = Source(
        framework=framework,
        training=training,
        refusals=PYTHONS + _refusing(params, framework).FAULTS,
    )
    recorded, notes = record(source, data, output / "reference", params.checkpoint.many)
    tokenized.record(data, output, schema)
    schema |= recorded | {"sources": parts.sources(params.model, framework, training)}
    schema["epoch"] = chosen
    if framework.TRAINS:
        schema |= {"epochs_before": before, "seed": seed(params.train.seed, before + chosen + 1)}
    schema["decisions"] = {name: each.as_mapping() for name, each in decisions.items()}
    schema["predictions"] = predictions and predictions.as_mapping()
    if (train / start.TAKEN).is_file():
        schema["start"] = json.loads((train / start.TAKEN).read_text())
    write_atomically(output / "schema.json", json.dumps(schema, indent=1) + "\n")
    metrics = {k: v for k, v in reached.items() if k in judged_here(reached, params.train)}
    labels = schema["targets"][predictions.target]["labels"] if predictions else None
    judged = (data, output, params, decisions, predictions, labels)
    metrics |= _judge(framework, training, *judged)
    if schema.get("made_up"):
        metrics = {}
    write_atomically(output / "metrics.json", json.dumps(metrics, indent=1) + "\n")
    shown = {"epoch": chosen} | {k: round(v, 4) for k, v in metrics.items() if "test/" in k}
    print(
        "  ".join(f"{name} {value}" for name, value in shown.items()), *notes, sep="\n", flush=True
    )
    if framework.TRAINS:
        reference = output / "reference"
        _record_steps(framework, training, data, reference, schema, params, reached["val/loss"])


def _write_whole(
    params: CheckpointParams, training: Any, data: Path, epoch_file: Path, target: Path
) -> None:
    """Has the epoch with all that it is of lie there, too: the file of an adapter's epoch lacks the
    base, and what ranks wrote lies in parts."""
    if not params.train.adapts and epoch_file.is_file():
        written.link(epoch_file, target)
        return
    framework = parts.framework_of(params.model)
    if params.train.adapts:
        from pipeline.training.adapted import demand_merged

        demand_merged(framework, training, data)
    framework.save_whole(training, target)


def _refusing(params: CheckpointParams, framework: TrainingModule[Any]) -> TrainingModule[Any]:
    """Returns what raises on rows that are refused: the framework, also of a complete model in its
    place, or the program that has none."""
    return framework if params.model.program else parts.framework_of(params.model)


def _record_steps(
    framework: TrainingModule[Any],
    training: Any,
    data: Path,
    reference: Path,
    schema: dict[str, Any],
    params: CheckpointParams,
    val_loss: float,
) -> None:
    """Takes more steps, as the next epoch would begin; an epoch ends in the middle of them.

    training.npz has the rows of all steps one after the other ("step" says whose they are), each
    step's loss, "ends_epoch", and "val_loss", which is told at the end of an epoch. trained.npz has
    the state afterwards, or its digests, and the answers to the batch `seven`.
    """
    inputs, targets = prepared.split(data, "train")
    epoch = schema["epochs_before"] + schema["epoch"] + 1
    steps = _steps(params, epoch, prepared.count(inputs))
    ends = np.arange(len(steps)) == len(steps) // 2 - 1
    framework.seed(schema["seed"], training)
    losses = []
    for rows, last in zip(steps, ends, strict=True):
        with translate_model_faults(framework, "in a step after the chosen epoch"):
            losses.append(np.asarray(framework.step(training, inputs, targets, rows)))
        if last:
            end_epoch(framework, training, val_loss)
    arrays = _of_steps({f"input.{name}": array for name, array in inputs.items()}, steps)
    arrays |= _of_steps({f"target.{name}": array for name, array in targets.items()}, steps)
    arrays |= {"loss": np.stack(losses), "ends_epoch": ends}
    arrays["val_loss"] = np.array(val_loss)
    arrays["step"] = np.repeat(np.arange(len(steps)), [len(rows) for rows in steps])
    npz.write(reference / "training.npz", arrays.items())

    with np.load(reference / "seven.npz") as seven:
        batch = {name: seven[f"input.{name}"] for name in inputs}
    answers, _ = framework.evaluate(training, batch, None)
    trained.write(reference / "trained.npz", answers, partial(framework.views, training))


def _of_steps(
    arrays: Mapping[str, np.ndarray], steps: Sequence[np.ndarray]
) -> dict[str, np.ndarray]:
    """Returns the rows of all steps, which are padded to the largest of them, and the size of each
    step's own: input.<name>, target.<name>, and size.<array> of an array that varies, a number a
    step, or one for each axis of a row until the last that varies."""
    all_rows, result = np.concatenate(steps), {}
    for name, array in arrays.items():
        result[name] = array[all_rows]
        if prepared.varies(array):
            sizes = np.array([prepared.longest(array, rows) for rows in steps])
            result[f"size.{name}"] = sizes[:, 0] if sizes.shape[1] == 1 else sizes
    return result


def _steps(params: CheckpointParams, epoch: int, rows: int) -> list[np.ndarray]:
    """Returns the row numbers of each step, in the epoch's order and in batches of the sizes that
    params name in turn."""
    shuffled = np.concatenate(epoch_batches(params.train, epoch, rows))
    sizes = np.resize(params.checkpoint.batch_sizes, params.checkpoint.steps)
    ends = np.cumsum(sizes)
    return np.split(np.resize(shuffled, ends[-1]), ends[:-1])


def _judge(
    framework: TrainingModule[Any],
    training: Any,
    data: Path,
    output: Path,
    params: CheckpointParams,
    decisions: Mapping[str, Decision],
    shown: Decision | None,
    labels: Sequence[str] | None,
) -> Mapping[str, float]:
    """Writes predictions.csv of the test split, with names of classes where they have some, and
    nothing but its head where no output has one value a row; returns the metrics, test/<name>."""
    with (output / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["actual", "predicted"])

        def look(truths: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
            if shown is None:
                return
            pairs = shown.pairs(truths[shown.target], outputs[shown.output])
            columns = [each.tolist() for each in pairs]
            if labels:
                columns = [[labels[int(number)] for number in each] for each in columns]
            writer.writerows(zip(*columns, strict=True))

        return judge(framework, training, data, "test", params.train, decisions, look)


if __name__ == "__main__":
    stage.main(checkpoint, code_by_params=parent.code)
