"""C++ without Python: `model.pt2`, compiled by AOTInductor over the one copy of the weights."""

from pipeline.formats.tolerance import Tolerance
from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="torch_export",
    title="C++, with PyTorch's AOTInductor",
    needs="a C++20 compiler and make; the wheel of torch, with Python where it is built",
    systems="Linux x86_64 and aarch64",
    types=("float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"),
    rounds=Tolerance(atol=1e-4, rtol=1e-4),
)
