"""MLflow's server over the directory as it lies: ONNX, asked by HTTP on this machine alone."""

from pipeline.runtimes.contract import Runtime

RUNTIME = Runtime(
    format="onnx",
    title="HTTP, with MLflow's server",
    needs="Python with mlflow, numpy, pandas and onnxruntime: python_env.yaml",
    systems="those of onnxruntime: Linux, macOS and Windows",
    types=("float32", "float64", "bool", "int32", "int64", "uint8", "string"),
)
