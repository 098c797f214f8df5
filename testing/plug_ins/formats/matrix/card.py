"""Lines for README.md."""


def card(inputs: list[str], outputs: list[str]) -> str:
    return f"""
import numpy

weights = numpy.load("model.npy")
outputs = numpy.load("examples/one.npz")["input.{inputs[0]}"] @ weights / numpy.float32(16)
print(outputs)
"""
