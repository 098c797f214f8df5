"""torch reads anew for every export what does not change: torch.onnx the source of each of its 500
translations, a quarter of what an export of a small net takes, and torch.export 27 times which
operators are made of others.
"""

import copy
import functools
import sys
from typing import Any

MODULE = "torch.onnx._internal.exporter._registration"
COMPOSITES = "torch._export.utils"


def once() -> None:
    """From now on, this process and its children read them once, if torch.onnx or torch.export is
    there by now."""
    _translations()
    _composites()


def _translations() -> None:
    """Each export has a table of its own, to which it may add."""
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


def _composites() -> None:
    """They are looked up again where there are others than there were."""
    utils = sys.modules.get(COMPOSITES)
    plainly = getattr(utils, "_materialize_cpp_cia_ops", None)
    if plainly is None or hasattr(plainly, "plainly"):
        return
    import torch

    known: list[str] = []

    def materialize() -> None:
        there = torch._C._dispatch_get_registrations_for_dispatch_key("CompositeImplicitAutograd")
        if there != known:
            plainly()
            known[:] = there

    materialize.plainly = plainly  # type: ignore[attr-defined]
    utils._materialize_cpp_cia_ops = materialize  # type: ignore[union-attr]


def read() -> None:
    """Reads them as an export does."""
    from torch._export import utils
    from torch.onnx import _constants
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    once()
    ONNXRegistry.from_torchlib(opset_version=_constants.ONNX_DEFAULT_OPSET)
    utils._materialize_cpp_cia_ops()
