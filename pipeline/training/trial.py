"""One batch goes through the whole training before the first epoch, and what comes out of each part
is compared with what is declared. The training that it takes is thrown away."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import frameworks
from pipeline.config.params import TrainParams
from pipeline.data import arrays as prepared
from pipeline.errors import ModelError, ParamsError
from pipeline.frameworks.contract import Framework
from pipeline.training import parts
from pipeline.training.decision import Decision
from pipeline.training.epochs import adapt
from pipeline.training.metrics import score
from pipeline.training.model_faults import translate_model_faults

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
    target: np.ndarray

    def predict(self, target: np.ndarray) -> tuple[list[np.ndarray], float]:
        return self.framework.predict(self.training, self.inputs, target, len(target))

    def step(self) -> Any:
        rows = np.arange(len(self.target))
        return self.framework.step(self.training, self.inputs, self.target, rows)


def demand_trainable(params: TrainParams, build: Build, data: Path) -> None:
    """Raises ParamsError or ModelError, one line, for what could not be trained, judged or resumed.

    `build` makes the training anew, and always the same.
    """
    framework = frameworks.framework(params.model.framework)
    classes = prepared.schema(data)["target"]["classes"]
    names = params.model.outputs
    inputs, target = prepared.split(data, "train")
    rows = min(params.train.batch_size, ROWS, len(target))
    batch = {name: np.array(array[:rows]) for name, array in inputs.items()}
    with translate_model_faults(framework, WHEN):
        trial = _Trial(framework, build(), batch, np.array(target[:rows]))
        before = framework.state_outside(trial.training)
        adapt(framework, trial.training, {name: array[:ROWS] for name, array in inputs.items()})
        framework.seed(SEED, trial.training)
        _demand_scalar(trial.step())
        outputs, _ = trial.predict(trial.target)
        again, _ = trial.predict(trial.target)
        changed = _changed(before, framework.state_outside(trial.training))
        _demand_same_answers(names, outputs, again, changed)
        _demand_an_answer_a_target(names[0], outputs[0], classes)
        _demand_pairs(trial, outputs)
        decided = (trial.training, params.model, params.train, batch, trial.target, classes)
        _demand_metrics(data, params, outputs[0], parts.decision(*decided))
        if changed:
            _demand_whole_state(trial, build, changed)


def _demand_scalar(loss: Any) -> None:
    if np.shape(loss) != ():
        raise ParamsError(
            f"model.loss: found shape {list(np.shape(loss))} for a batch, expected one number; let "
            "it take the mean"
        )


def _changed(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(name for name in {*before, *after} if before.get(name) != after.get(name))


def _demand_same_answers(
    names: Sequence[str], first: list[np.ndarray], second: list[np.ndarray], changed: list[str]
) -> None:
    for name, one, two in zip(names, first, second, strict=True):
        if one.tobytes() != two.tobytes():
            cause = f"; {', '.join(changed)} changed meanwhile" if changed else ""
            raise ModelError(
                f"model.net: answers the same rows otherwise the second time in {name}{cause}; in "
                "evaluation mode nothing may be drawn at random, and no call may change what the "
                "next one answers"
            )


def _demand_an_answer_a_target(name: str, output: np.ndarray, classes: int | None) -> None:
    row = list(output.shape[1:])
    if classes is None:
        fits, expected = output.size == len(output), "one number, as data.target is"
    else:
        fits = row == [classes] or (classes == 2 and output.size == len(output))
        expected = f"[{classes}], for data.target.classes is {classes}"
    if not fits:
        raise ParamsError(
            f"model.net: its first output, {name}, has shape {row} a row, expected {expected}"
        )


def _demand_pairs(trial: _Trial, outputs: list[np.ndarray]) -> None:
    """A loss must compare each answer with its own target. One that is given shapes which do not
    fit, such as (rows, 1) and (rows,), compares each with all of them, and is as large for any
    order of the targets.

    It is asked with made-up answers, for a net may answer all rows alike before it is trained.
    """
    answers = [_made_up(outputs[0]), *outputs[1:]]
    orders = [trial.target, np.roll(trial.target, 1), trial.target[::-1].copy()]
    if outputs[0].dtype.kind != "f" or (orders[0] == orders[1]).all():
        return
    framework, training = trial.framework, trial.training
    loss, *others = [framework.loss_of(training, trial.inputs, answers, each) for each in orders]
    if all(abs(other - loss) <= ALIKE * abs(loss) for other in others):
        raise ParamsError(
            f"model.loss: is as large whichever answer belongs to which target; the first output "
            f"has shape {_shape(outputs[0])}, the target {_shape(trial.target)}: give the loss "
            "both in one shape, for instance by squeezing the answer"
        )


def _made_up(output: np.ndarray) -> np.ndarray:
    """Returns answers of this shape that differ, and that any loss takes: rows of probabilities."""
    values = np.random.default_rng(0).uniform(0.1, 0.9, output.shape)
    if output.ndim > 1 and output.shape[1] > 1:
        values /= values.sum(axis=1, keepdims=True)
    return values.astype(output.dtype)


def _shape(array: np.ndarray) -> str:
    return f"(rows, {', '.join(map(str, array.shape[1:]))})".replace(" )", ")")


def _demand_metrics(
    data: Path, params: TrainParams, output: np.ndarray, decision: Decision
) -> None:
    """Scores the batch's answers as if they were those to the validation split, whose labels the
    metrics will see."""
    _, target = prepared.split(data, "val")
    expected = np.array(target[:ROWS])
    answers = output[np.arange(len(expected)) % len(output)]
    if np.isfinite(answers).all():
        score(params.train.metrics, expected, answers, decision)


def _demand_whole_state(trial: _Trial, build: Build, changed: list[str]) -> None:
    """A checkpoint must hold all that a model has learnt: what is loaded from one has to answer and
    to go on as the model itself."""
    framework, other = trial.framework, build()
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / f"trial{framework.SUFFIX}"
        framework.save(trial.training, file)
        framework.load(other, file)
    loaded = _Trial(framework, other, trial.inputs, trial.target)
    for when in ("answers", "goes on"):
        ours, theirs = (each.predict(trial.target)[0] for each in (trial, loaded))
        if any(a.tobytes() != b.tobytes() for a, b in zip(ours, theirs, strict=True)):
            raise ModelError(
                f"{', '.join(changed)}: changed in training, and no checkpoint holds it, so that "
                f"what is loaded from one {when} otherwise; make it a buffer (register_buffer) or "
                "a weight (add_weight, trainable=False)"
            )
        for each in (trial, loaded):
            framework.seed(SEED, each.training)
            each.step()
