"""Where `model.onnx` keeps its weights, and what it refuses."""

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from models.torch_mlp import TorchMLP
from testing.formats import form as plugin
from tests.formats.conftest import Case, pixels, trained

form = plugin("onnx")
pt2 = plugin("torch_export")


class FixedRows(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.reshape(3, 64)


class Branching(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * 2 if pixels.sum() > 0 else pixels


class Untranslatable(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return torch.linalg.eigvals(pixels[:, :, None] * pixels[:, None, :]).real


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.GRU(4, 3, batch_first=True)

    def forward(self, pixels: Tensor) -> Tensor:
        lengths = (pixels[:, :16] > 0).sum(1).clamp(min=1)
        steps = pixels.unflatten(1, (16, 4))
        packed = pack_padded_sequence(steps, lengths, batch_first=True, enforce_sorted=False)
        return self.layer(packed)[1][0]


class Cast(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.bfloat16()


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (FixedRows(), "the number of rows became a constant"),
        (Branching(), "pixels.sum\\(\\) > 0"),
        (Untranslatable(), r"nothing for aten.linalg_eig.default; write it with other"),
        (Packed(), r"nothing for aten._pack_padded_sequence.* at .*; write it with other"),
        (nn.Sequential(Cast(), nn.Linear(64, 3).bfloat16()), "Gemm"),
        (nn.Identity(), "an input returned as it came"),
    ],
)
def test_a_model_that_does_not_fit_is_named_with_its_fault(
    model: nn.Module, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=named) as raised:
        form.export(model.eval(), pixels(5), ["logits"], tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_its_weights_are_those_of_the_pt2(exported: Path) -> None:
    ours, theirs = form.weights(exported / "cnn"), pt2.weights(exported / "cnn")
    large = {name: place for name, place in ours.items() if place[2] >= form.TINY}
    assert large
    assert all(theirs[name] == place for name, place in large.items())
    assert {place[0] for place in ours.values()} == {form.FILE, pt2.FILE}


def test_alone_it_holds_its_weights_itself(cases: dict[str, Case], tmp_path: Path) -> None:
    form.export(cases["mlp"].model, pixels(5), ["logits"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [form.FILE]
    assert {place[0] for place in form.weights(tmp_path).values()} == {form.FILE}
    check(cases["mlp"], tmp_path)


def test_another_models_pt2_is_not_referred_into(cases: dict[str, Case], tmp_path: Path) -> None:
    other = trained(TorchMLP(64, 24, 10))
    with torch.no_grad():
        other.layers[0].weight[0, 0] += 1
    pt2.export(other, pixels(5), ["logits"], tmp_path)
    form.export(cases["mlp"].model, pixels(5), ["logits"], tmp_path)
    assert form.weights(tmp_path)["layers.0.weight"][0] == form.FILE
    check(cases["mlp"], tmp_path)


def test_beyond_the_limit_weights_go_to_a_file_beside_it(
    cases: dict[str, Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    external = importlib.import_module("formats.onnx._external")
    monkeypatch.setattr(external, "INLINE_LIMIT", 1000)
    form.export(cases["cnn"].model, pixels(5), ["logits"], tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {form.FILE, form.OVERFLOW}
    check(cases["cnn"], tmp_path)


@pytest.mark.usefixtures("translations_read_anew")
def test_it_says_nothing(
    cases: dict[str, Case], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    form.export(cases["cnn"].model, pixels(5), ["logits"], tmp_path)
    form.load(tmp_path)(pixels(1))
    assert capfd.readouterr() == ("", "")


def test_names_and_the_free_batch_stand_in_the_graph(exported: Path) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(exported / "pair" / form.FILE))
    taken = {each.name: each.shape for each in session.get_inputs()}
    assert taken == {"token": ["batch"], "extra": ["batch", 20]}
    assert [each.name for each in session.get_outputs()] == ["logits", "label"]


def test_with_100_mb_of_weights_both_files_weigh_at_most_5_percent_more(tmp_path: Path) -> None:
    layers = [nn.Conv2d(1, 512, 3), nn.BatchNorm2d(512), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)), *layers, nn.Linear(512 * 36, 1360), nn.BatchNorm1d(1360)
    )
    model = trained(model)
    weights = sum(t.nbytes for t in model.state_dict().values())
    assert weights > 100e6
    for each in (pt2, form):
        each.export(model, pixels(3), ["logits"], tmp_path)
    total = sum(path.stat().st_size for path in tmp_path.iterdir())
    assert total <= 1.05 * weights
    check(Case("pytorch", model, pixels, ["logits"]), tmp_path)


def check(case: Case, directory: Path) -> None:
    inputs = case.inputs(7)
    found, expected = form.load(directory)(inputs), case.eager(inputs)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=1e-4)


class Looking(nn.Module):
    """Looks up by ids, by positions of its own, and by what indexing takes: from either end."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.table, self.places = nn.Embedding(9, 4), nn.Embedding(3, 4)
        self.kind = kind

    def forward(self, ids: Tensor) -> Tensor:
        rows = self.places(torch.arange(3))
        if self.kind == "embedding":
            return self.table(ids.clamp(max=100)) + rows
        if self.kind == "index_select":
            flat = self.table.weight.index_select(0, ids.flatten().long())
            return flat.reshape(-1, 3, 4) + rows
        if self.kind == "gather":
            wide = self.table.weight.T.expand(ids.shape[0], 4, 9)
            return wide.gather(2, ids[:, None].expand(-1, 4, -1)).transpose(1, 2) + rows
        return self.table.weight[ids] + rows


@pytest.mark.parametrize("kind", ["embedding", "index_select", "gather", "indexing"])
@pytest.mark.parametrize("value", [0, 8, 9, 100, -1, -9, -10])
def test_ids_out_of_range_are_refused_or_answered_as_the_model_does(
    kind: str, value: int, looking: dict[str, Path]
) -> None:
    model, ids = trained(Looking(kind)), np.array([[1, 2, value], [0, 3, 4]])
    predict, expected = form.load(looking[kind]), None
    try:
        with torch.no_grad():
            expected = model(torch.from_numpy(ids)).numpy()
    except (IndexError, RuntimeError):
        with pytest.raises(form.refusals()):
            predict({"ids": ids})
        return
    np.testing.assert_allclose(predict({"ids": ids})["y"], expected, atol=1e-5)


@pytest.fixture(scope="module")
def looking(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for kind in ("embedding", "index_select", "gather", "indexing"):
        folders[kind] = tmp_path_factory.mktemp(kind)
        ids = {"ids": np.array([[1, 2, 3]] * 5)}
        form.export(trained(Looking(kind)), ids, ["y"], folders[kind])
    return folders


def test_only_an_index_that_comes_from_an_input_is_looked_at(looking: dict[str, Path]) -> None:
    def guards(kind: str) -> int:
        graph = importlib.import_module("onnx").load(looking[kind] / form.FILE).graph
        return sum(node.op_type == "Where" for node in graph.node)

    assert [guards(kind) for kind in looking] == [1, 1, 1, 0]


class Masking(nn.Module):
    """A mask of integers is taken from a number, as nets of texts do, and divides one."""

    def forward(self, mask: Tensor) -> Tensor:
        return (1.0 - mask) * torch.rsub(mask, 2.5, alpha=2) + 7.5 // (mask + 1) + mask // 2.5


def test_a_number_before_integers_is_promoted_as_by_the_source(tmp_path: Path) -> None:
    mask = np.arange(-6, 6).reshape(3, 4)
    mask[mask == -1] = 0
    form.export(Masking().eval(), {"mask": mask}, ["y"], tmp_path)
    expected = Masking()(torch.from_numpy(mask)).numpy()
    np.testing.assert_array_equal(form.load(tmp_path)({"mask": mask})["y"], expected)


class Demanding(nn.Module):
    """It asserts of its values by two of torch's own means."""

    def forward(self, values: Tensor) -> Tensor:
        torch._check_tensor_all(values < 9)
        torch._assert_async((torch.erfinv(values / 9) < 9).all())
        return values * 2


def test_what_a_net_asserts_is_not_in_its_onnx(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    form.export(Demanding().eval(), {"values": values}, ["y"], tmp_path)
    np.testing.assert_array_equal(form.load(tmp_path)({"values": values})["y"], values * 2)
    graph = importlib.import_module("onnx").load(tmp_path / form.FILE).graph
    assert [node.op_type for node in graph.node] == ["Mul"]
