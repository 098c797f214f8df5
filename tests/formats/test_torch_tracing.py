"""What nets of libraries do is traced all the same, or told with the line that is in the way."""

import importlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor

from pipeline.frameworks import pytorch as framework
from testing.formats import form as plugin
from tests.formats.test_torch_export_training import (
    ROWS,
    Net,
    by_source,
    by_trainer,
    exported,
    form,
    of_rows,
    trained,
)


class Followed(Net):
    """Its codebook follows the means of what it sees, by way of `data`; it asks for `len`."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(12))
        self.register_buffer("newest", torch.zeros(12))

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training:
            self.means.data.mul_(0.9).add_(0.1 * pixels.mean(dim=0))
            self.newest.data = pixels[0]
        return super().forward(pixels - self.means + torch.ones(len(pixels), 1))


def test_states_behind_data_and_lengths_go_on_bit_for_bit(tmp_path: Path) -> None:
    training = trained(net=Followed)
    trainer = form.load_training(exported(training, tmp_path))
    assert "data" not in vars(Tensor)
    assert len(torch.zeros(2)) == 2
    assert by_trainer(trainer) == by_source(training)


class Laying(Net):
    """It lays large batches out anew, as nets do around a fault of a kernel's."""

    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.shape[0] >= 60 or pixels.numel() * 2 > 2**31:
            pixels = pixels.contiguous()
        return super().forward(pixels)


def test_a_branch_by_rows_whose_both_ways_are_alike_is_no_branch(tmp_path: Path) -> None:
    training = trained(net=Laying)
    directory = exported(training, tmp_path)
    rows = {"pixels": np.random.default_rng(1).normal(size=(70, 12)).astype(np.float32)}
    answers, _ = framework.evaluate(training, rows, None)
    assert form.load(directory)(rows)["logits"].tobytes() == answers["logits"].tobytes()
    assert by_trainer(form.load_training(directory)) == by_source(training)


class Numbered(Net):
    """It reads numbers that it keeps in tensors: a stride, how often, and whether it has begun."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("stride", torch.tensor(2), persistent=False)
        self.register_buffer("begun", torch.tensor(False))
        self.register_buffer("scale", torch.tensor(1.5))
        self.register_buffer("levels", torch.tensor([[3, 4], [2, 6]]))
        self.times = torch.tensor(3)

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training and not self.begun:
            self.begun.fill_(True)
        for _ in range(int(self.times)):
            pixels = pixels * 1.1
        for level in self.levels:
            pixels = pixels.view(-1, *level.tolist()).mT.reshape(-1, 12)
        if self.scale.item() > 1:
            pixels = pixels[:, : int(self.levels[1].prod())] * float(self.scale)
        if self.stride > 1:
            pixels = torch.nn.functional.pad(pixels, (int(self.stride), 0))[:, :12]
        return super().forward(pixels)


class Limited(Net):
    """Detectors of transformers limit what overflowed while they train."""

    def __init__(self, limit: float = torch.finfo(torch.float32).max - 1000) -> None:
        super().__init__()
        self.limit = limit

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = super().forward(pixels)
        if self.training and not torch.isfinite(hidden).all():
            hidden = torch.clamp(hidden, min=-self.limit, max=self.limit)
        if torch.isinf(hidden).any() or hidden.isnan().any():
            hidden = hidden.clamp(-self.limit, self.limit)
        return hidden


def test_what_limits_all_that_is_not_finite_limits_always(tmp_path: Path) -> None:
    training = trained(net=Limited)
    directory = exported(training, tmp_path)
    predict, net = form.load(directory), training.net.eval()
    for factor in (1.0, np.inf):
        pixels = np.ones((3, 12), np.float32) * np.float32(factor)
        with torch.no_grad():
            expected = net(torch.from_numpy(pixels)).numpy()
        np.testing.assert_array_equal(predict({"pixels": pixels})["logits"], expected)
    net.train()
    assert by_trainer(form.load_training(directory)) == by_source(training)


class Unlike(Net):
    """It asks for both at once, in each of the ways in which two answers become one."""

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = super().forward(pixels)
        infinite, unknown = torch.isinf(hidden).any(), hidden.isnan().any()
        finite = torch.isfinite(hidden)
        if infinite | unknown:
            hidden = hidden.clamp(-LIMIT, LIMIT)
        if torch.logical_or(infinite, unknown):
            hidden = hidden.clamp(-LIMIT, LIMIT)
        if ~(finite.all() & torch.isfinite(pixels).all()):
            hidden = hidden.clamp(-LIMIT, LIMIT)
        if infinite.logical_or(unknown).item():
            hidden = hidden.clamp(-LIMIT, LIMIT)
        if not (~(infinite | unknown) & finite.all()):
            hidden = hidden.clamp(-LIMIT, LIMIT)
        return hidden


class Further(Net):
    """It asks for more than whether all values are finite."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.both = both

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = super().forward(pixels)
        infinite = torch.isinf(hidden).any()
        other = infinite & hidden.isnan().any() if self.both else infinite | (hidden > LIMIT).any()
        if other:
            hidden = hidden.clamp(-LIMIT, LIMIT)
        return hidden


LIMIT = torch.finfo(torch.float32).max


def test_two_answers_are_one_question(tmp_path: Path) -> None:
    training = trained(net=Unlike)
    trainer = form.load_training(exported(training, tmp_path))
    assert by_trainer(trainer) == by_source(training)


@pytest.mark.parametrize("both", [True, False])
def test_what_asks_for_more_than_finite_values_is_none(both: bool, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="goes by the values of a tensor"):
        exported(trained(net=lambda: Further(both)), tmp_path, trains=False)


def test_a_limit_that_changes_what_is_finite_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"if .*isinf.*: it goes by the values of a tensor"):
        exported(trained(net=lambda: Limited(2.0)), tmp_path, trains=False)


class Drawn(Net):
    """Its answer is a distribution's mean, its step draws of it; torch looks at what both get."""

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = super().forward(pixels)
        found = torch.distributions.Normal(hidden, hidden.exp())
        kinds = torch.distributions.Categorical(logits=found.rsample() if self.training else hidden)
        return kinds.logits + found.log_prob(hidden)


def test_a_distribution_is_not_asked_for_what_a_trace_does_not_know(tmp_path: Path) -> None:
    training = trained(net=Drawn)
    directory = exported(training, tmp_path)
    answers, _ = framework.evaluate(training, ROWS, None)
    assert form.load(directory)(ROWS)["logits"].tobytes() == answers["logits"].tobytes()
    assert by_trainer(form.load_training(directory)) == by_source(training)


class Shifted(nn.Module):
    """Relative places as XLNet lays them: torch cannot prove what its reshapes ask of a length."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(9, 4), nn.Linear(4, 4)

    def forward(self, words: Tensor) -> Tensor:
        length = words.shape[1]
        numbers = torch.arange(2 * length)[:, None] * torch.ones(4)
        found = self.words(words) @ self.places(numbers).T
        rows, own, others = found.shape
        found = found.reshape(rows, others, own)[:, 1:].reshape(rows, own, others - 1)
        return found.index_select(2, torch.arange(length)).sum(2)


def test_what_holds_for_every_size_within_bounds_is_known_by_trying_each() -> None:
    tracing = importlib.import_module("formats._torch_tracing")
    net, most = Shifted(), 9

    def program(**bounds: int) -> Any:
        sizes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("length", **bounds)}
        return tracing.traced(net, (torch.randint(0, 9, (3, 7)),), (sizes,), "it").module()

    held = program(min=4, max=most)
    for length in range(4, most + 1):
        words = torch.randint(0, 9, (2, length))
        assert torch.equal(held(words), net(words))
    with pytest.raises(ValueError, match="the dimension length decides what is computed"):
        program(min=4)


class Ctc(nn.Module):
    """Speech and writing learn by it: of each row a text of its own length."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        steps = output[:, None] * torch.linspace(0.5, 1, 6)[:, None]
        lengths = target.clamp(min=1)
        texts = torch.arange(3).expand(len(target), 3) % 3 + 1
        texts = texts.masked_select(torch.arange(3) < lengths[:, None])
        log_probs = steps.log_softmax(2).transpose(0, 1)
        return nn.functional.ctc_loss(log_probs, texts, torch.full_like(target, 6), lengths)


def test_the_loss_of_ctc_goes_on_bit_for_bit(tmp_path: Path) -> None:
    training = trained(loss=Ctc)
    trainer = form.load_training(exported(training, tmp_path))
    assert by_trainer(trainer) == by_source(training)


class Compared(Net):
    """Two batches go through as one, and are taken apart again, as nets of pairs have it."""

    def forward(self, pixels: Tensor) -> Tensor:
        both = torch.cat([pixels, pixels.flip(1)])
        one, other = torch.chunk(super().forward(both), 2)
        return one - other


def test_what_is_taken_apart_as_it_was_put_together_has_any_number_of_rows(tmp_path: Path) -> None:
    training = trained(net=Compared)
    directory = exported(training, tmp_path)
    for rows in (1, 2, 5):
        some = {"pixels": ROWS["pixels"][:rows]}
        answers, _ = framework.evaluate(training, some, None)
        assert form.load(directory)(some)["logits"].tobytes() == answers["logits"].tobytes()
    assert by_trainer(form.load_training(directory)) == by_source(training)


class Contrasting(nn.Module):
    """Compares each row with all others, of which there may be one, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = nn.Linear(12, 4)

    def forward(self, pixels: Tensor) -> Tensor:
        count = pixels.shape[0]
        others = ~torch.eye(count, dtype=torch.bool)
        alike = (pixels @ pixels.T)[others].view(count, count - 1)
        return self.answer(pixels + alike.sigmoid().sum(1, keepdim=True))


class Squared(nn.Module):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return (logits - nn.functional.one_hot(target, 4)).square().mean()


def test_tensors_of_one_row_or_none_are_as_any_others(tmp_path: Path) -> None:
    training = trained(net=Contrasting, loss=Squared)
    predict = form.load(exported(training, tmp_path))
    for count in (1, 2, 3, 30):
        inputs, _ = of_rows(slice(count))
        answers, _ = framework.evaluate(training, inputs, None)
        np.testing.assert_array_equal(predict(inputs)["logits"], answers["logits"])
    assert by_trainer(form.load_training(tmp_path)) == by_source(training)


def test_a_division_is_known_where_the_rest_is_less_than_each_size() -> None:
    sizes = importlib.import_module("formats._torch_sizes")
    functions = importlib.import_module("torch.utils._sympy.functions")
    batch = sympy.Symbol("batch", integer=True)
    bounds = {batch: SimpleNamespace(lower=sympy.Integer(2))}

    def times(whole: Any, number: int) -> Any:
        return sizes._divided(sympy.Eq(functions.FloorDiv(whole, batch), number), bounds)

    assert times(3 * batch - 1, 2) == sympy.true
    assert times(3 * batch - 2, 2) == sympy.true
    assert times(3 * batch + 1, 2) == sympy.false
    assert times(3 * batch + 1, 3) == sympy.true
    assert times(3 * batch + 2, 3) is None
    assert times(3 * batch - 3, 2) is None
    assert times(batch**2, 3) is None
    half = functions.FloorDiv(batch + sympy.Symbol("more", integer=True) + 1, 2)
    assert times(3 * batch + half, 3) is None


def test_what_differs_for_one_size_is_not_known() -> None:
    sizes = importlib.import_module("formats._torch_sizes")
    length, width = sympy.Symbol("length", integer=True), sympy.Symbol("width", integer=True)
    bounds = SimpleNamespace(lower=sympy.Integer(2), upper=sympy.Integer(64))
    large = SimpleNamespace(lower=sympy.Integer(2), upper=sympy.Integer(1 << 40))
    odd = sympy.Ne(sympy.Mod(2 * length - 1, length), 0)
    assert sizes._tried(odd, [length], (bounds,)) == sympy.true
    assert sizes._tried(sympy.Ne(length, 63), [length], (bounds,)) is None
    assert sizes._tried(sympy.Ne(2 * length, 2 * width - 1), [length, width], (bounds,) * 2)
    assert sizes._tried(odd, [length], (large,)) is None
    assert sizes._tried(odd, [length], (None,)) is None


def test_numbers_that_no_step_changes_are_known(tmp_path: Path) -> None:
    training = trained(net=Numbered)
    trainer = form.load_training(exported(training, tmp_path))
    assert by_trainer(trainer) == by_source(training)


class Changing(nn.Module):
    def __init__(self, how: Callable[[nn.Module, Tensor], Any]) -> None:
        super().__init__()
        self.how, self.norm = [how], nn.BatchNorm1d(12)
        self.register_buffer("mean", torch.zeros(12))
        self.register_buffer("kinds", torch.zeros(2, 12))

    def forward(self, pixels: Tensor) -> Tensor:
        self.how[0](self, pixels)
        return pixels * self.mean + self.kinds[0]


def without_history(net: Any, pixels: Tensor) -> None:
    with torch.no_grad():
        net.mean.add_(pixels[0])


OF_NORM = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}


@pytest.mark.parametrize(
    ("how", "names"),
    [
        (lambda net, pixels: net.mean.mul_(0.9).add_(pixels[0]), {"mean"}),
        (lambda net, pixels: net.kinds[1].add_(pixels[0]), {"kinds"}),
        (lambda net, pixels: net.kinds.T.reshape(24).add_(1), set()),  # of a copy
        (lambda net, pixels: net.mean.clone().add_(1), set()),
        (lambda net, pixels: torch._foreach_add_([net.mean, net.kinds], 1.0), {"mean", "kinds"}),
        (lambda net, pixels: net.norm(pixels), OF_NORM),
        (lambda net, pixels: net.norm.eval()(pixels), set()),
        (without_history, {"mean"}),
    ],
)
def test_the_buffers_that_a_program_changes_are_known(how: Any, names: set[str]) -> None:
    states = importlib.import_module("formats._torch_states")
    shapes = ({0: torch.export.Dim("rows")},)
    program = torch.export.export(Changing(how), (torch.ones(5, 12),), dynamic_shapes=shapes)
    assert states.changed_states(program) == names


class Counted(Net):
    """Its answer hangs on how many steps there were."""

    def forward(self, pixels: Tensor) -> Tensor:
        if not self.training and int(self.norm.num_batches_tracked) > 2:
            pixels = pixels * 2
        return super().forward(pixels)


class CountedInSteps(Net):
    def forward(self, pixels: Tensor) -> Tensor:
        if self.training and int(self.norm.num_batches_tracked) > 2:
            pixels = pixels * 2
        return super().forward(pixels)


class Scripted(Net):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.jit.script(nn.Linear(12, 8))


def test_a_part_that_is_torchscript_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its part hidden is TorchScript; put the Python class"):
        exported(trained(net=Scripted), tmp_path)


@pytest.mark.parametrize("name", ["code", "graph", "meta"])
def test_a_part_that_every_program_has_of_its_own_is_told(name: str, tmp_path: Path) -> None:
    class Hiding(Net):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(name, nn.Linear(12, 12))

        def forward(self, pixels: Tensor) -> Tensor:
            return super().forward(getattr(self, name)(pixels))

    with pytest.raises(ValueError, match=f"has a {name} of its own, which hides {name}.weight"):
        exported(trained(net=Hiding), tmp_path)


class Sizing(Net):
    """Numbers that Python makes of the number of rows, as people write them."""

    def forward(self, pixels: Tensor) -> Tensor:
        rows, width = int(pixels.size(0)), int(pixels.size(1))
        few = max(min(rows, 5), int(0.5 * width))
        return super().forward(few / float(rows) + pixels.view(rows, width))


def test_numbers_that_python_makes_of_sizes_stay_open(tmp_path: Path) -> None:
    training = trained(net=Sizing)
    predict = form.load(exported(training, tmp_path))
    for count in (1, 4, 30):
        inputs, _ = of_rows(slice(count))
        answers, _ = framework.evaluate(training, inputs, None)
        np.testing.assert_array_equal(predict(inputs)["logits"], answers["logits"])
    assert by_trainer(form.load_training(tmp_path)) == by_source(training)


def test_pythons_own_are_as_before_for_all_but_sizes() -> None:
    numbers: Any = importlib.import_module("formats._torch_numbers")
    net = Sizing()
    with numbers.open_numbers(net):
        assert (int("7"), float("0.5"), min([3, 2]), max(1, 2, key=lambda each: -each)) == (
            *(7, 0.5),
            *(2, 1),
        )
        assert isinstance(True, int) and not isinstance(1.0, int) and issubclass(bool, int)
        assert int.from_bytes(b"\1") == 1
        assert "int" in vars(sys.modules[__name__])
    assert vars(sys.modules[__name__]).keys().isdisjoint({"int", "float", "min", "max"})


class Numpys(Net):
    def forward(self, pixels: Tensor) -> Tensor:
        if self.training:
            pixels = pixels * float(np.random.rand() > 0.5)
        return super().forward(pixels)


class Pythons(Net):
    def forward(self, pixels: Tensor) -> Tensor:
        if self.training:
            pixels = pixels * random.choice([1.0, 2.0])
        return super().forward(pixels)


class Branching(Net):
    def forward(self, pixels: Tensor) -> Tensor:
        if pixels.shape[0] > 60:
            pixels = pixels * 2
        return super().forward(pixels)


class Counting(Net):
    def forward(self, pixels: Tensor) -> Tensor:
        if self.training and torch.rand([]) < 0.5:
            pixels = pixels * 2
        return super().forward(pixels)


class Gated(Net):
    """What it draws decides along with what it is given."""

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training and (torch.rand(12) * pixels).sum() > 0:
            pixels = pixels * 2
        return super().forward(pixels)


class Mapping(Net):
    def forward(self, pixels: Tensor) -> Tensor:
        return torch.vmap(self.answer)(torch.vmap(self.hidden)(pixels))


@pytest.mark.parametrize(
    ("net", "said", "line"),
    [
        (Numpys, "draws from Python's or numpy's generator", "pixels = pixels * float("),
        (Pythons, "draws from Python's or numpy's generator", "pixels = pixels * random."),
        (Branching, "the number of rows decides what is computed", "if pixels.shape[0] > 60:"),
        (Counting, "a number that is drawn at each step", "if self.training and torch.rand([])"),
        (Gated, "it goes by the values of a tensor", "if self.training and (torch.rand(12)"),
        (Counted, "it goes by the values of a tensor", "if not self.training and int(self.norm"),
        (CountedInSteps, "it goes by the values of a tensor", "if self.training and int(self.norm"),
        (Mapping, "torch.vmap", "return torch.vmap(self.answer)"),
    ],
)
def test_what_no_program_holds_is_told_with_its_line(
    net: Any, said: str, line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    training = trained(net=net)
    with pytest.raises(ValueError, match=r"^torch_export: ") as refused:
        exported(training, tmp_path, trains=net is not Branching)
    assert said in str(refused.value)
    assert f"{Path(__file__).name}:" in str(refused.value)
    assert line in str(refused.value)
    assert str(Path.cwd()) not in str(refused.value)
    assert capfd.readouterr() == ("", "")


def test_a_net_that_takes_gradients_to_answer_is_asked() -> None:
    class Slope(Net):
        def forward(self, pixels: Tensor) -> Tensor:
            with torch.enable_grad():
                given = pixels.detach().requires_grad_()
                energy = super().forward(given).square().sum()
                (slope,) = torch.autograd.grad(energy, given, create_graph=True)
            return super().forward(slope)

    rows = {"pixels": np.ones((3, 12), np.float32)}
    answers, _ = framework.evaluate(trained(net=Slope), rows, None)
    assert answers["logits"].shape == (3, 4)


def test_a_convolution_of_volumes_needs_no_bias(tmp_path: Path) -> None:
    onnx = plugin("onnx")
    net = nn.Conv3d(1, 2, 3, padding=1, bias=False).eval()
    rows = {"volume": np.random.default_rng(0).normal(size=(3, 1, 4, 4, 4)).astype(np.float32)}
    onnx.export(net, rows, ["answer"], tmp_path)
    wanted = net(torch.from_numpy(rows["volume"])).detach().numpy()
    np.testing.assert_allclose(onnx.load(tmp_path)(rows)["answer"], wanted, atol=1e-5)


class Attending(nn.Module):
    def __init__(self, leading: tuple[int, ...]):
        super().__init__()
        self.leading, self.values = leading, nn.Linear(4, 4)

    def forward(self, words: Tensor) -> Tensor:
        words = self.values(words)
        if self.leading:
            words = words.unflatten(1, (*self.leading, -1))
        attended = torch.nn.functional.scaled_dot_product_attention(words, words, words)
        return attended.flatten(1)


@pytest.mark.parametrize("leading", [(), (1, 2)])
def test_attention_has_any_number_of_leading_axes(leading: tuple[int, ...], tmp_path: Path) -> None:
    onnx = plugin("onnx")
    net = Attending(leading).eval()
    rows = {"words": np.random.default_rng(0).normal(size=(5, 6, 4)).astype(np.float32)}
    onnx.export(net, rows, ["answer"], tmp_path)
    wanted = net(torch.from_numpy(rows["words"])).detach().numpy()
    np.testing.assert_allclose(onnx.load(tmp_path)(rows)["answer"], wanted, atol=1e-5)


class Caching(Net):
    """In evaluation mode it keeps a bias that is made of a weight; `train` forgets it."""

    def __init__(self) -> None:
        super().__init__()
        self.biases = nn.Parameter(torch.zeros(5))
        self.cache: dict[str, Tensor] = {}

    def train(self, mode: bool = True) -> "Caching":
        self.cache = {}
        return super().train(mode)

    def bias(self) -> Tensor:
        return self.biases[torch.arange(12) % 5]

    def forward(self, pixels: Tensor) -> Tensor:
        if self.training:
            return super().forward(pixels + self.bias())
        if "bias" not in self.cache:
            self.cache["bias"] = self.bias()
        return super().forward(pixels + self.cache["bias"])


class Prepared(Caching):
    """It computes the bias when evaluation begins."""

    def train(self, mode: bool = True) -> "Caching":
        nn.Module.train(self, mode)
        self.cache = {} if mode else {"bias": self.bias().detach()}
        return self


@pytest.mark.parametrize("net", [Caching, Prepared])
def test_what_is_kept_of_weights_for_evaluation_follows_them(net: Any, tmp_path: Path) -> None:
    training = trained(net=net)
    directory = exported(training, tmp_path)
    assert not any(isinstance(each, FakeTensor) for each in training.net.cache.values())
    trainer = form.load_training(directory)
    assert by_trainer(trainer) == by_source(training)
    rows = {"pixels": np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)}
    answers, _ = framework.evaluate(training, rows, None)
    assert trainer.predict(rows)["logits"].tobytes() == answers["logits"].tobytes()


class Merging(Net):
    """It merges a weight into another for evaluation, as adapters do."""

    def __init__(self) -> None:
        super().__init__()
        self.added = nn.Parameter(torch.full((8, 12), 0.1))
        self.one = torch.tensor(1.0)
        self.merged = False

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if self.merged == mode:
            self.hidden.weight.data += self.added.data * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        return super().forward(pixels * self.one)


def test_weights_that_are_merged_for_evaluation_stay_as_they_are(tmp_path: Path) -> None:
    training = trained(net=Merging)
    rows = {"pixels": np.random.default_rng(1).normal(size=(5, 12)).astype(np.float32)}
    directory = exported(training, tmp_path)
    answers, _ = framework.evaluate(training, rows, None)
    assert form.load(directory)(rows)["logits"].tobytes() == answers["logits"].tobytes()
