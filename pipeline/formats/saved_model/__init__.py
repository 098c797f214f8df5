"""`saved_model/`: TensorFlow's own complete format; same model, same bytes."""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=True,
        same_bytes=True,
        runtimes=("tensorflow",),
        note="It takes TensorFlow to read, and only operators that touch neither files nor Python; "
        "it trains on with the loss, optimizer and clipping that are baked in, not with others.",
    ),
    frameworks=("keras",),
    requires=("tensorflow", "numpy"),
    imports=("tensorflow",),
    file="saved_model/saved_model.pb",
    entries=("saved_model",),
    weight_files=("saved_model/variables/variables.data-00000-of-00001",),
    optimizer_files=("saved_model/variables/variables.data-00000-of-00001",),
    serves=True,
    adopts=True,
    evaluates=True,
    tolerance=Tolerance(atol=1e-06, rtol=1e-05),
    continuation=Tolerance(atol=0.0, rtol=0.0),
)
