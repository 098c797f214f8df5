"""Sequences that are packed by their lengths, as recurrent layers take them, in a program.

How many steps they have together, and the longest of them, are numbers that a program finds as it
runs. torch (2.13) takes a packed sequence apart by values where it is traced; here packing, the
layer and unpacking are the operators that the source calls, whole.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._torch_numbers import open_int
from ._torch_whole import whole


@contextmanager
def shaped_packs() -> Iterator[None]:
    """Has a trace know the shapes of packed sequences, and of what recurrent layers make of
    them."""
    import torch
    from torch._subclasses.fake_impls import op_implementations_dict as known
    from torch.nn.modules import rnn

    aten = torch.ops.aten
    rows: dict[str, Any] = {}  # of those that were packed, by the name of their longest's length
    own = vars(rnn)
    pack = aten._pack_padded_sequence.default
    known[pack] = _packing(rows)
    own["int"] = open_int()
    try:
        with whole(_layers(rows)), _sized(rows):
            yield
    finally:
        del known[pack], own["int"]


def _packing(rows: dict[str, Any]) -> Any:
    """Returns what gives the steps of all rows, and how many rows have each of them."""
    import torch

    demand: Any = torch._check

    def shaped(fake_mode: Any, _: Any, steps: Any, lengths: Any, batch_first: bool) -> Any:
        with fake_mode:
            total = fake_mode.shape_env.create_unbacked_symint()
            longest = fake_mode.shape_env.create_unbacked_symint()
            demand(total >= 1)
            demand(longest >= 1)
            demand(longest <= steps.shape[int(batch_first)])
            rows[str(longest)] = lengths.shape[0]
            counts = lengths.new_empty((longest,), dtype=torch.int64)
            return steps.new_empty((total, *steps.shape[2:])), counts

    return shaped


def _layers(rows: dict[str, Any]) -> dict[Any, Any]:
    """Returns by operator what gives the shapes of its answers."""
    import torch

    aten = torch.ops.aten

    def answer(steps: Any, hidden: Any, bidirectional: bool) -> Any:
        return steps.new_empty((steps.shape[0], hidden.shape[-1] * (1 + bidirectional)))

    def of_one(steps: Any, counts: Any, hidden: Any, *more: Any) -> Any:
        return answer(steps, hidden, more[-1]), hidden.new_empty(hidden.shape)

    def of_two(steps: Any, counts: Any, hidden: Any, *more: Any) -> Any:
        states = [each.new_empty(each.shape) for each in hidden]
        return answer(steps, hidden[0], more[-1]), *states

    def unpacked(steps: Any, counts: Any, batch_first: bool, fill: Any, size: int) -> Any:
        number, length = rows[str(counts.shape[0])], size or counts.shape[0]
        shape = (number, length) if batch_first else (length, number)
        return steps.new_empty((*shape, *steps.shape[1:])), counts.new_empty((number,))

    ones = (aten.gru.data, aten.rnn_tanh.data, aten.rnn_relu.data)
    more = {aten.lstm.data: of_two, aten._pad_packed_sequence.default: unpacked}
    return dict.fromkeys(ones, of_one) | more


def _sized(rows: dict[str, Any]) -> Any:
    """Returns a context in which the rows that have a first step are all, for a length of 0 cannot
    be packed, and what is unpacked may be as long as a program finds: torch's operator takes a
    number of Python's."""
    import torch
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

    def unpacked(func: Any, steps: Any, counts: Any, batch_first: Any, fill: Any, size: Any) -> Any:
        padded, lengths = func(steps, counts, batch_first, fill, 0)  # to the longest
        if str(size) not in rows:
            left = rows[str(counts.shape[0])], size - counts.shape[0]
            shape = left if batch_first else left[::-1]
            rest = padded.new_full((*shape, *padded.shape[2:]), fill)
            padded = torch.cat([padded, rest], int(batch_first))
        return padded, lengths

    class Sized(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if getattr(func, "__name__", "") == "_pad_packed_sequence":
                if isinstance(args[-1], torch.SymInt):
                    return unpacked(func, *args)
            elif func is Tensor.__getitem__ and isinstance(args[1], int) and args[1] == 0:
                length = args[0].shape[0] if args[0].ndim == 1 else 0
                if isinstance(length, torch.SymInt) and str(length) in rows:
                    return rows[str(length)]
            return func(*args, **(kwargs or {}))

    return Sized()
