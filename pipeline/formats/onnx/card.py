"""Lines for the card."""

from ._files import FILE


def card(inputs: list[str], outputs: list[str]) -> str:
    feed = ", ".join(f'"{name}": example["input.{name}"]' for name in inputs)
    first = "[0]" if len(outputs) == 1 else ""
    return (
        "import numpy, onnxruntime\n"
        'example = numpy.load("examples/one.npz")\n'
        f'session = onnxruntime.InferenceSession("{FILE}")\n'
        f"outputs = session.run(None, {{{feed}}}){first}"
    )
