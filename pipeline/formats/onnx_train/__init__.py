"""`onnx_train/`: a whole training step as plain ONNX, for runtimes that know no autograd."""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=True,
        same_bytes=True,
        runtimes=("onnxruntime",),
        note="Experimental: the training step as one ONNX graph, for SGD, Adam, AdamW, NAdam, "
        "Adamax, RMSprop, Adagrad and Adadelta; dropout's masks are drawn as PyTorch draws them. "
        "It agrees with PyTorch within rounding, and Adam makes steps of the learning rate out of "
        "rounding where a gradient is almost zero; a network that draws other random numbers "
        "while training is refused.",
    ),
    frameworks=("pytorch",),
    requires=("onnxruntime", "numpy"),
    imports=("onnxruntime",),
    file="onnx_train/state.json",
    entries=("onnx_train",),
    after=("torch_export",),
    tolerance=Tolerance(atol=0.0001, rtol=0.0001),
    continuation=Tolerance(atol=0.0001, rtol=0.0001),
)
