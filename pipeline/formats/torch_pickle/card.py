"""Lines for the card."""

from ._names import FILE


def card(inputs: list[str], outputs: list[str]) -> str:
    """Returns lines that predict where the model's source can be imported."""
    arguments = ", ".join(f'torch.from_numpy(example["input.{name}"])' for name in inputs)
    return (
        "import numpy, torch  # and the model's source must be importable\n"
        'example = numpy.load("examples/one.npz")\n'
        f'model = torch.load("{FILE}", weights_only=False)  # runs code from the file\n'
        "with torch.no_grad():\n"
        f"    outputs = model({arguments})"
    )
