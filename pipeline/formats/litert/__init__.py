"""`model.tflite`: for phones and small devices; one file that holds the weights once more."""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=False,
        same_bytes=True,
        runtimes=("tensorflow", "ai-edge-litert"),
        note="Agrees with Keras within rounding, not bit for bit, and it cannot be trained on; it "
        "may answer a NaN or an id out of range where Keras would not; it holds the weights once "
        "more, and only operators that are built into LiteRT.",
    ),
    frameworks=("keras",),
    requires=("tensorflow", "numpy"),
    imports=("tensorflow",),
    file="model.tflite",
    entries=("model.tflite",),
    tolerance=Tolerance(atol=0.0001, rtol=0.0001),
)
