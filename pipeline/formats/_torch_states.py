"""A number that a net keeps in a tensor and reads as Python's, as a stride or a flag that it was
begun: a trace does not know it, though no step changes it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor
    from torch.export import ExportedProgram

MUTATION = "BUFFER_MUTATION"


@contextmanager
def known_numbers(changing: "Iterable[Tensor]") -> Iterator[None]:
    """Has what is read of integers and flags, a number a tensor, be what they are, but for these.
    No argument is one of them: examples have more rows."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorConverter

    integers, left_out = (torch.bool, torch.int32, torch.int64), {id(each) for each in changing}
    convert = FakeTensorConverter.from_real_tensor

    def know(self: Any, fake_mode: Any, tensor: Any, *more: Any, **named: Any) -> Any:
        fake = convert(self, fake_mode, tensor, *more, **named)
        known = tensor.numel() == 1 and tensor.dtype in integers and id(tensor) not in left_out
        if known and fake.constant is None:
            fake.constant = tensor.detach().clone()
            self.add_constant_storage_mapping(fake)
        return fake

    FakeTensorConverter.from_real_tensor = know  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        FakeTensorConverter.from_real_tensor = convert  # type: ignore[method-assign]


def changed_states(program: "ExportedProgram") -> set[str]:
    """Returns the names of the buffers that a program changes, be it in place."""
    outputs = program.run_decompositions({}).graph_signature.output_specs
    return {str(spec.target) for spec in outputs if spec.kind.name == MUTATION}


def drop_reads(program: "ExportedProgram") -> None:
    """Takes out what only read a number that was known: torch (2.13) writes it, and cannot read it
    back."""
    import torch

    read = torch.ops.aten.item.default
    symbolic = (torch.SymBool, torch.SymInt, torch.SymFloat)
    for module in program.graph_module.modules():
        if not isinstance(module, torch.fx.GraphModule):
            continue
        for node in list(module.graph.nodes):
            known = not isinstance(node.meta.get("val"), symbolic)
            if node.target is read and known and not node.users:
                module.graph.erase_node(node)
        module.recompile()
