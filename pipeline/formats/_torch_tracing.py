"""A module becomes a program of torch's, and what torch.export does not see of a step is brought
before it while a net is traced."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._torch import constant
from ._torch_errors import FAULTS, branches, in_one_line
from ._torch_sizes import open_lengths

if TYPE_CHECKING:
    from torch import nn


def traced(module: "nn.Module", tensors: Any, shapes: Any, what: str) -> Any:
    """Returns the module's program for every size of `shapes`; raises ValueError in one line, which
    begins with `what`, when there is none. Where a size would be fixed, it is traced once more with
    the lengths of tensors left open."""
    import torch

    places: list[str] = []
    try:
        try:
            return torch.export.export(module, tensors, dynamic_shapes=shapes)
        except torch._dynamo.exc.UserError as error:
            if not (constant(str(error)) or branches(str(error))):
                raise
        with open_lengths() as places:
            return torch.export.export(module, tensors, dynamic_shapes=shapes)
    except FAULTS as error:
        at = f" ({places[0]})" if places else ""
        raise ValueError(f"{what} cannot be traced: {in_one_line(error)}{at}") from error


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
def seen_data() -> Iterator[None]:
    """Has `tensor.data` be the tensor without its history, so that what a net does to it in place,
    as to a codebook that follows its means, is seen: torch.export knows nothing of `data`."""
    from torch import Tensor, no_grad

    def read(self: Tensor) -> Tensor:
        return self.detach()

    def write(self: Tensor, values: Tensor) -> None:
        with no_grad():
            self.detach().copy_(values)

    Tensor.data = property(read, write)  # type: ignore[assignment]  # hides that of its base
    try:
        yield
    finally:
        del Tensor.data


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
