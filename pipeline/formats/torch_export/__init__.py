"""`model.pt2`: what `torch.export` makes of a model; no pickle, path or source line is in it."""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=True,
        safe_to_load=True,
        trainable=True,
        same_bytes=True,
        runtimes=("torch",),
        note="Mode is baked into each program, model.pt2 and optimizer.pt take PyTorch to read, "
        "and only PyTorch's own operators, optimizers and schedulers are taken.",
    ),
    frameworks=("pytorch",),
    requires=("torch", "numpy"),
    imports=("torch", "torch._dynamo", "torch.export._trace"),
    file="model.pt2",
    entries=("model.pt2", "optimizer.pt"),
    unread=("optimizer.pt",),
    weight_files=("model.pt2",),
    optimizer_files=("optimizer.pt",),
    loads_changed=True,
    serves=True,
    adopts=True,
    evaluates=True,
    tolerance=Tolerance(atol=0.0, rtol=0.0),
    continuation=Tolerance(atol=0.0, rtol=0.0),
)
