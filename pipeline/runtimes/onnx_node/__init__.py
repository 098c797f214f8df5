"""Node, with onnxruntime-node: the ONNX graph over the one copy of the weights."""

from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="onnx",
    trains="onnx_train",
    title="Node, with onnxruntime-node",
    needs="Node 20 or later; onnxruntime-node from npm",
    systems="Linux x64 and arm64, macOS arm64, Windows x64 and arm64",
    types=(
        *("float32", "float64", "bool", "int8", "int16", "int32", "int64"),
        *("uint8", "uint16", "uint32", "uint64", "string"),
    ),
)
