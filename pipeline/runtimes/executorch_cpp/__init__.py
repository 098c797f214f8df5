"""C++ for phones and small devices: `model.pt2`, lowered to ExecuTorch's `model.pte`."""

from pipeline.formats.tolerance import Tolerance
from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="torch_export",
    title="C++, with PyTorch's ExecuTorch",
    needs="a C++17 compiler and make; the wheel of executorch, with torch and Python where it is "
    "built",
    systems="Linux x86_64 and aarch64",
    types=("float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"),
    rounds=Tolerance(atol=1e-4, rtol=1e-4),
)
