"""onnxruntime runs ONNX on the CPU."""

from pathlib import Path
from typing import Any

ERRORS, FATAL = 3, 4  # what it logs, by its own numbers


def session(path: Path, severity: int = ERRORS, optimize: bool = True) -> Any:
    """Returns an InferenceSession. It reads files that the graph refers to, and runs none."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = severity
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def refusals() -> tuple[type[Exception], ...]:
    """Returns what a session raises on rows that it does not take."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    own = (state.Fail, state.InvalidArgument, state.NotImplemented, state.RuntimeException)
    return (*own, RuntimeError, TypeError, ValueError)


def names(values: Any) -> list[str]:
    """Returns the names of a session's inputs or outputs."""
    return [each.name for each in values]
