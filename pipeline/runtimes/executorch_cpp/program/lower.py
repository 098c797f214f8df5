"""Lowers the program that predicts to ExecuTorch: python3 lower.py MODEL.pt2 MODEL.pte ROWS

What XNNPACK can do is left to it. MODEL.pte takes ROWS rows at once at most, since ExecuTorch lays
out memory beforehand.
"""

import sys
from pathlib import Path
from typing import Any

NAME = "model"


def main(model: str, target: Path, rows: int) -> None:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower
    from torch.export.pt2_archive._package import load_pt2

    program = load_pt2(model).exported_programs[NAME]
    ranges = bounded(program.range_constraints, rows)
    bound(program, ranges)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    bound(
        lowered.exported_program(), ranges
    )  # they narrow where torch picks a convolution's kernel
    target.write_bytes(lowered.to_executorch().buffer)


def bounded(ranges: Any, most: int) -> Any:
    """Returns the range of each dimension. One has no bound, which is the number of rows."""
    from torch.utils._sympy.numbers import int_oo
    from torch.utils._sympy.value_ranges import ValueRanges

    return {
        symbol: ValueRanges(each.lower, most) if each.upper is int_oo else each
        for symbol, each in ranges.items()
    }


def bound(program: Any, ranges: Any) -> None:
    """Sets the ranges wherever they are read: in the program, and behind the sizes in it."""
    program.range_constraints.update(ranges)
    for node in program.graph.find_nodes(op="placeholder"):
        for size in getattr(node.meta.get("val"), "shape", ()):
            if not isinstance(size, int):
                size.node.shape_env.var_to_range.update(ranges)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
