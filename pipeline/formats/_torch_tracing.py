"""What torch.export does not see of a step is brought before it while a net is traced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def assigned_in_place(net: "nn.Module") -> Iterator[None]:
    """Copies what is assigned to a buffer (`self.steps = self.steps + 1`) into the buffer in the
    end: torch.export (2.13) drops the assignment, in a part of the module, without a word."""
    before = [
        (module, name, buffer)
        for module in net.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    yield
    for module, name, buffer in before:
        assigned: Any = module._buffers[name]
        if assigned is not buffer:
            module._buffers[name] = buffer
            buffer.copy_(assigned.detach())


@contextmanager
def unchecked_distributions() -> Iterator[None]:
    """Has torch.distributions not look at the values that it is made of, which no trace has."""
    from torch.distributions import Distribution

    checks = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(checks)
