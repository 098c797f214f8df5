"""What no data should have is asked, and what comes of it is written down."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.reference import questions
from tests.reference.conftest import source


class Scalars(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(50, 1)

    def forward(self, a: Tensor, n: Tensor) -> Tensor:
        return a + self.table(n.long())[:, 0]


def asked(dtype: str, folder: Path, size: int = 6) -> dict[str, np.ndarray]:
    inputs = {"a": np.linspace(0, 1, size, dtype=np.float32), "n": np.arange(size).astype(dtype)}
    row = {name: array[:1] for name, array in inputs.items()}
    questions.record(source(Scalars()), row, inputs, {"zeros": row}, folder / "questions.npz")
    with np.load(folder / "questions.npz") as file:
        return dict(file)


def test_ids_and_floats_are_asked_and_refusals_are_told(tmp_path: Path) -> None:
    found = asked("int64", tmp_path)
    told = dict(zip(found["question"].tolist(), found["refusal"].tolist(), strict=True))
    assert told == {
        "a has a NaN": "",
        "n is -1": "IndexError: index out of range in self",
        "n is one more than the greatest": "",
        "n is far too large": "IndexError: index out of range in self",
        "edge: zeros": "",
    }
    assert found["input.n"].tolist() == [0, -1, 6, 1050, 0]
    assert np.isnan(found["output.y"][0]) and len(found["output.y"]) == 5


def test_only_values_that_the_type_can_hold_are_asked(tmp_path: Path) -> None:
    found = asked("uint8", tmp_path)
    assert found["input.n"].tolist() == [0, 6, 0]


def test_a_row_of_texts_and_masks_alone_has_no_question(tmp_path: Path) -> None:
    class Masked(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.where(x, 1.0, 2.0)

    row = {"x": np.array([True])}
    questions.record(source(Masked()), row, row, {}, tmp_path / "questions.npz")
    with np.load(tmp_path / "questions.npz") as file:
        assert sorted(file) == ["question", "refusal"] and len(file["question"]) == 0
