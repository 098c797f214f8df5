"""A training step as one ONNX graph: it goes on as PyTorch does, where there is no torch."""

import contextlib
import copy
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.torch_cnn import FocalLoss, TorchCNN
from models.torch_mlp import TorchMLP
from pipeline.frameworks import pytorch
from pipeline.frameworks.pytorch import Training
from testing import preloaded
from testing.formats import FOLDER
from testing.formats import form as plugin
from testing.parts import parts
from testing.trainable import demand_masks
from tests.formats.conftest import KIND, FirstOutput, Pair, pair_inputs, specs_of

form = plugin("onnx_train")
ROWS = 120
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.uniform(0, 16, (ROWS, 64)).astype(np.float32)
TRUE = {"kind": RANDOM.integers(0, 10, ROWS)}
BATCHES = [np.arange(k * 16, k * 16 + (16 if k % 2 == 0 else 7)) for k in range(6)]
ENDS_EPOCH = 2  # after this step an epoch ends
LR = 1e-3
SEED = 17  # of masks

WITHOUT_TORCH = """
import pathlib, sys
class Refusal:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "models", "pipeline", "onnx", "onnxscript"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refusal())
import numpy as np
sys.path.append(str(pathlib.Path(sys.argv[1]).parents[1]))
from form import Form
form = Form(pathlib.Path(sys.argv[1]).name)
directory, out = map(pathlib.Path, sys.argv[2:4])
given = np.load(out / "given.npz")
inputs = {k[6:]: given[k] for k in given.files if k.startswith("input.")}
found = form.load(directory)(inputs)
np.savez(out / "untrained.npz", **found)
trainer = form.load_training(directory)
losses = []
for k in range(given["step"].max() + 1):
    rows = given["step"] == k
    batch = {name: array[rows] for name, array in inputs.items()}
    losses.append(trainer.step(batch, {"kind": given["target.kind"][rows]}))
    if k == int(sys.argv[4]):
        trainer.end_epoch()
np.savez(out / "state.npz", losses=losses, **trainer.state())
np.savez(out / "trained.npz", **trainer.predict(inputs))
assert "torch" not in sys.modules
"""

ELSEWHERE = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from tests.formats.test_onnx_train import made, write
write(made("cnn"), pathlib.Path(sys.argv[2]))
"""


def frozen() -> nn.Module:
    net = TorchMLP(64, 24, 10)
    net.layers[0].requires_grad_(False)
    return net


class Tied(nn.Module):
    """One weight of two names, one that is not used, a buffer and a tensor not in the state."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.idle = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.arange(64.0) / 64, persistent=False)
        self.head = nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.second(self.first(pixels / 16).relu()) * self.scale + torch.tensor([1.0])
        return self.head(hidden)


class Attention(nn.Module):
    """The bias of its keys has no gradient but rounding: all keys shifted, softmax is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.layer(pixels.reshape(-1, 8, 8) / 16).mean(1))


class Layers(nn.Sequential):
    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels)


class Linear(nn.Linear):
    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels)


def convolutions() -> nn.Module:
    return Layers(
        nn.Unflatten(1, (4, 4, 4)),
        nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, stride=3, dilation=2, padding=2, groups=2),
        nn.Flatten(2),
        nn.Conv1d(4, 4, 2, stride=2),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


class Dropping(nn.Module):
    """Masks of whole channels, of attention, and of values that do not lie row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.channels = nn.Sequential(nn.Conv1d(8, 8, 3), nn.Dropout1d(0.4), nn.ReLU())
        self.layer = nn.TransformerEncoderLayer(6, 2, 8, dropout=0.3)
        self.head = nn.Sequential(nn.AlphaDropout(0.2), nn.Linear(6, 10))

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = self.channels(pixels.reshape(-1, 8, 8) / 16).transpose(0, 1)
        hidden = nn.functional.dropout(hidden, 0.25, self.training)
        return self.head(self.layer(hidden).mean(0))


def pooled() -> nn.Module:
    """Every average pooling, of windows that overlap, stick out, and leave values over."""
    return Layers(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 3, 3, padding=1),
        nn.AvgPool2d(3, stride=2, padding=1, ceil_mode=True, count_include_pad=False),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d((3, 2)),
        nn.Flatten(2),
        nn.AvgPool1d(2, stride=2, padding=1),
        nn.AdaptiveAvgPool1d(3),
        nn.Unflatten(1, (1, 3)),
        nn.Unflatten(3, (3, 1)),
        nn.AvgPool3d((2, 1, 1), stride=1),
        nn.Flatten(),
        nn.Linear(6, 10),
    )


def training(
    net: nn.Module,
    optimizer: Callable[[Any], Any] = lambda net: torch.optim.Adam(net.parameters(), LR),
    scheduler: Callable[[Any], Any] | None = None,
    loss: nn.Module | None = None,
    clip_norm: float | None = None,
    inputs: Any = None,
    outputs: Sequence[str] = ("logits",),
) -> Training:
    if hasattr(net, "adapt"):
        net.adapt(PIXELS)
    net.eval()
    criterion, specs = loss or nn.CrossEntropyLoss(), specs_of(inputs or {"pixels": PIXELS})
    made = (lambda: net, lambda: criterion, lambda parameters: optimizer(net), scheduler, specs)
    return pytorch.build(parts(*made, clip_norm, outputs, KIND))


def rows_of(rows: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns these rows as a step takes them."""
    return {"pixels": PIXELS[rows]}, {"kind": TRUE["kind"][rows]}


def adamw(net: nn.Module) -> Any:
    return torch.optim.AdamW(net.parameters(), LR, weight_decay=0.01)


def momentum(net: nn.Module) -> Any:
    return torch.optim.SGD(net.parameters(), 0.01, 0.9, nesterov=True, weight_decay=1e-3)


def in_groups(net: Any) -> Any:
    first = {"params": net.layers[0].parameters(), "lr": 1e-2, "weight_decay": 0.1}
    second = {"params": net.layers[2].parameters(), "betas": (0.8, 0.99), "amsgrad": True}
    return torch.optim.AdamW([first, second], LR)


def cosine(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)


def halved(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)


CASES: dict[str, Callable[[], Training]] = {
    "mlp": lambda: training(TorchMLP(64, 24, 10)),
    "cnn": lambda: training(TorchCNN(4, 10, 0.0), adamw, cosine, FocalLoss(1.0, 0.05)),
    "groups": lambda: training(TorchMLP(64, 24, 10), in_groups, halved),
    "frozen": lambda: training(frozen(), clip_norm=1.0),
    "tied": lambda: training(Tied()),
    "convolutions": lambda: training(convolutions(), momentum, clip_norm=0.5),
    "attention": lambda: training(Attention(), adamw),
    "dropping": lambda: training(Dropping(), momentum),
    "pooled": lambda: training(pooled(), momentum),
}


def made(name: str, steps: int = 2) -> Training:
    torch.set_num_threads(1)  # another test may have set it, another process not
    torch.manual_seed(0)
    found = CASES[name]()
    for k in range(steps):
        pytorch.step(found, {"pixels": PIXELS}, TRUE, np.arange(100 + 9 * k, 109 + 9 * k))
    found.net.eval()
    return found


def write(found: Training, directory: Path) -> None:
    inputs, targets = rows_of(slice(7))
    with left_as_it_was(found):
        form.export(found.net, inputs, ["logits"], directory, found, targets, seed=SEED)


@contextlib.contextmanager
def left_as_it_was(source: Training) -> Iterator[None]:
    parameters, schedule = [*source.net.parameters()], source.scheduler
    before = copy.deepcopy(pytorch.state(source)), [m.training for m in source.net.modules()]
    gradients = [None if each.grad is None else each.grad.clone() for each in parameters]
    plan = copy.deepcopy(schedule.state_dict()) if schedule else None
    drawn = torch.get_rng_state()
    yield
    assert [m.training for m in source.net.modules()] == before[1]
    after = pytorch.state(source)
    assert all(np.array_equal(after[name], array) for name, array in before[0].items())
    for parameter, gradient in zip(parameters, gradients, strict=True):
        same = parameter.grad is None if gradient is None else torch.equal(parameter.grad, gradient)
        assert same
    assert (schedule.state_dict() if schedule else None) == plan
    assert torch.equal(torch.get_rng_state(), drawn)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("onnx_train")

    def directory(name: str) -> Path:
        if name == "dropping":
            demand_masks()
        if not (root / name).is_dir():
            (root / name).mkdir()
            write(made(name), root / name)
        return root / name

    return directory


def run(script: str, *arguments: object, cwd: Path, **environment: str) -> None:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": ""} | environment
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def rows_of_steps() -> dict[str, np.ndarray]:
    rows = np.concatenate(BATCHES)
    steps = np.concatenate([np.full(len(each), k) for k, each in enumerate(BATCHES)])
    return {"input.pixels": PIXELS[rows], "target.kind": TRUE["kind"][rows], "step": steps}


def source_takes_the_steps(source: Training) -> list[float]:
    losses = []
    for k, rows in enumerate(BATCHES):
        losses.append(pytorch.step(source, {"pixels": PIXELS}, TRUE, rows).item())
        if k == ENDS_EPOCH:
            pytorch.end_epoch(source)
    return losses


@pytest.mark.parametrize("name", CASES)
def test_it_trains_on_as_the_source_does_where_there_is_no_torch(
    name: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    """Masks are those it draws. Measured: losses within 5e-7, the optimizer's tensors within 1e-5
    of the largest like them, weights within 3e-6; but where rounding is all the gradient, Adam's
    steps are its own."""
    given = rows_of_steps()
    np.savez(tmp_path / "given.npz", **given)
    run(WITHOUT_TORCH, FOLDER / "onnx_train", written(name), tmp_path, ENDS_EPOCH, cwd=tmp_path)
    source = made(name)
    torch.manual_seed(SEED)
    with torch.no_grad():
        before = source.net(torch.from_numpy(given["input.pixels"])).numpy()
    losses = source_takes_the_steps(source)
    expected, found = pytorch.state(source), dict(np.load(tmp_path / "state.npz"))
    np.testing.assert_allclose(found.pop("losses"), losses, rtol=1e-5)
    assert set(found) == set(expected)
    for key, array in expected.items():
        assert (found[key].shape, found[key].dtype) == (array.shape, array.dtype), key
        slot = key.rpartition("/")[2]
        alike = [e for k, e in expected.items() if k == key or ("opt" in key and k.endswith(slot))]
        atol = 1e-5 * max(np.abs(each).max() for each in alike)
        if name == "attention" and key.endswith("in_proj_bias"):
            atol = 2 * LR * len(BATCHES)
        np.testing.assert_allclose(found[key], array, rtol=0, atol=atol, err_msg=key)
    source.net.eval()
    with torch.no_grad():
        after = source.net(torch.from_numpy(given["input.pixels"])).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "untrained.npz")["logits"], before, atol=2e-5)
    np.testing.assert_allclose(np.load(tmp_path / "trained.npz")["logits"], after, atol=2e-5)
    assert np.abs(before - after).max() > 1e-3


def test_the_bias_of_keys_goes_its_own_way_under_adam(written: Callable[[str], Path]) -> None:
    """Why weights are held to the learning rate and not to rounding."""
    source, trainer = made("attention"), form.load_training(written("attention"))
    for rows in BATCHES:
        pytorch.step(source, {"pixels": PIXELS}, TRUE, rows)
        trainer.step(*rows_of(rows))
    name = "layer.self_attn.in_proj_bias"
    keys = slice(8, 16)
    expected = pytorch.state(source)
    assert np.abs(expected[f"optimizer/{name}/exp_avg"][keys]).max() < 1e-7
    difference = np.abs(trainer.state()[f"net/{name}"] - expected[f"net/{name}"])
    assert difference[keys].max() > 1e-5 > difference[:8].max()


def test_the_source_is_left_as_it_was(written: Callable[[str], Path]) -> None:
    """`write` holds every source to it; this one has buffers, a schedule and gradients."""
    source = made("cnn")
    assert list(source.net.buffers()) and source.scheduler
    assert all(each.grad is not None for each in source.net.parameters())
    assert written("cnn").is_dir()


def test_what_it_leans_on_in_torch_is_there() -> None:
    """If this fails after an update of torch: make_fx, the fake tensors of torch.export, or the
    table of decompositions have changed; nothing else of torch is private here."""
    from torch.fx.experimental.proxy_tensor import make_fx

    convolution = nn.Conv2d(1, 2, 3, bias=False)
    net = Layers(nn.Unflatten(1, (1, 8, 8)), convolution, nn.BatchNorm2d(2))
    source = training(net)
    net.train()
    shared = importlib.import_module("formats._examples")
    given = shared.examples(
        importlib.import_module("formats.dimensions").FIXED, input={"pixels": PIXELS}
    )
    program = form.capture(source, ["pixels"], given)
    taken = [node for node in program.graph.nodes if node.op == "placeholder"]
    assert str(taken[-1].meta["val"].shape[0]).startswith("s"), "the rows are no symbol any more"
    assert taken[0].meta["val"].fake_mode is not None
    order, tensors = form.tensors_before_inputs(net, program)
    names = [*dict(net.named_parameters()), *dict(net.named_buffers())]
    assert order == [f"net/{name}" for name in names]

    def gradients(*flat: Tensor) -> Any:
        values = [each.clone() for each in flat]
        leaves = [each.detach().requires_grad_() for each in values[:3]]
        (answer,) = program.graph_module(*leaves, *values[3:])
        return torch.autograd.grad((answer**2).sum(), leaves)

    fakes = [node.meta["val"] for node in taken]
    graph = make_fx(gradients, decomposition_table=form.decompositions(), tracing_mode="symbolic")(
        *fakes
    )
    operators = {str(node.target) for node in graph.graph.nodes}
    assert not [each for each in operators if "batch_norm" in each or "backward" in each]
    pixels = torch.from_numpy(PIXELS[:6])
    expected = torch.autograd.grad((net(pixels) ** 2).sum(), [*net.parameters()])
    for one, two in zip(graph(*tensors.values(), pixels), expected, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)


def test_batch_norm_is_spelt_out_and_every_operator_is_standard(
    written: Callable[[str], Path],
) -> None:
    import onnx

    for file in (form.STEP, form.PREDICT):
        graph = onnx.load(written("cnn") / file)
        kinds = {(node.domain, node.op_type) for node in graph.graph.node}
        assert {domain for domain, _ in kinds} == {""}
        assert not graph.functions
        if file == form.STEP:
            assert not {kind for _, kind in kinds} & {"BatchNormalization", "Dropout"}


def test_an_epsilon_is_not_taken_for_zero(tmp_path: Path) -> None:
    """A weight without a gradient: 0 / (0 + 1e-8), where torch.onnx's optimizer drops 1e-8."""
    found = training(Linear(64, 10))
    inputs = {"pixels": PIXELS * (np.arange(64) > 0)}
    inputs["pixels"] = inputs["pixels"].astype(np.float32)
    form.export(found.net, inputs, ["logits"], tmp_path, found, TRUE)
    trainer = form.load_training(tmp_path)
    trainer.step(inputs, TRUE)
    assert np.isfinite(trainer.state()["net/weight"]).all()


def test_a_step_that_is_not_the_sources_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    optimizers = importlib.import_module("formats.onnx_train._optimizers")
    monkeypatch.setattr(optimizers, "_clipped", lambda gradients, norm: gradients)
    with pytest.raises(ValueError, match="after step 1 onnxruntime's net/.* differs"):
        write(training(TorchMLP(64, 24, 10), momentum, clip_norm=0.1), tmp_path)
    assert not list(tmp_path.iterdir())


def test_saved_in_the_midst_it_goes_on_bit_for_bit(
    written: Callable[[str], Path], tmp_path: Path
) -> None:
    def steps(trainer: Any, numbers: range) -> list[np.ndarray]:
        losses = []
        for k in numbers:
            losses.append(trainer.step(*rows_of(BATCHES[k])))
            if k == ENDS_EPOCH:
                trainer.end_epoch()
        return losses

    whole, half = (form.load_training(written("cnn")) for _ in range(2))
    expected = steps(whole, range(6))
    found = steps(half, range(4))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        half.save(tmp_path / name)
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / name / form.FOLDER).iterdir()}
        for name in ("one", "two")
    ]
    assert contents[0] == contents[1]
    assert {place[0] for place in form.weights(tmp_path / "one").values()} == {form.OWN}
    went_on = form.load_training(tmp_path / "one")
    assert found + steps(went_on, range(4, 6)) == expected
    state = whole.state()
    assert all(np.array_equal(array, state[name]) for name, array in went_on.state().items())
    again = form.load(tmp_path / "one")({"pixels": PIXELS})
    assert np.array_equal(again["logits"], half.predict({"pixels": PIXELS})["logits"])


def test_what_lies_in_the_model_and_the_optimizers_file_lies_there_alone(tmp_path: Path) -> None:
    found = made("mlp")
    plugin("torch_export").export(found.net, {"pixels": PIXELS[:7]}, ["logits"], tmp_path)
    torch.save(found.optimizer.state_dict(), tmp_path / "optimizer.pt")
    write(found, tmp_path)
    places = form.weights(tmp_path), form.optimizer_state(tmp_path)
    assert [{place[0] for place in each.values()} for each in places] == [
        {"model.pt2"},
        {"optimizer.pt"},
    ]
    assert not (tmp_path / form.OWN).exists()
    state = {name.removeprefix("net/"): array for name, array in pytorch.state(found).items()}
    assert set(state) == set(places[0] | places[1])
    for name, (file, offset, nbytes, dtype) in (places[0] | places[1]).items():
        content = (tmp_path / file).read_bytes()[offset : offset + nbytes]
        assert np.array_equal(np.frombuffer(content, dtype), state[name].ravel()), name


def test_another_process_elsewhere_writes_the_same_bytes(
    written: Callable[[str], Path], tmp_path: Path
) -> None:
    words = ["-c", ELSEWHERE, str(Path.cwd()), str(tmp_path)]
    done = preloaded.run("pytorch", tmp_path, *words, PYTHONPATH="")
    assert done.returncode == 0, done.stderr
    for path in (written("cnn") / form.FOLDER).iterdir():
        content = (tmp_path / form.FOLDER / path.name).read_bytes()
        assert content == path.read_bytes(), path.name
        for trace in (b"TorchCNN", b"ChannelGate", b"site-packages", b"self.", b".py"):
            assert trace not in content, (path.name, trace)


@pytest.mark.parametrize("name", ["cnn", "groups", "tied", "dropping"])
def test_its_cards_run(
    name: str, written: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made(name)
    torch.manual_seed(SEED)
    losses = source_takes_the_steps(source)
    (tmp_path / "model" / "examples").mkdir(parents=True)
    for path in (written(name)).iterdir():
        (tmp_path / "model" / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path / "model")
    given = rows_of_steps()
    ends = np.arange(len(BATCHES)) == ENDS_EPOCH
    np.savez("examples/training.npz", **given, loss=losses, ends_epoch=ends)
    np.savez("examples/one.npz", **{"input.pixels": PIXELS[:1]})
    scope: dict[str, Any] = {}
    exec(form.training_card(["pixels"], ["logits"], ["target.kind"], Path()), scope)
    source.net.eval()
    before = made(name).net
    with torch.no_grad():
        expected = source.net(torch.from_numpy(given["input.pixels"])).numpy()
        one = before(torch.from_numpy(PIXELS[:1])).numpy()
    np.testing.assert_allclose(scope["outputs"], expected, atol=2e-5)
    exec(form.card(["pixels"], ["logits"]), scope)
    np.testing.assert_allclose(scope["outputs"], one, atol=2e-5)


def test_one_row_trains_but_where_batch_norm_refuses_it(written: Callable[[str], Path]) -> None:
    source, trainer = made("mlp"), form.load_training(written("mlp"))
    rows = np.arange(1)
    expected = pytorch.step(source, {"pixels": PIXELS}, TRUE, rows)
    found = trainer.step(*rows_of(slice(1)))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_several_inputs_outputs_and_a_batch_norm_of_rows(tmp_path: Path) -> None:
    inputs, true, outputs = pair_inputs(9), {"kind": np.arange(9) % 7}, ["logits", "label"]
    found = training(Pair(), loss=FirstOutput(), inputs=inputs, outputs=outputs)
    form.export(found.net, inputs, outputs, tmp_path, found, true)
    trainer = form.load_training(tmp_path)
    for _ in range(3):
        expected = pytorch.step(found, inputs, true, np.arange(9))
        np.testing.assert_allclose(trainer.step(inputs, true), expected, rtol=1e-5)
    expected, _ = pytorch.evaluate(found, inputs, None)
    answers = trainer.predict(inputs)
    assert list(answers) == list(expected) == outputs
    for name in outputs:
        np.testing.assert_allclose(answers[name], expected[name], rtol=1e-4, atol=1e-4)
    assert trainer.predict(pair_inputs(0))["logits"].shape == (0, 7)
    with pytest.raises(ValueError, match="found 1 rows, expected at least 2"):
        trainer.step(pair_inputs(1), {"kind": true["kind"][:1]})


class NoSlots(nn.Module):
    """Each step of it is a step of a different model."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.linear(pixels) + torch.rand(10)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.linear(pixels) if pixels.sum() > 0 else pixels[:, :10]


def hooked(net: Any) -> Any:
    next(net.parameters()).register_hook(lambda gradient: gradient * 2)
    return torch.optim.Adam(net.parameters())


def one_cycle(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9)


def dampened(net: Any) -> Any:
    return torch.optim.SGD(net.parameters(), 0.1, momentum=0.9, dampening=0.5)


def partly(net: Any) -> Any:
    return torch.optim.Adam(net.layers[0].parameters())


def mlp() -> nn.Module:
    return TorchMLP(64, 24, 10)


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD, plain": lambda net: torch.optim.SGD(net.parameters(), 0.01, maximize=True),
    "Adam, L2": lambda net: torch.optim.Adam(net.parameters(), LR, weight_decay=0.1),
    "NAdam": lambda net: torch.optim.NAdam(
        net.parameters(), LR, weight_decay=0.1, decoupled_weight_decay=True
    ),
    "Adamax": lambda net: torch.optim.Adamax(net.parameters(), LR, weight_decay=0.1),
    "RMSprop": lambda net: torch.optim.RMSprop(net.parameters(), LR),
    "RMSprop, all": lambda net: torch.optim.RMSprop(
        net.parameters(), LR, momentum=0.9, centered=True, weight_decay=0.1, eps=1e-3
    ),
    "Adagrad": lambda net: torch.optim.Adagrad(
        net.parameters(), 0.01, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.5
    ),
    "Adadelta": lambda net: torch.optim.Adadelta(net.parameters(), weight_decay=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_makes_torchs_own_steps(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    """From its first one. Measured: states within 2e-7 of the largest value after four. Nothing is
    said."""
    torch.manual_seed(0)
    source = training(Linear(64, 10), OPTIMIZERS[name])
    if name == "NAdam":
        request.getfixturevalue("translations_read_anew")
    write(source, tmp_path)
    trainer = form.load_training(tmp_path)
    assert capfd.readouterr() == ("", "")
    for rows in BATCHES[:4]:
        expected = pytorch.step(source, {"pixels": PIXELS / 16}, TRUE, rows)
        inputs, targets = {"pixels": PIXELS[rows] / 16}, {"kind": TRUE["kind"][rows]}
        np.testing.assert_allclose(trainer.step(inputs, targets), expected, rtol=1e-5)
    after, state = pytorch.state(source), trainer.state()
    assert set(after) == set(state)
    for key, array in after.items():
        atol = 1e-5 * np.abs(array).max()
        np.testing.assert_allclose(state[key], array, 0, atol, err_msg=key)


def test_masks_are_those_that_torch_draws_and_go_on(
    written: Callable[[str], Path], tmp_path: Path
) -> None:
    """Saved after a step, the next one draws what the source would."""
    demand_masks()
    masks, seen = form.Generator(form.seeded(2**32 + 5)), []
    torch.manual_seed(2**32 + 5)
    for keep, size in ((0.9, 700), (0.25, 1), (0.5, 33)):
        seen.append(np.array_equal(masks.mask(keep, size), torch.empty(size).bernoulli_(keep)))
    assert seen == [True] * 3
    trainer = form.load_training(written("dropping"))
    trainer.step(*rows_of(BATCHES[0]))
    trainer.save(tmp_path)
    went_on = form.load_training(tmp_path)
    assert trainer.step(*rows_of(BATCHES[1])) == went_on.step(*rows_of(BATCHES[1]))
    described = json.loads((tmp_path / form.FILE).read_text())
    for change in (
        {"generator": {"words": [0] * 623, "at": 0}},
        {"masks": [{"keep": 2.0, "count": []}]},
        {"masks": [{"keep": 0.5, "count": [{"times": 1, "sizes": [["nothing", 0]]}]}]},
    ):
        (tmp_path / form.FILE).write_text(json.dumps(described | change))
        with pytest.raises(ValueError, match="that is none; do not load it"):
            form.load_training(tmp_path)


def test_masks_that_no_other_runtime_can_draw_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = importlib.import_module("formats.onnx_train._drawing")
    monkeypatch.setattr(drawing, "seeded", lambda seed: form.seeded(seed + 1))
    with pytest.raises(ValueError, match="onnx_train: PyTorch draws dropout's masks on this"):
        write(training(Layers(nn.Dropout(0.5), nn.Linear(64, 10))), tmp_path)


@pytest.mark.parametrize(
    ("refused", "named"),
    [
        (lambda: training(NoSlots()), "aten.rand.* draws random"),
        (lambda: training(mlp(), lambda n: torch.optim.ASGD(n.parameters())), "ASGD, expected .*"),
        (lambda: training(mlp(), scheduler=one_cycle), "OneCycleLR changes more"),
        (lambda: training(mlp(), dampened), "dampen"),
        (lambda: training(mlp(), hooked), "hooks"),
        (lambda: training(mlp(), partly, clip_norm=1.0), "layers.2.weight is clipped"),
        (lambda: training(mlp().bfloat16()), "standardize.mean is bfloat16"),
        (lambda: training(Branching()), "pixels.sum\\(\\) > 0"),
    ],
)
def test_what_it_cannot_carry_is_named(
    refused: Callable[[], Training], named: str, tmp_path: Path
) -> None:
    found = refused()
    with pytest.raises(ValueError, match=f"^onnx_train: .*{named}") as raised:
        write(found, tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_without_training_there_is_nothing_to_write(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^onnx_train: .*export.train=true"):
        form.export(made("mlp").net, {"pixels": PIXELS}, ["logits"], tmp_path)
    with pytest.raises(ValueError, match="^onnx_train: .* no training step"):
        form.load_training(tmp_path)
    assert not list(tmp_path.iterdir())


def test_learning_rates_end_where_those_written_down_end(tmp_path: Path) -> None:
    def short(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.1, total_steps=3, cycle_momentum=False
        )

    write(training(Linear(64, 10), adamw, short), tmp_path)
    trainer = form.load_training(tmp_path)
    for _ in range(len(trainer.rates) - 1):
        trainer.end_epoch()
    with pytest.raises(ValueError, match="learning rates"):
        trainer.end_epoch()


@pytest.mark.parametrize("file", ["/etc/passwd", "../model.pt2", "examples/one.npz"])
def test_a_state_that_lies_elsewhere_is_refused(
    file: str, written: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / form.FOLDER).mkdir()
    described = json.loads((written("mlp") / form.FILE).read_text())
    described["states"][0]["file"] = file
    (tmp_path / form.FILE).write_text(json.dumps(described))
    for reader in (form.load, form.weights, form.optimizer_state):
        with pytest.raises(ValueError, match="do not load it"):
            reader(tmp_path)
