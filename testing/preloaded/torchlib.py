"""torch.onnx reads the source of each of its 500 translations anew for every export, which is a
quarter of what an export of a small net takes.
"""

import copy
import functools
import sys
from typing import Any

MODULE = "torch.onnx._internal.exporter._registration"


def once() -> None:
    """From now on, this process and its children read them once, if torch.onnx is there by now.
    Each export has a table of its own, to which it may add."""
    registry = getattr(sys.modules.get(MODULE), "ONNXRegistry", None)
    if registry is None or hasattr(registry.from_torchlib, "plainly"):
        return
    read = functools.cache(registry.from_torchlib)

    def from_torchlib(**named: Any) -> Any:
        whole = read(**named)
        own = copy.copy(whole)
        own.functions = {name: [*each] for name, each in whole.functions.items()}
        return own

    from_torchlib.plainly = registry.from_torchlib  # type: ignore[attr-defined]
    registry.from_torchlib = staticmethod(from_torchlib)


def read() -> None:
    """Reads them as an export does."""
    from torch.onnx import _constants
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    once()
    ONNXRegistry.from_torchlib(opset_version=_constants.ONNX_DEFAULT_OPSET)
