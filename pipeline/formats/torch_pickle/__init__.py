"""`model.pickle.pt`: `torch.save(model)`, kept because people ask for it, no complete model."""

from ..contract import Format, Promises
from ..tolerance import Tolerance

FORMAT = Format(
    promises=Promises(
        code_free=False,
        safe_to_load=False,
        trainable=False,
        same_bytes=False,
        runtimes=("torch",),
        note="Needs the model's source at the same import path to load, and runs whatever code the "
        "file names while loading: open it only where you trust whoever wrote it.",
    ),
    frameworks=("pytorch",),
    requires=("torch", "numpy"),
    imports=("torch", "torch._dynamo", "torch.export._trace"),
    file="model.pickle.pt",
    entries=("model.pickle.pt", "model.pickle.json"),
    tolerance=Tolerance(atol=0.0, rtol=0.0),
)
