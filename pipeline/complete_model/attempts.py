"""An attempted format is kept only if it answers as the trained model does, as it promises itself.

`verify` is the judge of all formats, from a process without the source; but there a fault ends the
pipeline, and a format that was only attempted should not.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pipeline import formats
from pipeline.data import arrays as prepared
from pipeline.data import sizes
from pipeline.formats.tolerance import Tolerance, allowed, widened

HANGS = (
    " (the last digits of its weights move the trained model's own answers, too: train it longer)"
)
BATCHES = ("one", "seven", "many", "edge")
Arrays = Mapping[str, np.ndarray]


def demand_answers(name: str, directory: Path, reference: Path) -> None:
    """Raises ValueError in one line where the format, loaded, does not give the answers in
    `reference` within its own tolerance."""
    loader, schema = formats.loader(name), prepared.schema(reference.parent)
    declared = formats.declared(name).tolerance
    tolerance = widened(declared, schema.get("rounding", 0.0))
    why = HANGS if tolerance.atol > declared.atol else ""
    predict = loader.load(directory)
    for batch in (*BATCHES, *sizes.of_batches(schema)):
        with np.load(reference / f"{batch}.npz") as file:
            arrays = {key: file[key] for key in file}
        inputs = {k.removeprefix("input."): v for k, v in arrays.items() if k.startswith("input.")}
        try:
            answers = predict(inputs)
        except loader.refusals() as error:
            text = " ".join(str(error).split())[:300]
            raise ValueError(f"{name}: does not answer the batch {batch}: {text}") from error
        for key in (key for key in arrays if key.startswith("output.")):
            output = key.removeprefix("output.")
            fault = difference(answers.get(output), arrays[key], tolerance)
            if fault:
                raise ValueError(
                    f"{name}: {output} of the batch {batch} {fault}{why}; to keep it, name it "
                    "in export.formats and set verify.tolerance for it"
                )


def difference(answer: np.ndarray | None, expected: np.ndarray, tolerance: Tolerance) -> str:
    """Returns what is wrong with an answer; "" where it is within the tolerance."""
    kind = "nothing" if answer is None else f"{answer.dtype}{list(answer.shape)}"
    wanted = f"{expected.dtype}{list(expected.shape)}"
    if answer is None or kind != wanted:
        return f"is {kind}, the trained model's {wanted}"
    if expected.dtype.kind not in "fc":
        return "" if np.array_equal(answer, expected) else "differs from the trained model's"
    most = allowed(expected, tolerance.atol, tolerance.rtol)
    alike = (answer == expected) | (np.isnan(answer) & np.isnan(expected))
    with np.errstate(invalid="ignore"):  # inf - inf
        off = np.where(alike, 0, np.abs(answer - expected))
    off = np.where(np.isfinite(answer) & np.isfinite(expected) | alike, off, np.inf)
    if (off <= most).all():
        return ""
    worst = int(np.where(off <= most, -1.0, off).argmax())
    return f"is off by {off.flat[worst]:.3g}, where {most.flat[worst]:.3g} is allowed"
