"""`model.onnx`: the graph for ONNX runtimes; its weights are read out of the files beside it."""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=False,
        same_bytes=True,
        runtimes=("onnxruntime",),
        note="Agrees with the framework within rounding, not bit for bit, and it cannot be trained "
        "on; its runtimes may answer a NaN otherwise (a maximum over a window passes over it); it "
        "reads its weights from model.pt2 or saved_model/ beside it, where there is one.",
    ),
    frameworks=("pytorch", "keras"),
    requires=("onnxruntime", "numpy"),
    imports=("onnxruntime",),
    file="model.onnx",
    entries=("model.onnx", "model.onnx.data"),
    after=("torch_export", "saved_model"),
    serves=True,
    adopts=True,
    tolerance=Tolerance(atol=0.0001, rtol=0.0001, follows_rounding=True),
)
