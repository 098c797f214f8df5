"""Tensors of a file of torch.save, each mapped from the file when it is asked for and compared with
its checksum the first time."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.errors import DataError
from pipeline.text import escaped

from ._contents import made_in
from ._pickle import Made
from ._tensors import SUBCLASS, Tensors, reason
from ._torch_file import Piece, TorchFile
from .lazy_mapping import LazyMapping

if TYPE_CHECKING:
    from torch import Tensor

ADVICE = {
    "torch._utils._rebuild_qtensor": "call dequantize() on it",
    "torch._utils._rebuild_sparse_tensor": "call to_dense() on it",
    "torch._utils._rebuild_nested_tensor": "make it a padded one",
    "torch._utils._rebuild_meta_tensor_no_storage": "give it values",
}
PARTS = ("DTensor", "ShardedTensor", "FlatParameter")
"""Classes of tensors of which a process holds a part."""


class Brought:
    """Brings values of the pickle with their tensors."""

    def __init__(self, file: TorchFile) -> None:
        self.file = file
        self.places: Counter[str] = Counter()
        """Where tensors lay when they were written, other than on the CPU -> how many."""
        self._checked: set[str] = set()

    def __call__(self, value: Any) -> Any:
        return _Once(self.file, self._checked).within(value)

    def dense(self, name: str, value: Any) -> "Tensor":
        """Returns a weight. Raises DataError, one line, for what is no dense tensor of real
        numbers, and whatever `reading` words for a damaged one."""
        import torch

        tensors = _Once(self.file, self._checked)
        tensor = tensors.within(value)
        self.places += tensors.places
        if isinstance(tensor, torch.Tensor) and not tensor.is_complex():
            return tensor
        raise DataError(f"{self.file.path}: {escaped(name)[:200]} {_refusal(tensor)}")

    def all_of(self, weights: Mapping[str, Any]) -> LazyMapping:
        """Returns the weights by name, now that each is known to be whole."""
        for name, value in weights.items():
            self.dense(name, value)
        return LazyMapping(weights, self)

    def state(self, value: Any) -> Any:
        """Returns an optimizer's state, of which each tensor is known to be whole."""
        for each in made_in(value):
            self(each)
        return LazyMapping(value, self)


class _Once(Tensors):
    """Compares no storage with its checksum that was compared before."""

    def __init__(self, file: TorchFile, checked: set[str]) -> None:
        super().__init__(file)
        self._checked = checked

    def _mapped(self, key: str, piece: Piece) -> "Tensor":
        known = replace(piece, crc=None) if key in self._checked else piece
        result = super()._mapped(key, known)
        self._checked.add(key)
        return result


def _refusal(value: Any) -> str:
    import torch

    if isinstance(value, torch.Tensor):
        return "holds complex numbers, expected real ones; save it with torch.view_as_real"
    made = value if isinstance(value, Made) else None
    kind = str(made.args[1]) if made and made.name == SUBCLASS and len(made.args) > 1 else ""
    if kind.endswith(PARTS):
        return (
            f"is one process' part of a tensor ({kind[:100]}), expected the whole; save it with "
            "torch.distributed.checkpoint, or as a full state_dict"
        )
    advice = ADVICE.get(made.name) if made else None
    return f"{reason(value)}, expected a dense tensor; {advice or 'save its values'} before saving"
