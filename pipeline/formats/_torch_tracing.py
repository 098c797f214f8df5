"""A module becomes a program of torch's, and what torch.export does not see of a step is brought
before it while a net is traced."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, suppress
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any

from ._onnx_export import silenced
from ._torch_branches import differing_line, open_branches
from ._torch_caches import fresher, may_be_stale, renewing
from ._torch_checks import Checks, asserting
from ._torch_ctc import shaped_ctc
from ._torch_draws import noting_draws
from ._torch_equals import use_torchs_own
from ._torch_errors import DECIDES, FAULTS, by_values, fixes_size, hidden, in_one_line, scripted
from ._torch_finite import ASKED, drop_questions
from ._torch_masks import MASKS, note_masks
from ._torch_numbers import open_numbers
from ._torch_packed import shaped_packs
from ._torch_sizes import open_lengths, tried_sizes
from ._torch_states import changed_states, drop_reads, known_numbers
from ._torch_whole import whole_distances

if TYPE_CHECKING:
    from torch import nn

NOISY = "torch.fx.experimental.symbolic_shapes"
"""It says what `traced` says, in a page."""


def traced(
    module: "nn.Module",
    tensors: Any,
    shapes: Any,
    what: str,
    changing: Callable[[], set[str]] = set,
) -> Any:
    """Returns the module's program for every size of `shapes`; raises ValueError in one line, which
    begins with `what`, when there is none.

    Where a size would be fixed, or a value decides, it is traced once more, with the lengths of
    tensors left open, each size within its bounds tried, and the numbers in buffers known, but for
    those that a step is `changing`.
    """
    tracing = Tracing(module, tensors, shapes)
    if told := hidden(module):
        raise ValueError(f"{what} cannot be traced: {told}")
    try:
        try:
            return tracing.program()
        except FAULTS as error:
            if not (fixes_size(error) or by_values(error)):
                raise
            return tracing.with_all_help(changing, error)
    except FAULTS as error:
        at = f" ({tracing.places[0]})" if tracing.places else ""
        reason = scripted(module) or f"{in_one_line(error, tracing.draws)}{at}"
        raise ValueError(f"{what} cannot be traced: {reason}") from error


@dataclass
class Tracing:
    """What is traced, and the lines of the model that fix a size."""

    module: "nn.Module"
    tensors: Any
    shapes: Any
    places: list[str] = field(default_factory=list)
    checks: Checks = field(default_factory=Checks)
    draws: set[str] = field(default_factory=set)
    """The lines that read what the model draws."""

    def program(self) -> Any:
        """Returns what torch makes, with what the module computes of its weights for evaluation
        and holds computed by the program."""
        program = self._made()
        if may_be_stale(program, self.module):
            with suppress(*FAULTS), renewing(self.module):
                program = fresher(program, self._made())
        return program

    def _made(self) -> Any:
        """Returns what torch makes. Where that fails, torch prints a graph, which nobody sees."""
        import torch

        said = StringIO()
        with ExitStack() as stack:
            for context in (
                *(silenced(logging.ERROR, NOISY), redirect_stderr(said)),
                *(unchecked_distributions(), shaped_ctc(), shaped_packs(), whole_distances()),
            ):
                stack.enter_context(context)
            program = torch.export.export(self.module, self.tensors, dynamic_shapes=self.shapes)
        use_torchs_own(program)
        sys.stderr.write(said.getvalue())
        return program

    def with_all_help(self, changing: Callable[[], set[str]], error: Exception) -> Any:
        """Returns the program; where a size is in the way, with what the model makes of sizes left
        open; at last with tensors of one row, or of none, laid out as any others, for which a
        program does more copying. What is told is what was in the way at first."""
        import torch

        settings: Any = torch.fx.experimental._config
        try:
            return self.with_help(changing(), error)
        except FAULTS as told:
            places = self.places[:]
            for as_any_others in (False, True) if fixes_size(told) else ():
                layout = settings.patch(backed_size_oblivious=as_any_others)
                with suppress(*FAULTS), layout, open_numbers(self.module):
                    return self.with_help(changing(), error)
            self.places[:] = places
            raise

    def with_help(self, changing: set[str], error: Exception) -> Any:
        """Returns the program where the other way of each line that branches computes the same.
        What the program itself changes is no number that is known."""

        def helped() -> Any:
            return self._helped(changing)

        with open_branches() as lines:
            program = self.checks.found(helped)
            if changed := changed_states(program) - changing:
                changing |= changed
                lines.clear()
                program = self.checks.found(helped)
        lines = {line: asked for line, asked in lines.items() if line not in self.checks.known}
        if line := differing_line(program, lines, helped):
            goes_by_values = lines[line] == ASKED
            self.places[:] = [] if goes_by_values else [line]
            raise error if fixes_size(error) or goes_by_values else ValueError(DECIDES)
        del program.graph_module.meta[MASKS]
        return program

    def _helped(self, changing: set[str]) -> Any:
        buffers = dict(self.module.named_buffers(remove_duplicate=False))
        unknown = [buffers[name] for name in changing if name in buffers]
        del self.places[:]
        with ExitStack() as stack:
            for context in (
                *(known_numbers(self.module, unknown), open_lengths(self.places), tried_sizes()),
                *(asserting(self.checks), noting_draws(self.draws)),
            ):
                stack.enter_context(context)
            program = self.program()
        note_masks(program)
        drop_reads(program)
        drop_questions(program)
        return program


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
