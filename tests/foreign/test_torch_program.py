"""Programs that torch.export.save wrote without us, and archives that only look like one."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from pipeline import formats
from pipeline.errors import DataError
from tests.foreign.programs import adopted, answers, contents, opened, refusal
from tests.hostile.conftest import Touch, edited, edited_json, members, packed, pickled

ROWS = Dim("rows")
RNG = np.random.default_rng(0)


class Named(nn.Module):
    """Takes an argument by name, and answers a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.line = nn.Linear(8, 3)
        self.register_buffer("shift", torch.ones(3))

    def forward(self, pixels: Tensor, *, scale: Tensor) -> dict[str, Tensor]:
        logits = self.line(pixels) * scale + self.shift
        return {"logits": logits, "share": logits.softmax(-1)}


class Nested(nn.Module):
    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return batch["a"] + batch["b"], batch["a"] * 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Programs as people save them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("made")
    x, scale = torch.randn(4, 8), torch.ones(4, 1)
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 3))

    def save(name: str, module: nn.Module, args: tuple, shapes: Any, **named: Tensor) -> None:
        program = torch.export.export(module, args, named, dynamic_shapes=shapes)
        torch.export.save(program, folder / name)

    first = {0: ROWS}
    save("training.pt2", net.train(), (x,), (first,))
    save("plain.pt2", net.eval(), (x,), (first,))
    save("fixed.pt2", net, (x,), None)
    save("named.pt2", Named().eval(), (x,), {"pixels": first, "scale": first}, scale=scale)
    shapes = ({"a": first, "b": first},)
    save("nested.pt2", Nested(), ({"a": x, "b": x + 1},), shapes)
    torch.jit.trace(net, x).save(folder / "script.pt")
    torch.save(net.state_dict(), folder / "weights.pt")
    return folder


def arrays(*names: str, rows: int = 5) -> dict[str, np.ndarray]:
    sizes = dict.fromkeys(names, 8) | {"scale": 1}
    return {n: RNG.standard_normal((rows, sizes[n])).astype("float32") for n in names}


@pytest.mark.parametrize("rows", [5, 1, 0])
def test_its_answers_are_the_programs_bit_for_bit(made: Path, tmp_path: Path, rows: int) -> None:
    given = arrays("pixels", "scale", rows=rows)
    outputs = {"first": "share", "second": "logits"}
    found = answers(made / "named.pt2", tmp_path / "form", given, outputs)
    program = torch.export.load(made / "named.pt2").module()
    tensors = {name: torch.from_numpy(array) for name, array in given.items()}
    expected = program(tensors["pixels"], scale=tensors["scale"])
    for own, name in outputs.items():
        assert found[own].tobytes() == expected[name].detach().numpy().tobytes()


def test_of_several_outputs_some_may_be_taken(made: Path, tmp_path: Path) -> None:
    given = arrays("pixels", "scale")
    (only,) = answers(made / "named.pt2", tmp_path / "form", given, {"p": "share"}).values()
    assert only.sum(axis=1) == pytest.approx(np.ones(5))


def test_what_is_nested_becomes_one_tensor_after_the_other(made: Path, tmp_path: Path) -> None:
    program = opened(made / "nested.pt2").program
    assert list(program.inputs) == ["batch_a", "batch_b"]
    assert list(program.outputs) == ["output_0", "output_1"]
    given = {name: np.full((2, 8), n, "float32") for n, name in enumerate(program.inputs, 1)}
    found = answers(made / "nested.pt2", tmp_path / "form", given, {"sum": "output_0"})
    assert (found["sum"] == 3).all()


def test_it_says_what_it_is_and_nothing_of_its_maker(made: Path, tmp_path: Path) -> None:
    read = opened(made / "plain.pt2")
    assert (read.framework, read.model["program"], read.weights) == ("pytorch", "torch_export", {})
    assert read.model["outputs"] == ["output"]
    assert read.versions["torch"] == torch.__version__
    adopted(made / "plain.pt2", tmp_path / "form", {"x": "input"}, {"y": "output"})
    assert b"site-packages" in (made / "plain.pt2").read_bytes()
    assert b"site-packages" not in (tmp_path / "form/model.pt2").read_bytes()


def test_the_same_program_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    ports = {"x": "input"}, {"y": "output"}
    for name in ("one", "other"):
        adopted(made / "plain.pt2", tmp_path / name, *ports)
    assert contents(tmp_path / "one") == contents(tmp_path / "other")


def test_its_weights_can_be_others_for_once(made: Path, tmp_path: Path) -> None:
    form = adopted(made / "plain.pt2", tmp_path / "form", {"x": "input"}, {"y": "output"})
    before = contents(tmp_path / "form")
    zeros = {"3.weight": np.zeros(48, "float32"), "3.bias": np.arange(3, dtype="float32")}
    predict = formats.adopter(form).load_with(tmp_path / "form", zeros)
    assert predict({"x": np.ones((2, 8), "float32")})["y"].tolist() == [[0, 1, 2]] * 2
    assert contents(tmp_path / "form") == before


def test_a_program_of_a_gpu_is_brought_home(made: Path, tmp_path: Path) -> None:
    path = tmp_path / "gpu.pt2"
    path.write_bytes((made / "plain.pt2").read_bytes())

    def move(value: Any) -> None:
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict) and set(each) == {"type", "index"}:
                each |= {"type": "cuda", "index": 0}
            elif isinstance(each, dict | list):
                move(each)

    for member in ("models/model.json", "model_weights_config.json"):
        edited_json(path, member, move)
    assert opened(path).notes == ("was exported for cuda:0; brought to the CPU",)
    given = arrays("input")
    ours, theirs = (
        answers(each, tmp_path / name, given, {"y": "output"})
        for name, each in {"one": path, "other": made / "plain.pt2"}.items()
    )
    assert ours["y"].tobytes() == theirs["y"].tobytes()


def test_a_pickle_of_sample_inputs_is_never_opened(made: Path, tmp_path: Path) -> None:
    path, mark = tmp_path / "sampled.pt2", tmp_path / "mark"
    path.write_bytes((made / "plain.pt2").read_bytes())

    def plant(content: dict[str, bytes]) -> None:
        (name,) = (each for each in content if "sample_inputs" in each)
        content[name] = pickled(mark)

    edited(path, plant)
    adopted(path, tmp_path / "form", {"x": "input"}, {"y": "output"})
    assert members(tmp_path / "form/model.pt2")["model/data/sample_inputs/model.pt"] == b""
    assert not mark.exists()


def program(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    return lambda path: edited_json(path, "models/model.json", change)


def config(change: Callable[[dict], Any]) -> Callable[[Path], None]:
    def edit(content: dict) -> None:
        change(content["config"]["3.weight"])

    return lambda path: edited_json(path, "model_weights_config.json", edit)


def graph(content: dict) -> dict:
    return content["graph_module"]["graph"]


def cut(share: float) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return spoil


def renamed(old: str, new: str) -> Callable[[Path], None]:
    def rename(path: Path) -> None:
        packed(path, {k.replace(old, new): v for k, v in members(path).items()})

    return rename


def added(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: edited(path, lambda all_: all_.update({f"plain/{name}": content}))


def without(part: str) -> Callable[[Path], None]:
    def remove(content: dict) -> None:
        for name in [each for each in content if part in each]:
            del content[name]

    return lambda path: edited(path, remove)


def swollen(path: Path) -> None:
    """A bomb: what its table says is a thousand times what there is."""
    packed(
        path, members(path) | {"plain/data/weights/weight_9": bytes(10**6)}, zipfile.ZIP_DEFLATED
    )


SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "cut off in its table": (cut(0.97), "malformed archive"),
    "cut off in its weights": (cut(0.03), "malformed archive"),
    "empty": (lambda path: path.write_bytes(b""), "no checkpoint that is known"),
    "text": (lambda path: path.write_text("torch\n"), "no checkpoint that is known"),
    "a bomb": (swollen, "malformed archive"),
    "no program": (renamed("models/", "models.of/"), "holds no program"),
    "several programs": (
        lambda path: (renamed("model.json", "a.json")(path), added("models/b.json", b"{}")(path)),
        "programs a, b, expected one",
    ),
    "a pickle for a weight": (config(lambda each: each.update(use_pickle=True)), "as a pickle"),
    "a weight that is not there": (without("weight_2"), "lacks data/weights/weight_2"),
    "no table of weights": (without("weights_config"), "lacks data/weights"),
    "a huge weight": (
        config(lambda each: each["tensor_meta"].update(sizes=[{"as_int": 1 << 40}] * 2)),
        "reaches to element",
    ),
    "an operator of others": (
        program(lambda all_: graph(all_)["nodes"][0].update(target="torch.ops.mine.shell.default")),
        "could run code",
    ),
    "a function of Python's": (
        program(lambda all_: graph(all_)["nodes"][0].update(target="torch.os.system")),
        "could run code",
    ),
    "an expression": (
        program(lambda all_: all_.update(guards_code=["__import__('os').system('x')"])),
        "could run code",
    ),
    "no JSON": (
        lambda path: edited(path, lambda all_: all_.update({"plain/models/model.json": b"{"})),
        "no JSON that can be read",
    ),
    "JSON of another kind": (
        lambda path: edited(path, lambda all_: all_.update({"plain/models/model.json": b"[]"})),
        "not laid out as torch writes it",
    ),
    "a number for an input": (
        program(
            lambda all_: all_["graph_module"]["signature"]["input_specs"][-1].update(
                {"user_input": {"arg": {"as_int": 3}}}
            )
        ),
        "takes as_int, expected tensors alone",
    ),
    "what AOTInductor compiled": (
        added("data/aotinductor/model/a.so", b"\x7fELF"),
        "native code that AOTInductor compiled",
    ),
    "a program from before torch 2.8": (
        lambda path: packed(path, {"serialized_exported_program.json": b"{}", "version": b"5"}),
        "before torch 2.8",
    ),
    "big-endian words": (added("byteorder", b"big" * 100), "more than a word"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_what_is_spoiled_is_refused_in_one_line(made: Path, tmp_path: Path, how: str) -> None:
    spoil, expected = SPOILED[how]
    path = tmp_path / "plain.pt2"
    path.write_bytes((made / "plain.pt2").read_bytes())
    spoil(path)
    assert expected in refusal(path, tmp_path / "form")


def test_a_program_in_training_mode_says_what_to_do(made: Path) -> None:
    with pytest.raises(DataError, match=r"in training mode, as .*batch_norm.*model.eval\(\)"):
        opened(made / "training.pt2")


def test_weights_and_torchscript_are_another_kind(made: Path) -> None:
    from pipeline.foreign import torch_program

    assert not torch_program.recognizes(made / "weights.pt")
    assert not torch_program.recognizes(made / "script.pt")
    assert not torch_program.recognizes(made)


def test_flipped_bytes_never_leave_anything_behind(made: Path, tmp_path: Path) -> None:
    """A flip within a weight is another weight; anywhere else it is refused, or changes nothing
    that is looked at."""
    content = (made / "plain.pt2").read_bytes()
    path, rng = tmp_path / "flipped.pt2", np.random.default_rng(1)
    for place in np.unique(rng.integers(0, len(content), 60)):
        spoiled = bytearray(content)
        spoiled[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(spoiled)
        directory = tmp_path / f"form{place}"
        try:
            adopted(path, directory, {"x": "input"}, {"y": "output"})
        except (DataError, ValueError) as fault:
            assert "\n" not in str(fault)
            assert not directory.exists() or list(directory.iterdir()) == []


def test_the_touch_of_the_other_tests_works(tmp_path: Path) -> None:
    import pickle

    pickle.loads(pickle.dumps(Touch(tmp_path / "mark")))
    assert (tmp_path / "mark").exists()


def test_a_fixed_number_of_rows_is_seen(made: Path) -> None:
    assert opened(made / "fixed.pt2").program.inputs["input"].shape == (4, 8)
    assert opened(made / "plain.pt2").program.inputs["input"].shape == (None, 8)


def test_it_lies_in_the_archive_aligned(made: Path, tmp_path: Path) -> None:
    """So that another format can map a weight, and refer to it."""
    form = adopted(made / "plain.pt2", tmp_path / "form", {"x": "input"}, {"y": "output"})
    places = formats.loader(form).weights(tmp_path / "form")
    assert {offset % 64 for _, offset, _, _ in places.values()} == {0}
    assert json.loads(members(tmp_path / "form/model.pt2")["model/extra/signature.json"]) == {
        "inputs": ["x"],
        "outputs": ["y"],
    }
