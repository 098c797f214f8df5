"""Attempts on `model.pt2` and `optimizer.pt`: none gets as far as torch."""

import _operator
import contextlib
import dataclasses
import importlib
import io
import json
import logging
import math
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path, PosixPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from scripts import torch_operators
from testing.formats import form as plugin
from testing.project import ROOT
from tests.formats.conftest import pixels, torch_case, training_of
from tests.hostile.conftest import (
    FORGERIES,
    Touch,
    copied,
    edited,
    edited_json,
    members,
    packed,
    pickled,
    refused,
    two_faced,
)

form = plugin("torch_export")
LOADS = importlib.import_module("formats.torch_export.load")
PROGRAM, WEIGHTS = "/models/model.json", "/weights/model_weights_config.json"
CONSTANTS = "/constants/model_constants_config.json"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to train on, one step into it."""
    case, directory = torch_case("mlp"), tmp_path_factory.mktemp("written")
    training = training_of(case)
    case.model(torch.from_numpy(pixels(5)["pixels"])).sum().backward()
    training.optimizer.step()
    given = {"training": training, "targets": {"kind": np.arange(5) % 7}}
    form.export(case.model, pixels(5), ["logits"], directory, **given)
    return directory


@pytest.fixture
def copy(written: Path, tmp_path: Path) -> Path:
    return copied(written, tmp_path / "copy")


def saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def in_signature(change: Callable[[dict], Any]) -> Callable[[Path, Path], None]:
    return lambda d, _: edited_json(d / form.FILE, "/extra/signature.json", change)


def in_program(change: Callable[[dict], Any]) -> Callable[[Path, Path], None]:
    return lambda directory, _: edited_json(directory / form.FILE, PROGRAM, change)


def nodes(program: dict) -> list[dict]:
    return program["graph_module"]["graph"]["nodes"]


def sizes(program: dict) -> dict:
    return program["graph_module"]["graph"]["tensor_values"]["pixels"]


def renamed_node(name: str) -> Callable[[Path, Path], None]:
    """The result of the first node, wherever the program speaks of it."""

    def change(content: dict[str, bytes]) -> None:
        member = next(each for each in content if each.endswith(PROGRAM))
        content[member] = content[member].replace(b'"sub"', json.dumps(name).encode())

    return lambda directory, _: edited(directory / form.FILE, change)


def called(target: str, **inputs: dict) -> Callable[[Path, Path], None]:
    """Ahead of all else the program calls an operator; MARK in a text is the file."""

    def attack(directory: Path, mark: Path) -> None:
        given = json.loads(json.dumps(inputs).replace("MARK", str(mark)))
        call = {
            "target": target,
            "inputs": [{"name": name, "arg": arg, "kind": 1} for name, arg in given.items()],
            "outputs": [{"as_tensor": {"name": "planted"}}],
            "metadata": {},
            "name": "planted",
        }

        def change(program: dict) -> None:
            nodes(program).insert(0, call)
            tensors = program["graph_module"]["graph"]["tensor_values"]
            tensors["planted"] = tensors["p_layers_0_bias"]

        edited_json(directory / form.FILE, PROGRAM, change)

    return attack


def importing_tree(directory: Path, _: Path) -> None:
    """A defaultdict among the inputs names the module and the name of its factory."""
    context = {"default_factory_module": "planted_by_an_attack", "default_factory_name": "made"}
    kind = {"type": "collections.defaultdict", "children_spec": []}
    tree = kind | {"context": context | {"dict_context": []}}

    def change(program: dict) -> None:
        calls = program["graph_module"]["module_call_graph"]
        calls[0]["signature"]["out_spec"] = json.dumps([1, tree])

    edited_json(directory / form.FILE, PROGRAM, change)


def pickled_inputs(directory: Path, mark: Path) -> None:
    name = "model/data/sample_inputs/model.pt"
    content = saved_touch(mark)
    edited(directory / form.FILE, lambda members: members.update({name: content}))


def saved_touch(mark: Path) -> bytes:
    return saved(Touch(mark))


def pickled_weight(directory: Path, mark: Path) -> None:
    def change(config: dict) -> None:
        next(iter(config["config"].values())).update(use_pickle=True)

    edited_json(directory / form.FILE, WEIGHTS, change)
    name, content = "model/data/weights/weight_0", saved_touch(mark)
    edited(directory / form.FILE, lambda members: members.update({name: content}))


def pickled_constant(directory: Path, mark: Path) -> None:
    meta = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    edited_json(directory / form.FILE, CONSTANTS, lambda c: c["config"].update(planted=meta))
    name, content = "model/data/constants/opaque_obj_0", pickled(mark)
    edited(directory / form.FILE, lambda members: members.update({name: content}))


def second_face(directory: Path, mark: Path) -> None:
    path = directory / form.FILE
    harmless = members(path)
    pickled_inputs(directory, mark)
    two_faced(path, harmless, members(path))


WORKING = {  # once the screen is gone
    "an operator that makes a file": called(
        "torch.ops.aten.from_file.default",
        filename={"as_string": "MARK"},
        shared={"as_bool": True},
        size={"as_int": 24},
    ),
    "a tree that imports": importing_tree,
    "pickled inputs": pickled_inputs,
    "a pickled weight": pickled_weight,
    "a pickled constant": pickled_constant,
}


def member(name: str, content: bytes = b"x") -> Callable[[Path, Path], None]:
    return lambda d, _: edited(d / form.FILE, lambda members: members.update({name: content}))


def in_weights(change: Callable[[dict], Any]) -> Callable[[Path, Path], None]:
    def first(config: dict) -> None:
        change(next(iter(config["config"].values())))

    return lambda directory, _: edited_json(directory / form.FILE, WEIGHTS, first)


def shape(expression: str) -> Callable[[Path, Path], None]:
    return in_program(lambda p: sizes(p)["sizes"][0]["as_expr"].update(expr_str=expression))


def guards(text: str) -> Callable[[dict], Any]:
    return lambda program: program.update(guards_code=[text])


def signature(program: dict) -> dict:
    return program["graph_module"]["signature"]


def nested_context(program: dict) -> None:
    tree = {"type": "builtins.dict", "context": "[" * 100_000, "children_spec": []}
    calls = program["graph_module"]["module_call_graph"]
    calls[0]["signature"]["out_spec"] = json.dumps([1, tree])


SYMBOLS = ", ".join(f"s{n}" for n in range(8))
POWERFUL = (
    "9^9^9^9",  # which sympy takes for powers
    "Pow(Integer(9), Integer(99999999999), 1)",  # the last says whether to evaluate
    "Pow(9, exp=99999999999)",
    "Float(1, precision=999999999)",
    "Float('1', 999999999)",
    "1e-999999999",  # computed exactly
    "Float('1e-999999999', precision=53)",
    "s0 << 99999999999",
    "Symbol('u99999999999')",
    "Symbol('s0', integer=Integer)",
    "Add(*s0)",
    "s0 @ s0",
    "Add(s0, Max)",
    "FloatPow(Integer(9), Float('99999999999', precision=53))",
    "Pow(Integer(9), Float('1e300', precision=53))",
    f"FloorDiv(Pow(Add({SYMBOLS}), 9), Add({SYMBOLS}))",  # common factors of what is multiplied out
    f"Mod(({' * '.join(f'(s{n} + 1)' for n in range(12))}), s0 + s1)",
    f"Max({', '.join(f's{n}' for n in range(300))})",  # each is compared with each
    f"Max(Max({SYMBOLS}, u1), Min({SYMBOLS}, u1))",
    " + ".join(["s0"] * 2000),
    "s0 #",
    "s0\n",
)
GUARDS = (
    "(" * 40 + "9" + "**3)" * 40 + " == 1",
    "L['pixels'].size()[0]()",
    "L['pixels'].data == 1",
    "L['pixels'].size(0)[0] == 1",
    "L[0].size()[0] == 1",
    "True\n",
    "[1] == 1",
)


REFUSED = WORKING | {
    "an archive with two tables": second_face,
    "a compiled library": member("model/data/aotinductor/model/planted.so"),
    "a custom object": member("model/data/constants/custom_obj_0"),
    "weights of old": member("model/data/weights/model.pt"),
    "a second root": member("other/byteorder"),
    "a name that is an attribute": renamed_node("torch.planted"),
    "a name that is a statement": renamed_node("planted; open"),
    "a parameter of the class": lambda d, _: edited_json(
        d / form.FILE,
        WEIGHTS,
        lambda c: c["config"].update({"__class__.x": c["config"].popitem()[1]}),
    ),
    "an operator of others": in_program(lambda p: nodes(p)[0].update(target="torch.ops.x.y.z")),
    "an operator that writes a file": called(
        "torch.ops.aten.save.default", item={"as_int": 1}, filename={"as_string": "MARK"}
    ),
    "an operator that takes a tensor for pointers": in_program(
        lambda p: nodes(p)[0].update(target="torch.ops.aten.fbgemm_linear_fp16_weight.default")
    ),
    "an operator that is a function": in_program(
        lambda p: nodes(p)[0].update(target="torch.hub.load")
    ),
    "code for a shape": shape("__import__('os').getcwd()"),
    "a tower of powers for a shape": shape("9**9**9**9"),
    "powers of powers for a shape": shape("((((9**60)**60)**60)**60)"),
    "a shift for a shape": shape("LShift(Integer(1), Integer(99999999999))"),
    "a nest for a shape": shape("-" * 5000 + "1"),
    "endless digits for a shape": shape("Float(Integer(1), Integer(999999999))"),
    "powers for a guard": in_program(lambda p: p.update(guards_code=["9**9**9**9 == 1"])),
    "a shift for a guard": in_program(lambda p: p.update(guards_code=["1<<99999999999 == 1"])),
    **{f"{text[:60]} for a shape": shape(text) for text in POWERFUL},
    **{f"{text} for a guard": in_program(guards(text)) for text in GUARDS},
    "endless counting to a symbol": in_program(
        lambda p: p["range_constraints"].update(u99999999999={"min_val": 0, "max_val": 9})
    ),
    "a nest within a tree": in_program(nested_context),
    "a message that torch does not have": in_program(lambda p: p.update(planted={"name": "x"})),
    "metadata that names functions": in_program(
        lambda p: nodes(p)[0]["metadata"].update(source_fn_stack="x,torch.hub.load")
    ),
    "metadata that is JSON": in_program(
        lambda p: nodes(p)[0]["metadata"].update(custom="7", from_node="7")
    ),
    "metadata of the whole": in_program(lambda p: p["graph_module"]["metadata"].update(custom="7")),
    "an object among the values": in_program(
        lambda p: p["graph_module"]["graph"]["custom_obj_values"].update(
            planted={"name": "planted", "class_fqn": "planted"}
        )
    ),
    "an object as an input": in_program(
        lambda p: signature(p)["input_specs"].append(
            {"custom_obj": {"arg": {"name": "x", "class_fqn": "x"}, "custom_obj_name": "x"}}
        )
    ),
    "an object as an argument": in_program(
        lambda p: nodes(p)[0]["inputs"][0].update(
            arg={"as_custom_obj": {"name": "x", "class_fqn": "x"}}
        )
    ),
    "an operator as an argument": in_program(
        lambda p: nodes(p)[0]["inputs"][0].update(arg={"as_operator": "torch.hub.load"})
    ),
    "an operator of a later version": in_program(
        lambda p: nodes(p)[0].update(target="torch.ops.aten.some_future_op_that_writes.default")
    ),
    "an overload of a later version": in_program(
        lambda p: nodes(p)[0].update(target="torch.ops.aten.sub.of_a_later_version")
    ),
    "an operator within a branch": in_program(
        lambda p: nodes(p)[0]["inputs"][0].update(
            arg={"as_graph": {"name": "branch", "graph": {"nodes": [{"target": "torch.load"}]}}}
        )
    ),
    "a device of a plug-in": in_program(lambda p: sizes(p)["device"].update(type="privateuseone")),
    "a number that is a text": in_program(lambda p: sizes(p).update(dtype="7")),
    "a state that is a class": in_program(
        lambda p: next(s for s in signature(p)["input_specs"] if "parameter" in s)[
            "parameter"
        ].update(parameter_name="__class__")
    ),
    "a program of another name": lambda d, _: edited(
        d / form.FILE, lambda m: m.update({"model/models/other.json": b"{}"})
    ),
    "another file of its own": member("model/extra/other.json", b"{}"),
    "a weight by another case": member("model/data/weights/WEIGHT_0"),
    "a program by another case": member("model/models/Model.json", b"{}"),
    "a signature that names no inputs": in_signature(lambda s: s.update(inputs=[7])),
    "a signature that names no targets": in_signature(lambda s: s.update(targets=[["kind"]])),
    "a signature whose loss takes no list": in_signature(lambda s: s.update(loss="kind")),
    "a signature of more than names": in_signature(lambda s: s.update(scripts=["kind"])),
    "a signature without outputs": in_signature(lambda s: s.pop("outputs")),
    "a graph that is nested deep": in_program(
        lambda p: p.update(planted=json.loads("[" * 500 + "]" * 500))
    ),
    "JSON that fills the memory": member("model/extra/large.json", b" " * ((1 << 25) + 1)),
    "JSON that is none": member("model/extra/none.json", b"{"),
    "a number without end": member("model/extra/number.json", b"9" * 10_000),
    "a negative size": in_program(lambda p: sizes(p)["sizes"][1].update(as_int=-64)),
    "a huge size": in_program(lambda p: sizes(p)["sizes"][1].update(as_int=1 << 70)),
    "a weight larger than its bytes": in_weights(
        lambda w: w["tensor_meta"]["sizes"][0].update(as_int=1 << 40)
    ),
    "strides beyond its bytes": in_weights(
        lambda w: w["tensor_meta"]["strides"][0].update(as_int=1 << 40)
    ),
    "a negative stride": in_weights(lambda w: w["tensor_meta"]["strides"][0].update(as_int=-1)),
    "an offset beyond its bytes": in_weights(
        lambda w: w["tensor_meta"]["storage_offset"].update(as_int=1 << 20)
    ),
    "a weight that is nowhere": in_weights(lambda w: w.update(path_name="weight_99")),
    "a weight without bytes": lambda d, _: edited(
        d / form.FILE, lambda m: m.update({"model/data/weights/weight_0": b""})
    ),
    "a configuration that is a list": lambda d, _: edited(
        d / form.FILE, lambda m: m.update({f"model/data{WEIGHTS}": b"[]"})
    ),
}


@pytest.mark.parametrize("attack", REFUSED)
def test_it_is_refused_before_it_acts(attack: str, copy: Path, mark: Path, planted: str) -> None:
    start = time.perf_counter()
    REFUSED[attack](copy, mark)
    refused(form, copy, mark, r"model\.pt2")
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("attack", WORKING)
def test_without_the_screen_it_would_have_acted(
    attack: str, copy: Path, mark: Path, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"inputs": ["pixels"], "outputs": ["logits"]}
    monkeypatch.setattr(LOADS, "screen", lambda directory: None)
    monkeypatch.setattr(LOADS._archive, "signature", lambda directory: names)
    serde = logging.getLogger("torch._export.serde.serialize")
    monkeypatch.setattr(serde, "disabled", True)  # its warning has an argument too few
    WORKING[attack](copy, mark)
    with contextlib.suppress(Exception):
        form.load(copy)(pixels(2))
    assert mark.exists()


@pytest.mark.parametrize("file", ["model.pt2", "optimizer.pt"])
@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_archive_is_refused(name: str, file: str, copy: Path, mark: Path) -> None:
    FORGERIES[name](copy / file)
    with pytest.raises(ValueError, match=file):
        form.screen(copy)
    with pytest.raises(ValueError, match=file):
        form.load_training(copy)


def of_pickle(content: bytes) -> Callable[[Path, Path], None]:
    def attack(directory: Path, _: Path) -> None:
        def change(members: dict[str, bytes]) -> None:
            members["archive/data.pkl"] = content

        edited(directory / form.OPTIMIZER, change)

    return attack


def legacy(directory: Path, mark: Path) -> None:
    torch.save({"class": "Adam"}, directory / form.OPTIMIZER, _use_new_zipfile_serialization=False)


def tar(directory: Path, mark: Path) -> None:
    with tarfile.open(directory / form.OPTIMIZER, "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(pickled(mark))
            archive.addfile(info, io.BytesIO(pickled(mark)))


def stored(directory: Path, **change: Any) -> None:
    content = torch.load(directory / form.OPTIMIZER, weights_only=True) | change
    (directory / form.OPTIMIZER).write_bytes(saved(content))


def enlarged(directory: Path, _: Path) -> None:
    """Says in the pickle that a storage of eight numbers has 4,096."""
    numbers = torch.arange(8.0)
    (directory / form.OPTIMIZER).write_bytes(saved({"x": numbers}))
    content = members(directory / form.OPTIMIZER)
    (name,) = [each for each in content if each.endswith("data.pkl")]
    whole = (
        content[name].replace(b"K\x08tq", b"M\x00\x10tq").replace(b"K\x08\x85", b"M\x00\x10\x85")
    )
    assert whole != content[name]
    packed(directory / form.OPTIMIZER, content | {name: whole})


def doubled(empty: bytes, pair: bytes) -> bytes:
    """A pickle's tuple of twice a tuple of twice a tuple, sixty deep: memo 0 holds it."""
    return b"\x80\x02" + empty + b"q\0" + (b"h\0h\0" + pair + b"q\0") * 60


def nest(depth: int) -> list:
    inner: list = []
    for _ in range(depth):
        inner = [inner, inner]
    return inner


def endless() -> dict:
    value: dict = {}
    value["state"] = value
    return value


OPTIMIZERS: dict[str, Callable[[Path, Path], None]] = {
    "a pickle": lambda d, mark: (d / form.OPTIMIZER).write_bytes(saved_touch(mark)),
    "a bare pickle": lambda d, mark: (d / form.OPTIMIZER).write_bytes(pickled(mark)),
    "the format before zip": legacy,
    "the format before that": tar,
    "a storage larger than it is": enlarged,
    "another member": lambda d, mark: edited(
        d / form.OPTIMIZER, lambda m: m.update({"archive/constants.pkl": pickled(mark)})
    ),
    "a class that is a path": lambda d, _: stored(d, **{"class": "swa_utils.AveragedModel"}),
    "a class of another module": lambda d, _: stored(d, **{"class": "os.system"}),
    "a class that is a function": lambda d, _: stored(d, **{"class": "lr_scheduler"}),
    "a class that is no name": lambda d, _: stored(d, **{"class": 7}),
    "a scheduler that is none": lambda d, _: stored(
        d, scheduler={"class": "Callable", "arguments": {}, "state": {}}
    ),
    "a class that is known to be none": lambda d, _: stored(d, **{"class": "Optimizer"}),
    "a scheduler that is made of functions": lambda d, _: stored(
        d, scheduler={"class": "LambdaLR", "arguments": {"lr_lambda": None}, "state": {}}
    ),
    "an argument of Python's own": lambda d, _: stored(d, arguments={"__class__": 1}),
    "a state of Python's own": lambda d, _: stored(
        d, scheduler={"class": "StepLR", "arguments": {"step_size": 1}, "state": {"__dict__": 1}}
    ),
    "a parameter that is no name": lambda d, _: stored(d, params=[[["x"]]]),
    "a seed that is a text": lambda d, _: stored(d, seed="7"),
    "a norm that is a list": lambda d, _: stored(d, clip_norm=[1.0]),
    "a key more": lambda d, _: stored(d, planted=1),
    "a key that is hashed for ever": of_pickle(doubled(b")", b"\x86") + b"}h\0Ns."),
    "keys that are hashed for ever": of_pickle(doubled(b")", b"\x86") + b"}(h\0Nu."),
    "a storage that is hashed for ever": of_pickle(doubled(b")", b"\x86") + b"h\0Q."),
    "a shape that is told for ever": of_pickle(
        doubled(b")", b"\x86") + b"ctorch._utils\n_rebuild_tensor_v2\n(K\1K\0h\0)t\x52."
    ),
    "a Counter of what is hashed for ever": of_pickle(
        doubled(b")", b"\x86") + b"ccollections\nCounter\n(h\0t\x52."
    ),
    "a class that is told for ever": lambda d, _: stored(d, **{"class": nest(60)}),
    "values that are walked for ever": lambda d, _: stored(d, state={"state": nest(60)}),
    "values without an end": lambda d, _: stored(d, state=endless()),
    "a global": of_pickle(b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85R."),
    "a memo without end": of_pickle(b"\x80\x02Kxr\xff\xff\xff\x7f."),
    "a text without end": of_pickle(b"\x80\x02X\xff\xff\xff\x7fx."),
    "a nest": of_pickle(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."),
    "a list": of_pickle(b"\x80\x02]."),
    "nothing": of_pickle(b""),
}


@pytest.mark.parametrize("attack", OPTIMIZERS)
def test_an_optimizers_file_is_plain_or_refused(attack: str, copy: Path, mark: Path) -> None:
    OPTIMIZERS[attack](copy, mark)
    with pytest.raises(ValueError, match="optimizer.pt") as raised:
        form.load_training(copy)
    assert "\n" not in str(raised.value)
    assert not mark.exists()


def test_classes_that_the_process_trusts_are_not_trusted_here(
    copy: Path, mark: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (copy / form.OPTIMIZER).write_bytes(saved_touch(mark))
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    trusted = torch.serialization.safe_globals([PosixPath, Path.touch, getattr])
    with trusted, pytest.raises(ValueError, match=r"optimizer\.pt"):
        form.load_training(copy)
    assert not mark.exists()


def test_what_it_writes_itself_passes(copy: Path) -> None:
    form.screen(copy)
    form.load_training(copy).save(copy)
    form.screen(copy)


@pytest.fixture(scope="module")
def schemas() -> dict[str, Any]:
    return torch_operators.registered()


@pytest.fixture(scope="module")
def looked_at() -> tuple[set[str], dict[str, list[str]]]:
    """What is let in, and what is not, as the files say."""
    return set(form.OPERATORS), json.loads(torch_operators.REFUSED.read_text())


def told(now: dict[str, Any], later: dict[str, Any], lists: Any) -> list[str]:
    """What a later torch changes; tests of other modules register operators of their own."""
    before = torch_operators.differences(now, (), *lists)
    return [each for each in torch_operators.differences(later, (), *lists) if each not in before]


def test_the_lists_are_those_of_the_installed_torch() -> None:
    """What a new version brings, operators or optimizers, stands here line by line: `python -m
    scripts.torch_operators` writes it down, and whoever commits that has looked at it."""
    command = [sys.executable, "-m", "scripts.torch_operators", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize(
    ("target", "taken"),
    {
        "torch.ops.aten.some_future_op_that_writes.default": "some_future_op_that_writes(Tensor x)",
        "torch.ops.aten.relu.of_a_later_version": "relu.of_a_later_version(Tensor self)",
        "torch.ops.aten.of_a_text.default": "of_a_text(str path)",
        "torch.ops.a_new_namespace.relu.default": "relu(Tensor self)",
    }.items(),
)
def test_what_a_later_torch_brings_is_refused_and_told(
    target: str,
    taken: str,
    schemas: dict[str, Any],
    looked_at: tuple[set[str], dict[str, list[str]]],
) -> None:
    later = schemas | {target: torch._C.parse_schema(f"{taken} -> Tensor")}
    (line,) = told(schemas, later, looked_at)
    assert target in line and line.startswith("new")
    assert not form.is_operator(target)


def test_what_runs_graphs_or_functions_is_told(
    schemas: dict[str, Any], looked_at: tuple[set[str], dict[str, list[str]]]
) -> None:
    now = torch_operators.differences(schemas, torch_operators.others(), *looked_at)
    later = {"torch.ops.higher_order.runs_a_file", *torch_operators.others()}
    (line,) = set(torch_operators.differences(schemas, later, *looked_at)) - set(now)
    assert line == "new: torch.ops.higher_order.runs_a_file"


def test_what_is_let_in_and_no_longer_there_is_told(
    schemas: dict[str, Any], looked_at: tuple[set[str], dict[str, list[str]]]
) -> None:
    relu = "torch.ops.aten.relu.default"
    rest = {target: schema for target, schema in schemas.items() if target != relu}
    (line,) = told(schemas, rest, looked_at)
    assert line.startswith("gone") and relu in line
    changed = schemas | {relu: torch._C.parse_schema("relu(Tensor self, str path) -> Tensor")}
    (line,) = told(schemas, changed, looked_at)
    assert line.startswith("gone") and relu in line


def test_each_operator_that_is_let_in_is_there() -> None:
    for target in form.OPERATORS:
        found: Any = SimpleNamespace(torch=torch, math=math, _operator=_operator)
        for name in target.split("."):
            found = getattr(found, name)
        assert callable(found), target


@pytest.mark.parametrize(
    "operator",
    [
        *("aten.from_file.default", "aten.save.default", "aten.record_stream.default"),
        *("aten._print.default", "aten.warn.default", "aten.to_here.default"),
        *("aten.manual_seed.default", "aten.set_.source_Storage"),
        *("aten.fbgemm_linear_fp16_weight.default", "aten.add.str", "aten.list.t"),
        *("aten.copy.Dict_str", "higher_order.print", "higher_order.call_torchbind"),
        *("higher_order.with_effects", "higher_order.aoti_call_delegate"),
        *("higher_order.triton_kernel_wrapper_mutation", "prim.PythonOp.default"),
        *("profiler._record_function_enter.default", "quantized.linear.default"),
        *("inductor.resize_storage_bytes_.default", "_c10d_functional.all_reduce.default"),
        *("debugprims.load_tensor.default", "aten.relu", "aten.relu.default.default", "aten"),
    ],
)
def test_it_is_not_let_in(operator: str) -> None:
    assert not form.is_operator(f"torch.ops.{operator}")


def test_the_fields_of_a_program_are_those_that_torch_reads() -> None:
    """A field that torch adds is refused until somebody has said here what it may hold."""
    from torch._export.serde import schema

    for name, fields in form.FIELDS.items():
        read = getattr(schema, "SymInt" if name == "Size" else name)
        assert {each.name for each in dataclasses.fields(read)} == set(fields), name
    held = {each.strip("[]{}") for fields in form.FIELDS.values() for each in fields.values()}
    assert held <= {*form.FIELDS, *form.CHECKS}


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    file=st.sampled_from([form.FILE, form.OPTIMIZER]),
)
@example(place=0.998932044055593, bit=0, file=form.FILE)  # one of several disks, for zipfile
def test_one_changed_bit_is_let_in_or_refused_and_frees_no_attack(
    place: float, bit: int, file: str, written: Path, tmp_path: Path
) -> None:
    mark, directory = tmp_path / "mark", tmp_path / "changed"
    if not directory.is_dir():
        copied(written, directory)
        copied(written, tmp_path / "attacked")
        pickled_inputs(tmp_path / "attacked", mark)
        (tmp_path / "attacked" / form.OPTIMIZER).unlink()
    whole = bytearray((written / file).read_bytes())
    whole[int(place * len(whole))] ^= 1 << bit
    (directory / file).write_bytes(whole)
    with contextlib.suppress(ValueError):
        form.screen(directory)
    (directory / file).write_bytes((written / file).read_bytes())
    attacked = tmp_path / "attacked" / form.FILE
    before = attacked.read_bytes()
    changed = bytearray(before)
    changed[int(place * len(changed))] ^= 1 << bit
    attacked.write_bytes(changed)
    with pytest.raises(ValueError):
        form.screen(tmp_path / "attacked")
    attacked.write_bytes(before)
    assert not mark.exists()
