"""C, with ONNX Runtime's C API: the ONNX graph over the one copy of the weights."""

from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="onnx",
    title="C, with ONNX Runtime",
    needs="a C compiler and make; the wheel of onnxruntime",
    systems="Linux x86_64 and aarch64",
    types=(
        *("float32", "float64", "bool", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64", "string"),
    ),
)
