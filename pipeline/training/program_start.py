"""A program that was made elsewhere becomes what the stages hand on: it is brought into the form of
its format, and takes the data as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.config.params import TrainParams
from pipeline.errors import ModelError
from pipeline.foreign.contract import Foreign
from pipeline.run import start
from pipeline.training import ports
from pipeline.training.model_faults import translate_model_faults
from pipeline.training.program import ProgramModule, Training

NO_TRAINING = "the program predicts alone: it holds no loss and no optimizer to train on with"
ROWS = 7


@dataclass(frozen=True)
class ProgramStart:
    """The checkpoint is a program, which takes the place of the training as it is."""

    params: TrainParams
    path: Path
    checkpoint: Foreign

    def __call__(self, training: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Returns what was taken. Raises ModelError where the program does not take the data, or
        answers otherwise the second time."""
        program, model = self.checkpoint.program, self.params.model
        module = ProgramModule(str(model.program))
        if program is None:
            raise ModelError(
                f"{self.path}: holds no program, but model.program is {model.program}; name a "
                "model that is built, and whose weights these are"
            )
        taken, notes = ports.inputs(program, training.schema)
        answers = ports.outputs(program, model.paths)
        module.adopt(training, self.path, taken, answers, self.params.train.threads)
        _demand_repeated(module, training, inputs, self.path)
        return {
            "sha256": self.params.train.start,
            "known": start.known(self.path.name),
            "unknown": list(start.UNKNOWN),
            "tensors": len(module.state(training)),
            "new": [],
            "left_out": [],
            "optimizer": False,
            "notes": [*self.checkpoint.notes, *notes, NO_TRAINING],
        }


def _demand_repeated(
    module: ProgramModule, training: Training, inputs: Mapping[str, np.ndarray], path: Path
) -> None:
    """Raises ModelError for a program that draws at random: it is one in training mode."""
    rows = {name: np.array(array[:ROWS]) for name, array in inputs.items()}
    with translate_model_faults(module, "in a few training rows"):
        first, second = (module.evaluate(training, rows, None)[0] for _ in range(2))
    for name, one in first.items():
        if one.tobytes() != second[name].tobytes():
            raise ModelError(
                f"{path}: answers the same rows otherwise the second time in {name}; "
                "export it again in evaluation mode"
            )
