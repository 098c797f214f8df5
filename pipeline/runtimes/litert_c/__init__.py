"""C, with LiteRT's C API: `model.tflite` as it lies."""

from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="litert",
    title="C, with LiteRT",
    needs="a C compiler and make; the wheel of ai-edge-litert, in the version that it names",
    systems="Linux x86_64 and aarch64",
    types=(
        *("float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"),
        "string",
    ),
)
