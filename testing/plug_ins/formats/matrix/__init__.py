"""`model.npy`: the one matrix of a softmax regression, for numpy."""

from ..contract import Format, Promises
from ..tolerance import EXACT

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=False,
        same_bytes=True,
        runtimes=("numpy",),
        note="It holds one matrix and cannot be trained on.",
    ),
    frameworks=("arithmetic",),
    requires=("numpy",),
    file="model.npy",
    entries=("model.npy",),
    weight_files=("model.npy",),
    tolerance=EXACT,
)
