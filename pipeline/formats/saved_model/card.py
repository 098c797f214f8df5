"""Lines for the card."""

from pathlib import Path

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
    inputs: list[str], outputs: list[str], targets: list[str], directory: Path
) -> str:
    """Returns lines that leave "trained/" where they run: TensorFlow's own way of saving what it
    has loaded."""
    arguments = _arguments(inputs, 'data["input.{}"][rows]')
    ends = '    if data["ends_epoch"][step]:\n        model.end_epoch()\n'
    return (
        "import numpy, tensorflow\n"
        'data = numpy.load("examples/training.npz")\n'
        f'model = tensorflow.saved_model.load("{FOLDER}")\n'
        'for step, recorded in enumerate(data["loss"]):\n'
        '    rows = data["step"] == step\n'
        f"    batch = {arguments}\n"
        f"    loss = model.train_step(batch{_truths(targets)})\n"
        '    print(f"loss {loss:.6f}, with the source {recorded:.6f}")\n'
        f"{ends if read_signature(directory)['training']['schedule'] else ''}"
        'tensorflow.saved_model.save(model, "trained", model.signatures)\n'
        'model = tensorflow.saved_model.load("trained")  # predicts, and trains on\n'
        'example = numpy.load("examples/one.npz")\n'
        f"{_predicting(inputs, outputs)}"
    )


def _predicting(inputs: list[str], outputs: list[str]) -> str:
    taken = ", ".join(f'answer["{name}"]' for name in outputs)
    arguments = _arguments(inputs, 'example["input.{}"]')
    return f"answer = model.{ENDPOINT}({arguments})\noutputs = {taken}"


def _truths(targets: list[str]) -> str:
    if not targets:
        return ""
    arrays = [f'data["{each}"][rows]' for each in targets]
    names = [each.removeprefix("target.") for each in targets]
    named = ", ".join(f'"{name}": {array}' for name, array in zip(names, arrays, strict=True))
    return f", {{{named}}}" if len(targets) > 1 else f", {arrays[0]}"


def _arguments(inputs: list[str], array: str) -> str:
    named = ", ".join(f'"{name}": {array.format(name)}' for name in inputs)
    return f"{{{named}}}" if len(inputs) > 1 else array.format(inputs[0])
