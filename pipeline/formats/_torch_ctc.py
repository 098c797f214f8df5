"""The loss of CTC, by which speech and writing are learnt, in a program."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def shaped_ctc() -> Iterator[None]:
    """Has a trace know the shape of the loss of CTC, which hangs on no values. That of what its
    gradient needs does (the longest target), so that torch (2.13) makes no program of either."""
    import torch
    from torch._subclasses.fake_impls import op_implementations_dict as known

    operator = torch.ops.aten._ctc_loss.Tensor

    def shaped(fake_mode: Any, _: Any, log_probs: Any, *more: Any, **named: Any) -> Any:
        steps, *rows = log_probs.shape[:-1]
        with fake_mode:
            return log_probs.new_empty(rows), log_probs.new_empty((*rows, steps, 1))

    known[operator] = shaped
    try:
        yield
    finally:
        del known[operator]
