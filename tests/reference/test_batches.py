"""What the trained model cannot answer is left out of what was made up, and told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.errors import ParamsError
from pipeline.reference import batches
from tests.reference.conftest import source

Arrays = dict[str, np.ndarray]
Write = Callable[[Arrays], Path]


class Ids(nn.Module):
    """Ids in an array of floats, from 1 on: as in a table of codes."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.table(x.long() - 1).sum(dim=(1, 2))


class Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.log().sum(dim=1)


class Turned(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x, 2 * x]).movedim(0, 2)


class Lengths(nn.Module):
    """Packs, which refuses sequences of length 0."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(1, 4, batch_first=True)

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        pack = nn.utils.rnn.pack_padded_sequence
        packed = pack(x[..., None], length.long(), batch_first=True, enforce_sorted=False)
        return self.rnn(packed)[1][0].sum(dim=1)


def codes() -> Arrays:
    rows = np.float32(np.random.default_rng(0).integers(1, 9, (32, 3)))
    rows[0], rows[1] = 1, 8
    return {"x": rows}


def ask(net: nn.Module, inputs: Arrays, write: Write, tmp_path: Path) -> dict[str, batches.Asked]:
    (tmp_path / "reference").mkdir()
    return batches.record(source(net), write(inputs), tmp_path / "reference", 16)


def test_edge_rows_on_which_the_model_raises_are_left_out_one_by_one_and_told(
    write_data: Write, tmp_path: Path
) -> None:
    edge = ask(Ids(), codes(), write_data, tmp_path)["edge"]
    assert edge.inputs["x"].tolist() == [[1, 1, 1], [8, 8, 8]]
    assert list(edge.left_out) == ["zeros", "beyond the least", "beyond the greatest"]
    assert edge.notes[0] == "zeros: the model raises IndexError: index out of range in self"
    with np.load(tmp_path / "reference/edge.npz") as file:
        assert file["output.y"].shape == (2,)


def test_answers_lie_row_by_row_whichever_way_the_model_left_them(
    write_data: Write, tmp_path: Path
) -> None:
    asked = ask(Turned(), codes(), write_data, tmp_path)["seven"]
    assert not asked.outputs["y"].flags.c_contiguous
    with np.load(tmp_path / "reference/seven.npz") as file:
        assert file["output.y"].flags.c_contiguous
        assert np.array_equal(file["output.y"], asked.outputs["y"])


def test_edge_rows_without_a_finite_answer_are_left_out_where_real_rows_have_one(
    write_data: Write, tmp_path: Path
) -> None:
    edge = ask(Logarithm(), codes(), write_data, tmp_path)["edge"]
    assert np.isfinite(edge.outputs["y"]).all()
    assert edge.notes == [
        "zeros: the answer is not finite",
        "beyond the least: the answer is not finite",
    ]


def test_where_real_rows_have_no_finite_answer_either_all_edge_rows_stay(
    write_data: Write, tmp_path: Path
) -> None:
    inputs = {"x": codes()["x"] * np.float32(-1)}
    edge = ask(Logarithm(), inputs, write_data, tmp_path)["edge"]
    assert len(edge.inputs["x"]) == 5 and edge.notes == []


def test_a_real_row_stands_in_where_no_edge_row_is_answered(
    write_data: Write, tmp_path: Path
) -> None:
    inputs = codes()

    class Known(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rows = torch.from_numpy(inputs["x"])
            assert (x[:, None] == rows[None]).all(dim=2).any(dim=1).all(), "no such row"
            return x.sum(dim=1)

    inputs["x"][:] = [1, 5, 9]
    inputs["x"][::2] = [9, 5, 1]
    edge = ask(Known(), inputs, write_data, tmp_path)["edge"]
    assert edge.inputs["x"].tolist() == inputs["x"][:1].tolist()
    assert len(edge.left_out) == 5
    assert edge.notes[-1].startswith("no edge value is answered")


def test_packed_sequences_have_no_edge_of_length_zero(write_data: Write, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    lengths = {"x": np.float32(rng.normal(size=(32, 5))), "length": rng.integers(1, 6, 32)}
    edge = ask(Lengths(), lengths, write_data, tmp_path)["edge"]
    assert edge.inputs["length"].tolist() == [1, 5, 1, 1, 5] and edge.notes == []
    (tmp_path / "more").mkdir()
    floats = {"x": lengths["x"], "length": np.float32(lengths["length"])}
    left = batches.ask_made_up(
        source(Lengths()), {k: np.float32([v[0], v[0] * 0]) for k, v in floats.items()}, "ab", True
    )
    assert list(left.left_out) == ["b"]


def test_a_real_row_without_an_answer_ends_in_one_line(write_data: Write, tmp_path: Path) -> None:
    inputs = codes()
    inputs["x"][20] = 0
    with pytest.raises(ParamsError) as caught:
        ask(Ids(), inputs, write_data, tmp_path)
    assert str(caught.value).startswith(
        "model.net: on the first 7 rows of the test split it raises IndexError: index out of range"
    )
    assert "\n" not in str(caught.value)


def test_far_rows_are_asked_only_of_a_model_that_answers_rows_alike(
    write_data: Write, tmp_path: Path
) -> None:
    class Faint(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tanh(x.sum(dim=1) * 1e-6)

    asked = ask(Faint(), codes(), write_data, tmp_path)
    assert np.ptp(asked["many"].outputs["y"]) < 1e-3 < np.ptp(asked["wide"].outputs["y"])
    assert (tmp_path / "reference/wide.npz").is_file()
