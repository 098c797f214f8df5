"""Writes the programs, over one copy of the weights, and what it takes to train them on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._examples import examples
from .._torch import check_evaluation_mode
from .._torch_states import changed_states
from ..contract import Arrays
from ..dimensions import FIXED, Dimensions
from . import _optimizer_file
from ._capture import capture, strip
from ._capture_training import capture_training
from ._names import MODEL, TRAIN
from ._unseen import demand_no_late_hooks, demand_not_compiled
from ._write import write

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram


def export(
    model: "nn.Module",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    targets: Arrays | None = None,
    seed: int = 0,
    dimensions: Dimensions = FIXED,
) -> None:
    """Writes program `model` for any number of rows from 0 up and every size of the dimensions;
    same model, same bytes, anywhere.

    With `training`, what the framework built, whose net is the model or within it, and an
    example of its `targets` also programs `train` and `loss` and optimizer.pt; `seed` is of the
    random numbers of its next step. Raises ValueError in one line when the model does not fit.
    """
    check_evaluation_mode(model, "torch_export")
    demand_not_compiled(model)
    if training is not None:
        demand_no_late_hooks(training.net)
    signature = {"inputs": list(inputs), "outputs": outputs}
    trains: dict[str, ExportedProgram] = {}
    given = examples(dimensions, input=inputs, target=targets or {})

    def changing() -> set[str]:
        try:
            trains.update({} if training is None else capture_training(training, given))
        except ValueError:  # nothing is known then, and it is told below
            return {name for name, _ in model.named_buffers(remove_duplicate=False)}
        return changed_states(trains[TRAIN]) if trains else set()

    predicts = capture(model, examples(dimensions, input=inputs), outputs, changing)
    if training is not None:
        assert targets is not None
        signature |= {"targets": list(targets), "loss": training.compared()}
        if training.own_step is not None:
            signature["own"] = [training.own_step.step.name, training.own_step.judge.name]
        trains = trains or capture_training(training, given)
        _optimizer_file.write(directory, training, seed)
    programs = {MODEL: predicts, **trains}
    for program in programs.values():
        strip(program)
    write(directory, programs, signature)
