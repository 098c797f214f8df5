"""Training starts from a checkpoint that was made elsewhere: each tensor of the model is one of the
checkpoint's, or it is said which are not."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import foreign
from pipeline.config.params import TrainParams
from pipeline.errors import ModelError
from pipeline.files import write_atomically
from pipeline.foreign import matching, sets
from pipeline.foreign.contract import Foreign
from pipeline.foreign.lazy_mapping import LazyMapping
from pipeline.frameworks.contract import Framework, TrainingModule
from pipeline.run import start
from pipeline.training.epochs import adapt
from pipeline.training.parts import framework_of

Begin = Callable[[Any, Mapping[str, np.ndarray]], Any]
"""Brings a training that was just built to where it begins, given the training rows' inputs."""


def beginning(framework: TrainingModule[Any], params: TrainParams) -> Begin:
    """Returns what adapts a training to the rows, or starts it from the checkpoint. Raises
    IncompleteArtifact, and DataError for one that cannot be read."""
    if params.train.start is None:
        return lambda training, inputs: adapt(framework, training, inputs)
    start.demand_whole(params.train.start)
    path = start.place(params.train.start)
    if params.model.program:
        from pipeline.training.program_start import ProgramStart

        return ProgramStart(params, path, foreign.read(path))
    return Start(framework_of(params.model), params, path, foreign.read(path))


@dataclass(frozen=True)
class Start:
    """A training is started from the checkpoint, which was read."""

    framework: Framework[Any]
    params: TrainParams
    path: Path
    checkpoint: Foreign

    def __call__(self, training: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Returns what is known of the checkpoint, and what `take` returns."""
        taken, adapter = self.take(training, inputs), self.params.train.adapter
        return {
            "sha256": self.params.train.start,
            "known": start.known(self.path.name),
            "unknown": list(start.UNKNOWN),
            **taken,
            **({"adapter": asdict(adapter)} if adapter else {}),
        }

    def take(self, training: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Returns what was taken, and what was not. Raises ModelError where the two differ.

        New weights are adapted to the rows, as far as the model adapts any, before the others are
        set.
        """
        train, origin = self.params.train, self.checkpoint
        if origin.framework != self.params.model.framework:
            raise ModelError(
                f"{self.path}: a checkpoint of {origin.framework}, but model.framework is "
                f"{self.params.model.framework}; name a model of {origin.framework}"
            )
        if train.new_weights:
            adapt(self.framework, training, inputs)
        specs = self.framework.weight_specs(training, origin.naming)
        chosen = sets.chosen(origin, self.params.model.weights_of)
        match = matching.match(specs, chosen, self.params.model.rename, train.new_weights)
        weights = LazyMapping(match.pairs, chosen.__getitem__)
        whole = train.start_with == "optimizer"
        states = (origin.optimizer, origin.scheduler) if whole else (None, None)
        if whole and not sets.has_optimizer(origin, self.params.model.weights_of):
            raise ModelError(
                f"{self.path}: has no optimizer's state of these weights that could be taken, but "
                "train.start_with is optimizer; set it to weights"
            )
        try:
            notes = self.framework.start(training, origin.naming, weights, *states)
        except ValueError as fault:
            raise ModelError(f"{self.path}: {' '.join(str(fault).split())}") from None
        return {
            "tensors": len(match.pairs),
            "new": sorted(match.new),
            "left_out": sorted(match.left_out),
            "optimizer": states[0] is not None,
            "notes": [*origin.notes, *match.notes, *notes],
        }


def write(output: Path, taken: Mapping[str, Any]) -> None:
    """Writes what was taken of the checkpoint, and shows it."""
    write_atomically(output / start.TAKEN, json.dumps(taken, indent=1) + "\n")
    show(taken)


def show(taken: Mapping[str, Any]) -> None:
    """Prints what a person should know of what was taken."""
    for note in taken["notes"]:
        print(note, flush=True)
