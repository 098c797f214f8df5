"""The models that come with the pipeline: what they compute, and that they learn."""

import ast
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from models import standardize
from models.standardize import Standardize
from models.torch_cnn import ChannelGate, FocalLoss, TorchCNN
from models.torch_mlp import TorchMLP
from models.torch_tabular import TorchTabular

FOLDER = Path(standardize.__file__).parent


def test_models_import_nothing_of_ours_but_each_other() -> None:
    for path in FOLDER.glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        names |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        packages = {name.split(".")[0] for name in names}
        assert packages <= {
            "collections",
            "inspect",
            "keras",
            "models",
            "numpy",
            "torch",
            "tensorflow",
            "transformers",
            "typing",
        }
        assert not {"keras", "torch"} <= packages


def test_standardized_rows_have_mean_0_and_deviation_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(1e4, 3, (1000, 2, 5)).astype(np.float32)
    np.save(tmp_path / "values.npy", values)
    monkeypatch.setattr(standardize, "CHUNK_BYTES", 8 * 10 * 7)  # 7 rows, the last chunk is short
    layer = Standardize(2, 5)
    layer.adapt(np.load(tmp_path / "values.npy", mmap_mode="r"))
    exact = values.astype(np.float64)
    np.testing.assert_allclose(layer.mean.numpy(), exact.mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(layer.std.numpy(), exact.std(axis=0), rtol=1e-6)
    out = layer(torch.from_numpy(values)).numpy()
    assert abs(out.mean()) < 1e-3
    assert abs(out.std() - 1) < 1e-3


def test_a_constant_feature_keeps_its_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardize, "CHUNK_BYTES", 8 * 3)
    values = np.tile(np.float32([[0.0, 0.1, 7e6]]), (1001, 1))
    layer = Standardize(3)
    layer.adapt(values)
    assert layer.std.tolist() == [1, 1, 1]
    assert layer(torch.from_numpy(values)).abs().max() < 1e-6


@pytest.mark.parametrize("shape", [(0, 3), (5, 4), (3,), ()])
def test_what_does_not_fit_the_features_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected \\(rows > 0, 3\\)"):
        Standardize(3).adapt(np.zeros(shape, np.float32))


def test_statistics_are_saved_but_not_trained() -> None:
    model = TorchMLP(64, 8, 10)
    assert {"standardize.mean", "standardize.std"} <= set(model.state_dict())
    assert not {name for name, _ in model.named_parameters() if "standardize" in name}


def test_the_gate_has_weights_of_its_own_and_only_dampens() -> None:
    gate = ChannelGate(8)
    maps = torch.rand(3, 8, 4, 4)
    ratio = gate(maps) / maps
    assert {name for name, _ in gate.named_parameters()} >= {"exponent", "squeeze.weight"}
    assert ratio.min() > 0
    assert ratio.max() < 1
    torch.testing.assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))


def test_a_learnt_exponent_gets_a_gradient_even_where_maps_are_zero() -> None:
    gate = ChannelGate(64)
    gate(torch.zeros(2, 64, 3, 3)).sum().backward()
    gate(torch.rand(2, 64, 3, 3)).sum().backward()
    assert gate.exponent.grad is not None
    assert gate.exponent.grad.isfinite().all()
    assert gate.exponent.grad.abs().sum() > 0


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    logits, target = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    plain = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, target)
    torch.testing.assert_close(FocalLoss(gamma=0.0, smoothing=0.1)(logits, target), plain)


def test_focal_loss_turns_to_the_rows_not_yet_learnt() -> None:
    logits = torch.tensor([[4.0, 0.0], [0.5, 0.0]], requires_grad=True)
    target = torch.tensor([0, 0])
    shares = []
    for gamma in (0.0, 2.0):
        (grad,) = torch.autograd.grad(FocalLoss(gamma, 0.0)(logits, target), logits)
        shares.append(float(grad[0].abs().sum() / grad.abs().sum()))
    assert shares[1] < shares[0] / 10


@pytest.mark.parametrize("model", [TorchMLP(64, 8, 10), TorchCNN(4, 10, 0.5)])
def test_raw_pixels_go_in_and_logits_come_out(model: nn.Module) -> None:
    for rows in (0, 1, 7):
        assert model.eval()(torch.rand(rows, 64)).shape == (rows, 10)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Layers this small only wait for a second thread, tenfold where the cores are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_the_cnn_learns_to_read_digits() -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    values, labels = load_digits(return_X_y=True)
    parts = train_test_split(
        values.astype(np.float32), labels, test_size=0.2, stratify=labels, random_state=0
    )
    torch.manual_seed(0)
    model, loss = TorchCNN(16, 10, 0.3), FocalLoss(gamma=1.0, smoothing=0.05)
    model.adapt(parts[0])
    rows, unseen, target, expected = (torch.from_numpy(part) for part in parts)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(6):
        for chosen in torch.randperm(len(rows)).split(64):
            optimizer.zero_grad()
            loss(model(rows[chosen]), target[chosen]).backward()
            optimizer.step()
    accuracy = (model.eval()(unseen).argmax(dim=1) == expected).float().mean()
    assert accuracy >= 0.97


@pytest.mark.parametrize("columns", [1, 7])
def test_a_table_gives_a_number_a_row_or_the_logits_of_classes(columns: int) -> None:
    table = torch.ones(5, columns)
    assert TorchTabular(columns, units=4, answers=None)(table).shape == (5,)
    assert TorchTabular(columns, units=4, answers=3)(table).shape == (5, 3)
    assert TorchTabular(columns, units=4, answers=None)(table[:1]).shape == (1,)
