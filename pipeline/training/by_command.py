"""A command of the user's own trains in the place of the loop, and what it leaves becomes the
checkpoint of its epoch."""

import json
import math
from pathlib import Path
from typing import Any

from pipeline import foreign, frameworks
from pipeline.config.params import TrainParams
from pipeline.data import arrays as prepared
from pipeline.errors import DataError, Diverged, ModelError, ParamsError
from pipeline.files import replacing, write_atomically
from pipeline.frameworks.contract import Framework
from pipeline.run import resume_state
from pipeline.run import start as run_start
from pipeline.run.made_here import Clock
from pipeline.training import checkpoints, command, start
from pipeline.training.command import left
from pipeline.training.command.history import history, taken_in
from pipeline.training.deciding import Deciding
from pipeline.training.epochs import adapt, judge
from pipeline.training.history import HISTORY, Row, write_history
from pipeline.training.metrics import demand_metrics
from pipeline.training.parts import build
from pipeline.training.recomputed import ROUNDING
from pipeline.training.trial import demand_trainable

TAKEN = "taken.json"
"""What was taken of the command's checkpoint, and what was not."""


def train_by_command(data: Path, output: Path, params: TrainParams, clock: Clock) -> None:
    """Writes the checkpoint that the command left, and history.csv with what it logged. The model
    of the configuration has shown before that it could be trained, judged and resumed."""
    if params.model.framework is None:
        raise ParamsError(
            "model.framework: found null, expected pytorch or keras with train.command: what it "
            "leaves are the weights of a net; name a model that has one"
        )
    framework: Framework[Any] = frameworks.framework(params.model.framework)
    schema = prepared.schema(data)
    inputs, targets = prepared.split(data, "train")
    demand_metrics(params.train.metrics, schema)

    def built() -> Any:
        return build(params.model, params.train, schema, params.train.device, targets)

    if params.train.start is not None:
        run_start.demand_whole(params.train.start)
    demand_trainable(params, built, lambda *begun: adapt(framework, *begun), data)
    folder = command.train(data, output, params)
    checkpoint = left.chosen(folder, params.train.checkpoint)
    try:
        title, logged = history(folder, params.train)
        origin = foreign.read(checkpoint)
        training = built()
        taken = start.Start(framework, params, checkpoint, origin).take(training, inputs)
    except (DataError, ModelError) as fault:
        raise type(fault)(
            f"{fault}\nThe command has ended well: `python -m pipeline.adopt {checkpoint}` takes "
            "what it left, without training again"
        ) from None
    decisions = Deciding(training, params.model, params.train, schema, inputs, targets).of_metrics()
    epoch = max(1, len(logged) if origin.epoch is None else origin.epoch)
    judged = judge(framework, training, data, "val", params.train, decisions)
    _demand_finite(judged, checkpoint)
    write_history(output / HISTORY, taken_in(logged, epoch, judged))
    clock.mark()
    path = checkpoints.epoch_file(framework, output, epoch)
    with replacing(path) as partial:
        framework.save(training, partial)
    resume_state.save(output, path)
    name = checkpoint.relative_to(folder).as_posix()
    said = {"checkpoint": name, "epoch": epoch, "log": title or None, **taken}
    write_atomically(output / TAKEN, json.dumps(said, indent=1) + "\n")
    start.show(taken)
    command.put_aside(output)
    _report(name, title, logged, epoch, judged)


def _demand_finite(judged: Row, checkpoint: Path) -> None:
    for name, value in judged.items():
        if not math.isfinite(value):
            raise Diverged(f"{checkpoint}: {name} is {value}; nothing is exported")


def _report(name: str, title: str, logged: list[Row], epoch: int, judged: Row) -> None:
    """Prints what was taken in, and where the log says something else of it than is found here."""
    known = f"{title} of {len(logged)} epochs" if logged else "no log: its epoch is the only one"
    print(f"{name}: taken in as epoch {epoch}; {known}", flush=True)
    said = logged[epoch - 1] if epoch <= len(logged) else {}
    for name, value in judged.items():
        print(f"epoch {epoch}  {name} {value:.4f}", flush=True)
        if name in said and not math.isclose(said[name], value, **ROUNDING):
            print(f"its log says {name} {said[name]:.4f}; what is found here counts", flush=True)
