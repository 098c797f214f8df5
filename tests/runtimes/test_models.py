"""Models of each kind answer in every runtime that takes a format of theirs as they did in Python:
layers of their own, convolutions, a Transformer of two lengths that vary."""

from pathlib import Path

import pytest

from testing import runtimes
from testing.carried import carrying

ONNX = ("onnx_c", "onnx_node", "onnx_browser")
FITTING = {
    "torch_mlp": ONNX,  # and C++, in test_aoti_cpp.py
    "torch_cnn": ("aoti_cpp", "executorch_cpp", *ONNX),
    "torch_sequence_to_sequence": ("aoti_cpp", "executorch_cpp", *ONNX),
    "keras_custom": ("saved_model_c", "litert_c", *ONNX),
    "keras_functional": ("saved_model_c", "litert_c", *ONNX),
}
CASES = [(model, runtime) for model, fitting in FITTING.items() for runtime in fitting]


@pytest.mark.parametrize(("model", "runtime"), CASES, ids=["-".join(case) for case in CASES])
def test_a_model_answers_as_it_did(
    model: str, runtime: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    runtimes.demand(runtime)
    batches = carrying(tmp_path_factory, model, runtime, tmp_path / "model")
    assert runtimes.difference(runtime, tmp_path / "model", batches) < 1e-5
