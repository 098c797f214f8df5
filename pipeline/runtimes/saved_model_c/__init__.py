"""C, with TensorFlow's C API: the SavedModel as it lies."""

from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="saved_model",
    title="C, with TensorFlow",
    needs="a C compiler and make; the wheel of tensorflow",
    systems="Linux x86_64 and aarch64",
    types=(
        *("float32", "float64", "bool", "int8", "int16", "int32", "int64", "uint8"),
        "string",
    ),
)
