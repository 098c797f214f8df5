"""Lines for the card."""

from ._archive import FILE, METADATA


def card(inputs: list[str], outputs: list[str]) -> str:
    """Returns lines that import the classes that are not Keras' own from where they were."""
    named = ", ".join(f'"{name}": tensorflow.constant(example["input.{name}"])' for name in inputs)
    argument = f"{{{named}}}" if len(inputs) > 1 else f'example["input.{inputs[0]}"]'
    return (
        "import importlib, json, keras, numpy, tensorflow, zipfile\n"
        'example = numpy.load("examples/one.npz")\n'
        f'about = json.loads(zipfile.ZipFile("{FILE}").read("{METADATA}"))\n'
        'needed = about["custom_objects"].items()  # their source must be importable\n'
        "own = {k: getattr(importlib.import_module(m), name) for k, (m, name) in needed}\n"
        f'model = keras.saving.load_model("{FILE}", custom_objects=own)\n'
        f"outputs = model({argument}, training=False)"
    )
