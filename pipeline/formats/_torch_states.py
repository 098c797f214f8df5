"""Numbers that a net keeps in a tensor and reads as Python's, as strides, sizes of levels or a flag
that it was begun: a trace does not know them, though no step changes them."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ._torch_ctc import shaped_ctc

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.export import ExportedProgram

MUTATION = "BUFFER_MUTATION"
MOST_NUMBERS = 64
"""In a tensor; a step of torch's for each that is computed from them."""


@contextmanager
def known_numbers(module: "nn.Module", changing: "Iterable[Tensor]") -> Iterator[None]:
    """Has what is read of integers and flags, and of a float that the module keeps, be what they
    are, but for these. No argument is one of them: examples have more rows than one."""
    import torch
    from torch._subclasses import fake_tensor
    from torch._subclasses.fake_tensor import FakeTensorConverter

    integers, floats = (torch.bool, torch.int32, torch.int64), (torch.float32, torch.float64)
    convert, most = FakeTensorConverter.from_real_tensor, fake_tensor.CONSTANT_NUMEL_LIMIT
    left_out, own = {id(each) for each in changing}, {id(each) for each in _tensors(module)}

    def is_known(tensor: Any) -> bool:
        kept = id(tensor) in own
        if id(tensor) in left_out or tensor.numel() > (MOST_NUMBERS if kept else 1):
            return False
        return tensor.dtype in integers or (kept and tensor.numel() == 1 and tensor.dtype in floats)

    def know(self: Any, fake_mode: Any, tensor: Any, *more: Any, **named: Any) -> Any:
        fake = convert(self, fake_mode, tensor, *more, **named)
        if fake.constant is None and is_known(tensor):
            fake.constant = tensor.detach().clone()
            self.add_constant_storage_mapping(fake)
        return fake

    FakeTensorConverter.from_real_tensor = know  # type: ignore[method-assign, assignment]
    fake_tensor.CONSTANT_NUMEL_LIMIT = MOST_NUMBERS
    try:
        yield
    finally:
        FakeTensorConverter.from_real_tensor = convert  # type: ignore[method-assign]
        fake_tensor.CONSTANT_NUMEL_LIMIT = most


def _tensors(module: "nn.Module") -> "Iterator[Tensor]":
    """Yields the tensors that a module keeps and does not learn: buffers and plain attributes."""
    from torch import Tensor

    yield from module.buffers()
    for part in module.modules():
        yield from (each for each in vars(part).values() if isinstance(each, Tensor))


def changed_states(program: "ExportedProgram") -> set[str]:
    """Returns the names of the buffers that a program changes, be it in place."""
    if not program.graph_signature.buffers:
        return set()
    if (plain := _changed_as_wholes(program)) is not None:
        return plain
    with shaped_ctc():
        outputs = program.run_decompositions({}).graph_signature.output_specs
    return {str(spec.target) for spec in outputs if spec.kind.name == MUTATION}


def _changed_as_wholes(program: "ExportedProgram") -> set[str] | None:
    """Returns the same as the operators tell it, 0.15 s sooner than torch; null where only torch
    can tell: within a part of the program, or where what is written to may be a part of a buffer.
    """
    from torch import Tag
    from torch._ops import HigherOrderOperator, OpOverload

    names = program.graph_signature.inputs_to_buffers
    wholes = {node: names[node.name] for node in program.graph.nodes if node.name in names}
    shared, parts = set(wholes), set[Any]()
    changed: set[str] = set()
    for node in program.graph.nodes:
        if isinstance(node.target, HigherOrderOperator):  # which runs a part of the program
            return None
        if node.op != "call_function" or shared.isdisjoint(node.all_input_nodes):
            continue
        tags = node.target.tags if isinstance(node.target, OpOverload) else ()
        written = _written(node)
        if Tag.inplace_view in tags or not parts.isdisjoint(written):
            return None
        changed |= {wholes[each] for each in written if each in wholes}
        if len(written) == 1 and written[0] in wholes:
            wholes[node] = wholes[written[0]]
            shared.add(node)
        elif Tag.maybe_aliasing_or_mutating in tags or _shares(node):
            parts.add(node)
            shared.add(node)
    return changed


def _written(node: Any) -> list[Any]:
    """Returns the nodes that an operator writes to. Of `running_mean` one says nothing, and does
    so in training."""
    arguments = getattr(getattr(node.target, "_schema", None), "arguments", ())
    given = {each.name: value for each, value in zip(arguments, node.args, strict=False)}
    given |= node.kwargs
    names = [each.name for each in arguments if each.alias_info and each.alias_info.is_write]
    if given.get("training") and "running_mean" in given:
        names += ["running_mean", "running_var"]
    values = [given.get(name) for name in names]
    flat = [each for value in values for each in (value if isinstance(value, list) else [value])]
    return [each for each in flat if each is not None]


def _shares(node: Any) -> bool:
    """Returns whether an answer may lie in the memory of what is given; it does not unless an
    operator's schema says so."""
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(each.alias_info for each in schema.arguments)


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
