"""What a net computes of its weights once for all evaluation and keeps in an attribute, as a bias
by position: a program that holds it as a constant would answer by it after its weights changed.

Such a net renews it in `train`, or it would be stale in the net itself. So `train` and `eval` are
called within the trace, which sees then how it is computed.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

CONSTANT, CHANGES = "CONSTANT_TENSOR", ("PARAMETER_MUTATION", "BUFFER_MUTATION")


def may_be_stale(program: "ExportedProgram", module: "nn.Module") -> bool:
    """Returns whether the program of a module in evaluation mode holds tensors of attributes, and a
    part has something to do when the mode changes."""
    from torch import nn

    renew = [part for part in module.modules() if type(part).train is not nn.Module.train]
    return bool(constants(program) and renew) and not any(part.training for part in renew)


def constants(program: "ExportedProgram") -> int:
    """Returns how many tensors of attributes a program holds."""
    return sum(spec.kind.name == CONSTANT for spec in program.graph_signature.input_specs)


def fresher(program: "ExportedProgram", renewed: "ExportedProgram") -> "ExportedProgram":
    """Returns the renewed program where it computes what the other holds, and changes nothing."""
    changing = any(spec.kind.name in CHANGES for spec in renewed.graph_signature.output_specs)
    return program if changing or constants(renewed) >= constants(program) else renewed


@contextmanager
def renewing(module: "nn.Module") -> Iterator[None]:
    """Has each call of the module bring its parts into training mode and back first; its attributes
    are afterwards what they were."""
    from torch import nn

    tables = vars(nn.Module()).keys() - {"_buffers", "training"}
    before = [
        (part, {k: _copied(v) for k, v in vars(part).items() if k not in tables})
        for part in module.modules()
    ]

    def renew(*_: Any) -> None:
        module.train()
        module.eval()
        for part, attributes in before:
            part.training = attributes["training"]

    handle = module.register_forward_pre_hook(renew)
    try:
        with warnings.catch_warnings():  # of what was assigned within a trace, and is no longer
            warnings.simplefilter("ignore")
            yield
    finally:
        handle.remove()
        for part, attributes in before:
            for name in vars(part).keys() - tables - attributes.keys():
                del vars(part)[name]
            vars(part).update(attributes)


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, dict | list | set) else value
