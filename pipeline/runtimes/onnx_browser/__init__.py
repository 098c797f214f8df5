"""Browsers, with onnxruntime-web as WebAssembly: ONNX over the one copy of the weights."""

from pipeline.runtimes.contract import Runtime
from pipeline.runtimes.onnx_node import RUNTIME as NODE

RUNTIME = Runtime(
    format="onnx",
    trains="onnx_train",
    title="A browser, with onnxruntime-web",
    needs="a browser with WebAssembly; onnxruntime-web from npm; Node 20 or later, which serves it",
    systems="every one that has such a browser; checked in Chromium on Linux",
    types=NODE.types,
)
