"""An operator of a library that computes what one of torch's own does is that one in a program,
for a receiver has torch alone.

_torch_equals.json names them: libraries write such where torch.compile does not take torch's own.
That both compute the same is not taken on trust: gradients are compared where a step is traced,
and every bit by `verify`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.export import ExportedProgram

EQUALS: dict[str, str] = json.loads(Path(__file__).with_suffix(".json").read_text())


def use_torchs_own(program: "ExportedProgram") -> None:
    """Puts torch's own operator in the place of each that is listed."""
    import torch

    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in module.graph.nodes:
            if str(node.target) in EQUALS:
                node.target = getattr(torch.ops.aten, EQUALS[str(node.target)]).default
        module.recompile()
