"""Trainings for tests: parts in one line, and a whole split's answers at once."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.frameworks.contract import Arrays, Parts, Term, TrainingModule

LABEL = {"label": {"dtype": "int64", "shape": [], "classes": None, "labels": None}}
"""The only target, where a test says nothing else."""


def parts(
    net: Callable[..., Any],
    loss: Callable[..., Any] | Mapping[str, Term] | str | None,
    optimizer: Callable[..., Any],
    scheduler: Callable[..., Any] | None,
    inputs: Mapping[str, Mapping[str, Any]],
    clip_norm: float | None = None,
    outputs: Sequence[str] | Mapping[str, str] = (),
    targets: Mapping[str, Mapping[str, Any]] = LABEL,
    device: str = "cpu",
) -> Parts:
    """Returns what `build` takes; `loss` by itself is the only term."""
    named = dict(outputs) if isinstance(outputs, Mapping) else {name: name for name in outputs}
    return Parts(
        net=net,
        loss={"model.loss": Term(loss=loss)} if callable(loss) else loss,
        optimizer=optimizer,
        scheduler=scheduler,
        inputs=inputs,
        targets=targets,
        outputs=named,
        device=device,
        clip_norm=clip_norm,
    )


def answers(
    framework: TrainingModule[Any],
    training: Any,
    inputs: Arrays,
    targets: Arrays | None = None,
    batch_size: int | None = None,
) -> tuple[dict[str, np.ndarray], float]:
    """Returns the outputs by name for all rows, and their mean loss (NaN without targets), in
    batches of so many rows."""
    count = len(next(iter(inputs.values())))
    batches, total = [], 0.0
    for start in range(0, count, batch_size or count):
        rows = slice(start, start + (batch_size or count))
        batch = {name: array[rows] for name, array in inputs.items()}
        truths = targets and {name: array[rows] for name, array in targets.items()}
        outputs, loss = framework.evaluate(training, batch, truths)
        total += loss * len(next(iter(batch.values())))
        batches.append(outputs)
    joined = {name: np.concatenate([each[name] for each in batches]) for name in batches[0]}
    return joined, total / count
