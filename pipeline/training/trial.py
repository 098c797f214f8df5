"""One batch goes through the whole training before the first epoch, and what comes out of each part
is compared with what is declared. The training that it takes is thrown away."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import TrainParams
from pipeline.data import arrays as prepared
from pipeline.data import sizes
from pipeline.errors import ModelError, ParamsError
from pipeline.frameworks.contract import Framework
from pipeline.training.deciding import Deciding
from pipeline.training.decision import Decision
from pipeline.training.metrics import score
from pipeline.training.model_faults import translate_model_faults
from pipeline.training.parts import framework_of
from pipeline.training.start import Begin

ROWS = 4096
"""Rows at most that preprocessing is fitted to, and that metrics see."""
WHEN = "in one batch before the first epoch; correct the model or what it is given"
SEED = 1
ALIKE = 1e-6
"""Relative difference of two losses that count as one."""

Build = Callable[[], Any]


@dataclass(frozen=True)
class _Trial:
    """A training, and the batch that it is tried on."""

    framework: Framework[Any]
    training: Any
    inputs: dict[str, np.ndarray]
    targets: dict[str, np.ndarray]
    places: dict[str, np.ndarray]
    """Of those that differ in length from row to row, where they have values."""

    def answers(self) -> dict[str, np.ndarray]:
        return self.judged()[0]

    def judged(self) -> tuple[dict[str, np.ndarray], float]:
        return self.framework.evaluate(self.training, self.inputs, self.targets)

    def loss_of(
        self, outputs: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray]
    ) -> float | None:
        return self.framework.loss_of(self.training, self.inputs, outputs, targets)

    def step(self) -> Any:
        rows = np.arange(prepared.count(self.inputs))
        return self.framework.step(self.training, self.inputs, self.targets, rows)


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
        trial = _Trial(framework, build(), batch, prepared.rows_of(targets, rows), places)
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
            _demand_pairs(trial, outputs, [*decisions.values(), *filter(None, [predictions])])
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


def _demand_only_judged(trial: _Trial) -> None:
    """A model that computes its loss itself may change in a step alone, and must judge the same
    rows alike."""
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


def _demand_pairs(
    trial: _Trial, outputs: Mapping[str, np.ndarray], decisions: Iterable[Decision]
) -> None:
    """A loss must compare each answer with its own target. One that is given shapes which do not
    fit, such as (rows, 1) and (rows,), compares each with all of them, and is as large for any
    order of the targets.

    It is asked with made-up answers, for a net may answer all rows alike before it is trained.
    """
    compared = {(each.output, each.target) for each in decisions}
    for output, target in sorted(compared):
        if target in trial.targets and outputs[output].dtype.kind == "f":
            _demand_pair(trial, outputs, output, target)


def _demand_pair(
    trial: _Trial, outputs: Mapping[str, np.ndarray], output: str, target: str
) -> None:
    truth, answer = trial.targets[target], outputs[output]
    orders = [truth, np.roll(truth, 1, axis=0), truth[::-1].copy()]
    if (orders[0] == orders[1]).all():
        return
    answers = {k: _made_up(v) if v.dtype.kind == "f" else v for k, v in outputs.items()}

    def loss_of(truth: np.ndarray) -> float:
        truths = {**trial.targets, target: truth}
        loss = trial.loss_of(answers, truths)
        assert loss is not None  # of a model that computes it there are no pairs
        return loss

    loss, *others = map(loss_of, orders)
    if any(abs(each - loss) > ALIKE * abs(loss) for each in others):
        return
    of_one_target = loss_of(np.repeat(truth[:1], len(truth), axis=0))
    if of_one_target != loss or _is_compared(trial, answers, target):
        raise ParamsError(
            f"model.loss: is as large whichever answer belongs to which target; the output "
            f"{output} has shape {_shape(answer)}, the target {_shape(truth)}: give the loss "
            "both in one shape, for instance by squeezing the answer"
        )


def _is_compared(trial: _Trial, answers: Mapping[str, np.ndarray], target: str) -> bool:
    """Whether the loss is handed this target: one that is for metrics alone may be left out."""
    others = {name: array for name, array in trial.targets.items() if name != target}
    try:
        trial.loss_of(answers, others)
    except (KeyError, ValueError):
        return True
    return False


def _made_up(output: np.ndarray) -> np.ndarray:
    """Returns answers of this shape that differ, and that any loss takes: rows of probabilities."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, output.shape)
    if output.ndim > 1 and output.shape[1] > 1:
        values /= values.sum(axis=1, keepdims=True)
    return values.astype(output.dtype)


def _shape(array: np.ndarray) -> str:
    return f"(rows, {', '.join(map(str, array.shape[1:]))})".replace(" )", ")")


def _demand_metrics(
    data: Path,
    params: TrainParams,
    trial: _Trial,
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
    trial: _Trial, schema: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """A model must answer, and be judged, in every size that the dimensions may have."""
    for dimensions in sizes.of_batches(schema).values():
        batch = sizes.resized(schema, arrays, 2, dimensions)
        text = ", ".join(f"{name} {size}" for name, size in dimensions.items())
        when = f"with {text}, within the bounds of data.dimensions; correct them, or the model"
        with translate_model_faults(trial.framework, when):
            both = ({n: batch[n] for n in each} for each in (trial.inputs, trial.targets))
            trial.framework.evaluate(trial.training, *both)


def _demand_whole_state(trial: _Trial, build: Build, changed: list[str]) -> None:
    """A checkpoint must hold all that a model has learnt: what is loaded from one has to answer and
    to go on as the model itself."""
    framework, other = trial.framework, build()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"trial{framework.SUFFIX}"
        framework.save(trial.training, file)
        framework.load(other, file)
    loaded = _Trial(framework, other, trial.inputs, trial.targets, trial.places)
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
