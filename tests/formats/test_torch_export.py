"""What `model.pt2` refuses to hold, refuses to load, and leaves out."""

import contextlib
import io
import json
import logging
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from testing.formats import form as plugin
from tests.formats.conftest import pixels

form = plugin("torch_export")


class Branching(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels * 2 if pixels.sum() > 0 else pixels


class FixedRows(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.reshape(3, 64)


@torch.library.custom_op("tests_of_formats::twice", mutates_args=())
def twice(values: Tensor) -> Tensor:
    return values * 2


@twice.register_fake
def _(values: Tensor) -> Tensor:
    return torch.empty_like(values)


class ForeignOperator(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return twice(pixels)


class Named(nn.Module):
    def forward(self, pixels: Tensor) -> dict[str, Tensor]:
        return {"logits": pixels}


class Awkward(nn.Module):
    """Weights that share, view and stride over their memory, and a batch that shrinks by shape."""

    def __init__(self) -> None:
        super().__init__()
        memory = torch.arange(128 * 64.0).reshape(128, 64)
        self.view = nn.Parameter(memory[64:])
        self.transposed = nn.Parameter(torch.rand(64, 32).T)
        self.tied = self.view

    def forward(self, pixels: Tensor) -> Tensor:
        hidden = pixels @ self.view.T @ self.tied
        return (hidden @ self.transposed.T)[:, : pixels.shape[1] // 3]


@pytest.mark.parametrize(
    ("model", "named"),
    [
        (Branching(), "pixels.sum\\(\\) > 0"),
        (FixedRows(), "the number of rows became a constant, as len\\(x\\)"),
        (ForeignOperator(), "tests_of_formats.twice"),
        (Named(), "one tensor each for \\['logits'\\]"),
    ],
)
def test_a_model_that_does_not_fit_is_named_with_its_fault(
    model: nn.Module, named: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=named) as raised:
        form.export(model.eval(), pixels(5), ["logits"], tmp_path)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_second_output_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="one tensor each"):
        form.export(nn.Identity().eval(), pixels(5), ["logits", "other"], tmp_path)


@pytest.mark.parametrize("name", ["block1-0", "a b", "down/0", "head:1", "x+y", "größe"])
def test_modules_are_named_as_people_like(name: str, tmp_path: Path) -> None:
    model = nn.Sequential()
    model.add_module(name, nn.Linear(64, 3))
    form.export(model.eval(), pixels(5), ["logits"], tmp_path)
    with torch.no_grad():
        expected = model(torch.from_numpy(pixels(4)["pixels"])).numpy()
    assert form.load(tmp_path)(pixels(4))["logits"].tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", ['a")', "a\\", "a\n", "a'", "a;b", "a(b)", "x{y}", "a.__b"])
def test_a_name_that_could_end_a_string_in_code_is_refused(name: str) -> None:
    for kind in ("state", "name", "word", "device", "operator", "shape"):
        assert not form.CHECKS[kind](name)
    with pytest.raises(ValueError, match="do not load it"):
        form.check_state_name(name, "here")


@pytest.mark.parametrize("kind", ["name", "word", "operator", "shape", "device"])
def test_only_names_of_weights_and_modules_may_have_a_hyphen(kind: str) -> None:
    assert form.CHECKS["state"]("block1-0") and not form.CHECKS[kind]("block1-0")


class Masked(nn.Module):
    """Its inputs are called as fields of a program are, and JSON has no number for what it adds."""

    def forward(self, strides: Tensor, metadata: Tensor) -> Tensor:
        return strides.masked_fill(metadata > 0, float("-inf")).softmax(dim=1)


@pytest.mark.parametrize(
    "expression",
    [
        "Symbol('s77', positive=True, integer=True)",
        "FloorDiv(Add(Symbol('s0', integer=True), Integer(-1)), Integer(2))",
        "FloatPow(ToFloat(Symbol('s77', positive=True)), Float('0.5', precision=53))",
        "TruncToInt(Mul(Float('1.5', precision=53), ToFloat(Symbol('u0', integer=True))))",
        "Max(Integer(1), Pow(Symbol('s0', integer=True), Integer(2)), Rational(1, 2))",
        "2*s0**2 - s1//3 + 1.5",
        " + ".join(["s0"] * 100),
    ],
)
def test_shapes_as_torch_writes_them_are_arithmetic(expression: str) -> None:
    assert form.CHECKS["shape"](expression)


@pytest.mark.parametrize(
    "comparison",
    [
        "L['arguments'][0].size()[0] == L['arguments'][1].size()[0]",
        "not (L['x'].size()[1] % 2 == 0) and 3 <= L['x'].stride()[0]**2 or True",
    ],
)
def test_guards_as_torch_writes_them_compare_sizes(comparison: str) -> None:
    assert form.CHECKS["guard"](comparison)


def test_no_name_of_an_input_is_taken_for_a_field_and_infinity_is_a_number(tmp_path: Path) -> None:
    inputs = {name: pixels(5)["pixels"] for name in ("strides", "metadata")}
    inputs["metadata"] = inputs["metadata"] - 8
    form.export(Masked().eval(), inputs, ["weights"], tmp_path)
    found = form.load(tmp_path)(inputs)["weights"]
    assert (found[inputs["metadata"] > 0] == 0).all() and np.isfinite(found).all()


@pytest.mark.filterwarnings("ignore:No complete tensor")
def test_views_strides_and_shared_weights_survive(tmp_path: Path) -> None:
    model = Awkward().eval()
    form.export(model, pixels(5), ["logits"], tmp_path)
    found = form.load(tmp_path)(pixels(7))["logits"]
    assert np.array_equal(found, model(torch.from_numpy(pixels(7)["pixels"])).detach().numpy())
    places = form.weights(tmp_path)
    file, offset, nbytes, dtype = places["view"]
    content = (tmp_path / file).read_bytes()[offset : offset + nbytes]
    assert np.array_equal(np.frombuffer(content, dtype), model.view.detach().numpy().ravel())
    assert places["tied"] == places["view"]
    assert "transposed" not in places


def test_the_bytes_do_not_depend_on_the_example(tmp_path: Path) -> None:
    model = nn.Linear(64, 3).eval()
    for rows in (1, 8):
        (tmp_path / str(rows)).mkdir()
        form.export(model, pixels(rows), ["logits"], tmp_path / str(rows))
    first, second = (tmp_path / str(rows) / form.FILE for rows in (1, 8))
    assert first.read_bytes() == second.read_bytes()


def test_read_only_arrays_are_predicted_from(exported: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "pixels.npy", pixels(3)["pixels"])
    mapped = np.load(tmp_path / "pixels.npy", mmap_mode="r")
    assert form.load(exported / "mlp")({"pixels": mapped})["logits"].shape == (3, 10)


def test_the_archive_holds_no_pickle_and_no_compressed_member(exported: Path) -> None:
    with zipfile.ZipFile(exported / "cnn" / form.FILE) as archive:
        for info in archive.infolist():
            assert info.compress_type == zipfile.ZIP_STORED
            if "sample_inputs" in info.filename:
                assert info.file_size == 0
            elif "/weights/" not in info.filename and "/constants/" not in info.filename:
                archive.read(info).decode()


def test_the_card_is_three_lines_for_people(exported: Path) -> None:
    lines = form.card(["pixels"], ["logits"]).splitlines()
    assert len(lines) == 5
    assert lines[0] == "import numpy, torch"


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def pickled(path: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(Touch(path), buffer)
    return buffer.getvalue()


def in_json(change: Callable[[dict], object]) -> Callable[[bytes, Path], bytes]:
    def edit(content: bytes, mark: Path) -> bytes:
        program = json.loads(content)
        change(program)
        return json.dumps(program).replace("MARK", str(mark)).encode()

    return edit


def first_node(program: dict) -> dict:
    return program["graph_module"]["graph"]["nodes"][0]


CODE = "__import__('pathlib').Path('MARK').touch()"
PROGRAM = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"

ATTACKS = {
    "sample inputs": ("data/sample_inputs/model.pt", lambda _, mark: pickled(mark)),
    "a shape": (
        PROGRAM,
        lambda content, mark: content.replace(
            b"Symbol('s", CODE.replace("MARK", str(mark)).encode() + b" or Symbol('s", 1
        ),
    ),
    "an operator": (PROGRAM, in_json(lambda p: first_node(p).update(target="torch.hub.load"))),
    "a function": (
        PROGRAM,
        in_json(lambda p: first_node(p)["inputs"][0].update(arg={"as_operator": "torch.load"})),
    ),
    "a name": (PROGRAM, in_json(lambda p: first_node(p).update(name="x = " + CODE))),
    "a guard": (PROGRAM, in_json(lambda p: p.update(guards_code=[CODE]))),
    "a tree": (
        PROGRAM,
        lambda content, _: content.replace(
            b'"in_spec": "[1,', b'"in_spec": "[1, {\\"__enum__\\": 1},'
        ),
    ),
    "a weight": (
        WEIGHTS,
        in_json(lambda p: next(iter(p["config"].values())).update(use_pickle=True)),
    ),
    "a payload": (
        WEIGHTS,
        in_json(lambda p: next(iter(p["config"].values())).update(path_name="custom_obj_0")),
    ),
}


def rewritten(source: Path, target: Path, edit: Callable[[str, bytes], bytes]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, edit(info.filename, old.read(info)))


@pytest.mark.parametrize("attack", ATTACKS)
def test_code_hidden_in_the_file_is_refused_before_torch_reads_it(
    attack: str, exported: Path, tmp_path: Path
) -> None:
    member, edit = ATTACKS[attack]
    changed = []

    def poison(name: str, content: bytes) -> bytes:
        if not name.endswith(member):
            return content
        changed.append(edit(content, tmp_path / "mark"))
        assert changed[-1] != content
        return changed[-1]

    rewritten(exported / "cnn" / form.FILE, tmp_path / form.FILE, poison)
    assert len(changed) == 1
    with pytest.raises(ValueError, match="do not load it") as raised:
        form.load(tmp_path)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("attack", ["sample inputs", "a shape"])
def test_without_the_refusal_torch_would_run_it(
    attack: str, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serde = logging.getLogger("torch._export.serde.serialize")
    monkeypatch.setattr(serde, "disabled", True)  # its warning has an argument too few
    member, edit = ATTACKS[attack]
    mark = tmp_path / "mark"
    rewritten(
        exported / "cnn" / form.FILE,
        tmp_path / form.FILE,
        lambda name, content: edit(content, mark) if name.endswith(member) else content,
    )
    with contextlib.suppress(AssertionError):  # what it unpickled is no tuple
        torch.export.load(tmp_path / form.FILE)
    assert mark.exists()


def test_members_beyond_the_format_are_refused(exported: Path, tmp_path: Path) -> None:
    for name in (
        "model/data/weights/model.pt",
        "model/data/constants/custom_obj_0",
        "other/byteorder",
    ):
        (tmp_path / form.FILE).write_bytes((exported / "mlp" / form.FILE).read_bytes())
        with zipfile.ZipFile(tmp_path / form.FILE, "a") as archive:
            archive.writestr(name, pickle.dumps(1))
        with pytest.raises(ValueError, match=r"may hold a pickle|malformed"):
            form.load(tmp_path)


def test_an_archive_that_two_readers_could_read_differently_is_refused(
    exported: Path, tmp_path: Path
) -> None:
    whole = (exported / "mlp" / form.FILE).read_bytes()
    (tmp_path / form.FILE).write_bytes(b"PK" + bytes(62) + whole)
    with pytest.raises(ValueError, match="malformed"):
        form.load(tmp_path)
    (tmp_path / form.FILE).write_bytes(whole)
    with pytest.warns(UserWarning), zipfile.ZipFile(tmp_path / form.FILE, "a") as archive:
        archive.writestr("model/archive_version", b"0")
    with pytest.raises(ValueError, match="malformed"):
        form.load(tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / form.FILE).write_bytes(pickle.dumps(Touch(tmp_path / "mark")))
    with pytest.raises(ValueError, match=r"malformed archive"):
        form.load(tmp_path)
    assert not (tmp_path / "mark").exists()
