"""Lines for the card."""

from ._names import ENDPOINT, FILE


def card(inputs: list[str], outputs: list[str]) -> str:
    """Returns lines that predict with TensorFlow's interpreter; strings go in as bytes."""
    arguments = ", ".join(f'"{name}": encoded(example["input.{name}"])' for name in inputs)
    taken = ", ".join(f'answer["{name}"]' for name in outputs)
    return (
        "import numpy, tensorflow  # or: from ai_edge_litert.interpreter import Interpreter\n"
        'example = numpy.load("examples/one.npz")\n'
        'encoded = lambda a: numpy.char.encode(a, "utf-8") if a.dtype.kind == "U" else a\n'
        f'run = tensorflow.lite.Interpreter("{FILE}").get_signature_runner("{ENDPOINT}")\n'
        f"answer = run(**{{{arguments}}})\n"
        f"outputs = {taken}"
    )
