"""MLflow serves the graph through onnxruntime."""

from importlib.metadata import version

from ..contract import Flavor

# MLflow's default is CUDA first and a warning wherever there is none.
PROVIDERS = ["CPUExecutionProvider"]


def flavor() -> Flavor:
    return Flavor(
        name="onnx",
        content={
            "data": "model.onnx",
            "onnx_version": version("onnx"),
            "providers": PROVIDERS,
        },
        loader="mlflow.onnx",
        data="model.onnx",
        runtime="onnxruntime",
        takes_names=True,
        first=0,
    )
