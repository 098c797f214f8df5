"""Which output each metric judges, what it is compared with, and how it becomes a decision."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.config.params import Metric, Model, Train
from pipeline.config.reading import Component
from pipeline.errors import ParamsError
from pipeline.frameworks.contract import TrainingModule
from pipeline.training import parent, parts
from pipeline.training.decision import Decision, Kind, axis_of_classes
from pipeline.training.metrics import is_streaming
from pipeline.training.model_faults import translate_model_faults
from pipeline.training.threshold import threshold

Arrays = Mapping[str, np.ndarray]
ROWS = 2


class Deciding:
    """Tells decisions apart by what a training, adapted or loaded, answers to a few rows."""

    def __init__(
        self,
        training: Any,
        model: Model,
        train: Train,
        schema: Mapping[str, Any],
        inputs: Arrays,
        targets: Arrays,
    ):
        self.training, self.model, self.train, self.schema = training, model, train, schema
        self.inputs = {name: np.array(array[:ROWS]) for name, array in inputs.items()}
        self.targets = {name: np.array(array[:ROWS]) for name, array in targets.items()}
        module: TrainingModule[Any] = parts.training_module(model, train)
        with translate_model_faults(module, "in two training rows"):
            self.outputs, _ = module.evaluate(training, self.inputs, self.targets)

    def of_metrics(self) -> dict[str, Decision]:
        """Returns the decision of each metric. Raises ParamsError for one that cannot be made."""
        return {name: self._of_metric(name, each) for name, each in self.train.metrics.items()}

    def of_predictions(self, of_metrics: Mapping[str, Decision]) -> Decision | None:
        """Returns the decision that predictions.csv holds: of a target that has one value a row and
        the output that answers it, as a metric has it or else the first that fits; None where there
        is none."""
        single = [name for name, each in self.schema["targets"].items() if not each["shape"]]
        judged = [each for each in of_metrics.values() if each.target in single]
        fitting = (self._fitting(output, target) for target in single for output in self.outputs)
        return next((each for each in [*judged, *fitting] if each and _is_decided(each)), None)

    def _fitting(self, output: str, target: str) -> Decision | None:
        try:
            return self._default("model.net", output, target)
        except ParamsError:
            return None

    def _of_metric(self, name: str, config: Component | Metric) -> Decision:
        key = f"train.metrics.{name}"
        metric = config if isinstance(config, Metric) else Metric(function=config)
        output = metric.output or next(iter(self.outputs))
        if output not in self.outputs:
            raise ParamsError(
                f"{key}.output: found {output}, expected one of {', '.join(self.outputs)}"
            )
        target = metric.target or self._only_target(key)
        if target not in {**self.targets, **self.inputs}:
            names = ", ".join([*self.targets, *self.inputs])
            raise ParamsError(f"{key}.target: found {target}, expected one of {names}")
        if metric.decision is None and not is_streaming(config):
            return self._default(key, output, target, metric.axis)
        wanted = metric.decision
        kind: Kind = "argmax" if wanted == "argmax" else "value"
        above = None
        if isinstance(wanted, int | float):
            kind, above = "threshold", float(wanted)
        axis = metric.axis
        classes = self._classes(target)
        if kind == "argmax" and axis is None:
            axis = self._axis(key, output, target, classes or 0)
        return Decision(
            output=output,
            target=target,
            kind=kind,
            classes=classes,
            axis=1 if axis is None else axis,
            threshold=above,
        )

    def _only_target(self, key: str) -> str:
        if len(self.targets) != 1:
            raise ParamsError(
                f"{key}: the targets are {', '.join(self.targets) or 'none'}; expected its output "
                "and target by name, as {function, output, target}"
            )
        return next(iter(self.targets))

    def _classes(self, target: str) -> int | None:
        described = self.schema["targets"].get(target, {})
        classes: int | None = described.get("classes")
        return classes

    def _default(self, key: str, output: str, target: str, axis: int | None = None) -> Decision:
        answer, truth = self.outputs[output], {**self.inputs, **self.targets}[target]
        classes = self._classes(target)
        if classes is None:
            if answer.size != truth.size:
                raise ParamsError(
                    f"model.net: its output {output} has shape {_row(answer)}, expected "
                    f"{_row(truth)}, as {target} has"
                )
            return Decision(output=output, target=target, kind="value")
        if axis is None:
            axis = axis_of_classes(answer.shape, truth.shape, classes, key)
        if axis is not None:
            return Decision(output=output, target=target, kind="argmax", classes=classes, axis=axis)
        if classes != 2 or answer.size != truth.size:
            expected = [classes, *truth.shape[1:]]
            raise ParamsError(
                f"model.net: its output {output} has shape {_row(answer)}, expected {expected} a "
                f"row, for data.targets.{target}.classes is {classes}"
            )
        above = self._threshold(output, target)
        return Decision(
            output=output, target=target, kind="threshold", classes=classes, threshold=above
        )

    def _axis(self, key: str, output: str, target: str, classes: int) -> int | None:
        truth = {**self.inputs, **self.targets}[target]
        return axis_of_classes(self.outputs[output].shape, truth.shape, classes, key)

    def _threshold(self, output: str, target: str) -> float | None:
        if self.train.parent is not None:
            return parent.threshold(self.train.parent, output, target)
        if self.model.program:
            return None
        framework = parts.framework_of(self.model)
        with translate_model_faults(framework, "in two training rows"):
            return threshold(
                framework, self.training, self.inputs, self.outputs, self.targets, output, target
            )


def _is_decided(decision: Decision) -> bool:
    """Returns whether it gives a value for each row: a class of those that the target has, or a
    number."""
    if decision.kind == "threshold":
        return decision.threshold is not None
    return (decision.kind == "value") == (decision.classes is None)


def _row(array: np.ndarray) -> str:
    return f"{list(array.shape[1:])} a row"
