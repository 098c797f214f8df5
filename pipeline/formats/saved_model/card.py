"""Lines for the card."""

from collections.abc import Callable, Mapping
from pathlib import Path

from .._card import rows_of_step
from ..dimensions import FIXED, Dimensions
from ._files import ENDPOINT, FOLDER, read_signature


def card(inputs: list[str], outputs: list[str]) -> str:
    """Returns lines that keep the object: `load(...).serve(...)` in one loses the variables."""
    return (
        "import numpy, tensorflow\n"
        'example = numpy.load("examples/one.npz")\n'
        f'model = tensorflow.saved_model.load("{FOLDER}")\n'
        f"{_predicting(inputs, outputs)}"
    )


def training_card(
    inputs: list[str],
    outputs: list[str],
    targets: list[str],
    directory: Path,
    dimensions: Dimensions = FIXED,
) -> str:
    """Returns lines that leave "trained/" where they run: TensorFlow's own way of saving what it
    has loaded."""
    rows = rows_of_step(dimensions, "step")
    arguments = _argument({name: rows(f"input.{name}") for name in inputs})
    ends = '    if data["ends_epoch"][step]:\n        model.end_epoch()\n'
    known = read_signature(directory)["training"]
    by_epoch = known["schedule"] and "schedule_by" not in known
    return (
        "import numpy, tensorflow\n"
        'data = numpy.load("examples/training.npz")\n'
        f'model = tensorflow.saved_model.load("{FOLDER}")\n'
        'for step, recorded in enumerate(data["loss"]):\n'
        '    rows = data["step"] == step\n'
        f"    batch = {arguments}\n"
        f"    loss = model.train_step(batch{_truths(targets, rows)})\n"
        '    print(f"loss {loss:.6f}, with the source {recorded:.6f}")\n'
        f"{ends if by_epoch else ''}"
        'tensorflow.saved_model.save(model, "trained", model.signatures)\n'
        'model = tensorflow.saved_model.load("trained")  # predicts, and trains on\n'
        'example = numpy.load("examples/one.npz")\n'
        f"{_predicting(inputs, outputs)}"
    )


def _predicting(inputs: list[str], outputs: list[str]) -> str:
    taken = ", ".join(f'answer["{name}"]' for name in outputs)
    arguments = _argument({name: f'example["input.{name}"]' for name in inputs})
    return f"answer = model.{ENDPOINT}({arguments})\noutputs = {taken}"


def _truths(targets: list[str], rows: Callable[[str], str]) -> str:
    if not targets:
        return ""
    return f", {_argument({each.removeprefix('target.'): rows(each) for each in targets})}"


def _argument(arrays: Mapping[str, str]) -> str:
    """Returns the words for one array, or for several by name."""
    named = ", ".join(f'"{name}": {array}' for name, array in arrays.items())
    return f"{{{named}}}" if len(arrays) > 1 else next(iter(arrays.values()))
