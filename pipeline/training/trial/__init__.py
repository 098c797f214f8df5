"""One batch goes through the whole training before the first epoch, and what comes out of each part
is compared with what is declared. The training that it takes is thrown away."""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import TrainParams
from pipeline.data import arrays as prepared
from pipeline.data import sizes
from pipeline.errors import ModelError, ParamsError
from pipeline.training.deciding import Deciding
from pipeline.training.decision import Decision
from pipeline.training.metrics import score
from pipeline.training.model_faults import translate_model_faults
from pipeline.training.parts import framework_of
from pipeline.training.start import Begin
from pipeline.training.trial.batch import Trial
from pipeline.training.trial.pairs import demand_pairs

ROWS = 4096
"""Rows at most that preprocessing is fitted to, and that metrics see."""
WHEN = "in one batch before the first epoch; correct the model or what it is given"
SEED = 1

Build = Callable[[], Any]


def demand_trainable(params: TrainParams, build: Build, begin: Begin, data: Path) -> None:
    """Raises ParamsError or ModelError, one line, for what could not be trained, judged or resumed.

    `build` makes the training anew, and always the same; `begin` brings it to where it begins.
    """
    framework = framework_of(params.model)
    schema = prepared.schema(data)
    inputs, targets = prepared.split(data, "train")
    rows = slice(
        min(params.train.batch_size * params.train.accumulate, ROWS, prepared.count(inputs))
    )
    batch = prepared.rows_of(inputs, rows)
    with translate_model_faults(framework, WHEN):
        places = prepared.places_of({**inputs, **targets}, rows)
        trial = Trial(framework, build(), batch, prepared.rows_of(targets, rows), places)
        before = framework.state_outside(trial.training)
        first = {name: prepared.head(array, ROWS) for name, array in inputs.items()}
        begin(trial.training, first)
        framework.seed(SEED, trial.training)
        _demand_scalar(trial.step())
        outputs, again = trial.answers(), trial.answers()
        changed = _changed(before, framework.state_outside(trial.training))
        _demand_same_answers(outputs, again, changed)
        given = (params.model, params.train, schema, trial.inputs, trial.targets)
        deciding = Deciding(trial.training, *given)
        decisions = deciding.of_metrics()
        predictions = deciding.of_predictions(decisions)
        if trial.loss_of(outputs, trial.targets) is None:
            _demand_only_judged(trial)
        else:
            demand_pairs(trial, outputs, [*decisions.values(), *filter(None, [predictions])])
        _demand_metrics(data, params, trial, outputs, decisions)
        _demand_sizes(trial, schema, {**inputs, **targets})
        if changed:
            anew = partial(_begun, build, begin, first) if params.train.adapts else build
            _demand_whole_state(trial, anew, changed)


def _begun(build: Build, begin: Begin, inputs: Mapping[str, np.ndarray]) -> Any:
    """Returns a training with the weights that an adapter is of."""
    training = build()
    begin(training, inputs)
    return training


def _demand_scalar(loss: Any) -> None:
    if np.shape(loss) != ():
        raise ParamsError(
            f"model.loss: found shape {list(np.shape(loss))} for a batch, expected one number; let "
            "it take the mean"
        )


def _changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _demand_same_answers(
    first: Mapping[str, np.ndarray], second: Mapping[str, np.ndarray], changed: list[str]
) -> None:
    for name, one in first.items():
        if one.tobytes() != second[name].tobytes():
            cause = f"; {', '.join(changed)} changed meanwhile" if changed else ""
            raise ModelError(
                f"model.net: answers the same rows otherwise the second time in {name}{cause}; in "
                "evaluation mode nothing may be drawn at random, and no call may change what the "
                "next one answers"
            )


def _demand_only_judged(trial: Trial) -> None:
    """Raises ModelError for a model that computes its loss itself and does not judge the same rows
    alike, or changes other than in a step."""
    before, (_, loss) = trial.framework.state(trial.training), trial.judged()
    after, (_, again) = trial.framework.state(trial.training), trial.judged()
    if changed := [name for name, one in before.items() if one.tobytes() != after[name].tobytes()]:
        raise ModelError(
            f"model.net: {changed[0]} changes where the loss is only looked at, so that the next "
            "step would begin elsewhere; change it in training alone"
        )
    if np.float64(loss).tobytes() != np.float64(again).tobytes():
        raise ModelError(
            f"model.net: found the loss {loss} and then {again} for the same rows; in evaluation "
            "mode nothing may be drawn at random"
        )


def _demand_metrics(
    data: Path,
    params: TrainParams,
    trial: Trial,
    outputs: Mapping[str, np.ndarray],
    decisions: Mapping[str, Decision],
) -> None:
    """Scores the batch's answers as if they were those to the validation split, whose labels the
    metrics will see; where rows differ in length, with their own labels."""
    inputs, targets = prepared.split(data, "val")
    both = (prepared.rows_of, prepared.places_of)
    truths, places = (of({**inputs, **targets}, slice(ROWS)) for of in both)
    if any(map(prepared.varies, targets.values())):
        truths, places = {**trial.inputs, **trial.targets}, trial.places
    rows = np.arange(prepared.count(truths)) % prepared.count(outputs)
    answers = {name: array[rows] for name, array in outputs.items()}
    if all(np.isfinite(each).all() for each in answers.values() if each.dtype.kind == "f"):
        score(params.train.metrics, decisions, [(truths, answers, places)])


def _demand_sizes(
    trial: Trial, schema: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Raises for a model that does not answer, or cannot be judged, in every size that the
    dimensions may have."""
    for dimensions in sizes.of_batches(schema).values():
        batch = sizes.resized(schema, arrays, 2, dimensions)
        text = ", ".join(f"{name} {size}" for name, size in dimensions.items())
        when = f"with {text}, within the bounds of data.dimensions; correct them, or the model"
        with translate_model_faults(trial.framework, when):
            both = ({n: batch[n] for n in each} for each in (trial.inputs, trial.targets))
            trial.framework.evaluate(trial.training, *both)


def _demand_whole_state(trial: Trial, build: Build, changed: list[str]) -> None:
    """Raises ModelError where a checkpoint does not hold all that a model has learnt: what is
    loaded from one has to answer and to go on as the model itself."""
    framework, other = trial.framework, build()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"trial{framework.SUFFIX}"
        framework.save(trial.training, file)
        framework.load(other, file)
    loaded = Trial(framework, other, trial.inputs, trial.targets, trial.places)
    for when in ("answers", "goes on"):
        ours, theirs = (each.answers() for each in (trial, loaded))
        if any(a.tobytes() != theirs[name].tobytes() for name, a in ours.items()):
            raise ModelError(
                f"{', '.join(changed)}: changed in training, and no checkpoint holds it, so that "
                f"what is loaded from one {when} otherwise; make it a buffer (register_buffer) or "
                "a weight (add_weight, trainable=False)"
            )
        for each in (trial, loaded):
            framework.seed(SEED, each.training)
            each.step()
