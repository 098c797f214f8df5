"""The arrays that PyTorch traces a program with, and what it leaves open of their shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._torch import ROWS, tensor
from .contract import Arrays
from .dimensions import Dimensions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Examples:
    """Arrays in the order of a program's arguments, called as in the reference: input.<name>,
    target.<name>, output.<name>."""

    arrays: Mapping[str, Any]
    dimensions: Dimensions

    def __len__(self) -> int:
        return len(self.arrays)

    def of(self, kind: str) -> "Examples":
        """Returns the inputs alone, for instance."""
        arrays = {k: v for k, v in self.arrays.items() if k.partition(".")[0] == kind}
        return Examples(arrays, self.dimensions)

    def resized(self, rows: int) -> Arrays:
        """Returns so many rows, each dimension in the size that programs are traced with."""
        resized = self.dimensions.resized
        return {name: resized(name, each, rows) for name, each in self.arrays.items()}

    def tensors(self, rows: int) -> "tuple[Tensor, ...]":
        """Returns the same as tensors."""
        return tuple(map(tensor, self.resized(rows).values()))

    def shapes(self, least_rows: int = 0) -> tuple[dict[int, Any], ...]:
        """Returns what torch.export calls their dynamic shapes: any number of rows, and any size
        within the bounds of a dimension."""
        from torch.export import Dim

        def of_axis(name: str | None) -> Any:
            if name is None:
                return Dim.AUTO
            least, most = self.dimensions.bounds[name]
            return Dim(name, min=least, max=most)

        varying = [self.dimensions.of(name) for name in self.arrays]
        rows = {0: Dim(ROWS, min=least_rows)}
        return tuple(rows | {n: of_axis(name) for n, name in axes.items()} for axes in varying)

    def names_of_axes(self) -> tuple[dict[int, str], ...]:
        """Returns the names of the axes that vary, each where it comes first: the exporter to ONNX
        warns of one that is said again."""
        named, known = [], set[str]()
        for array in self.arrays:
            axes = names_of_axes(self.dimensions, array)
            named.append({axis: name for axis, name in axes.items() if name not in known})
            known |= set(axes.values())
        return tuple(named)


def examples(dimensions: Dimensions, **kinds: Arrays) -> Examples:
    """Returns arrays by kind and name, `examples(dimensions, input=inputs, target=targets)`."""
    arrays = {f"{kind}.{name}": v for kind, each in kinds.items() for name, v in each.items()}
    return Examples(arrays, dimensions)


def names_of_axes(dimensions: Dimensions, array: str) -> dict[int, str]:
    """Returns the names of an array's axes that vary and have one, for ONNX."""
    return {0: ROWS} | {axis: name for axis, name in dimensions.of(array).items() if name}
