"""`model.pt2`: what `torch.export` makes of a model, with no pickle, path or line of source in it.

`torch.export.load` trusts its file: it unpickles sample inputs and marked weights, evaluates shape
expressions as Python, looks operators up by any name under `torch`, and writes node names into code
that it compiles. So `load` reads the archive first and refuses what could carry code, and `export`
holds its own result to the same rules.
"""

import ast
import json
import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

Arrays = dict[str, np.ndarray]

PROMISES = {
    "code_free": True,
    "safe_to_load": True,
    "trainable": False,
    "same_bytes": True,
    "runtimes": ["torch"],
    "note": "Evaluation mode is baked in; it takes PyTorch's own operators and PyTorch to read.",
}
REQUIRES = ("torch", "numpy")
AFTER: tuple[str, ...] = ()

FRAMEWORKS = ("pytorch",)
FILE = "model.pt2"
PROGRAM = "model"
SIGNATURE = "signature.json"
EXAMPLE_ROWS = 3  # neither 0, 1 nor the model's own sizes decide what is traced

MEMBER = re.compile(
    r"(?P<root>[\w-]+)/(archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|models/\w+\.json|data/sample_inputs/\w+\.pt|extra/[\w.]+"
    r"|data/weights/(weight_\d+|\w+_weights_config\.json)"
    r"|data/constants/(tensor_\d+|\w+_constants_config\.json))"
)
PAYLOAD = re.compile(r"(weight|tensor)_\d+")
OPERATOR = re.compile(
    r"torch\.ops\.(aten\.(?!from_file\b)\w+\.\w+|prims\.\w+\.\w+)"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|flex_attention)"
    r"|torch\.sym_\w+|torch\._sym_\w+|math\.(ceil|floor|trunc|sqrt|log2)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs"
    r"|eq|ne|lt|le|gt|ge|and_|or_|not_)"
)
GUARD = re.compile(
    r"(L\['\w+'\]\.(size|stride)\(\)\[\d+\]|\b(and|or|not|True|False)\b|[\d\s()+\-*/%<>=!])*"
)
PLAIN = re.compile(r"[\w.]*")
INERT_NAME = re.compile(r"z?[su]f?\d+|-?\d+")  # a symbol, or a number as sympy writes it
TREE = re.compile(r'[\w\s.,:\[\]{}"\\-]*')
SYMBOLIC = frozenset(
    re.findall(
        r"\w+",
        """Symbol Integer Float Rational Add Mul Pow Max Min Mod Abs floor ceiling And Or Not
        Equality Unequality LessThan GreaterThan StrictLessThan StrictGreaterThan
        Eq Ne Le Ge Lt Gt FloorDiv CeilDiv CleanDiv ModularIndexing Where PythonMod LShift RShift
        CeilToInt FloorToInt TruncToInt RoundToInt TruncToFloat ToFloat RoundDecimal
        PowByNatural FloatPow FloatTrueDiv IntTrueDiv Identity""",
    )
)
# torch._export.serde.schema.ScalarType. What numpy lacks is given as unsigned integers of its size.
DTYPES = dict(
    enumerate(
        re.findall(
            r"\w+",
            """uint8 int8 int16 int32 int64 float16 float32 float64 uint32 complex64 complex128
            bool uint16""",
        ),
        start=1,
    )
) | {28: "uint16", 34: "uint32", 35: "uint64"}


def export(model: "nn.Module", inputs: Arrays, outputs: list[str], directory: Path) -> None:
    """Writes program `model` for any number of rows from 0 up; same model, same bytes, anywhere.

    ValueError in one line when the model does not fit. A second program over the same weights would
    be another entry of `exported_programs`, its weights config pointed at the first's payloads.
    """
    from torch.export.pt2_archive._package import package_pt2

    program = capture(model, inputs, outputs)
    _strip(program)
    signature = json.dumps({"inputs": list(inputs), "outputs": outputs})
    # Written by path, the archive's root is named after FILE, and no second copy is held.
    package_pt2(
        directory / FILE, exported_programs={PROGRAM: program}, extra_files={SIGNATURE: signature}
    )
    try:
        refuse_code(directory / FILE)
    except ValueError as error:
        (directory / FILE).unlink()
        raise ValueError(
            f"torch_export: this model cannot be held as plain data: {error}"
        ) from error


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Runs nothing but PyTorch's own operators; ValueError when the file holds anything else."""
    import torch

    refuse_code(directory / FILE)
    with zipfile.ZipFile(directory / FILE) as archive:
        names = json.loads(_read(archive, f"extra/{SIGNATURE}"))
    module = torch.export.load(directory / FILE).module()

    def predict(inputs: Arrays) -> Arrays:
        tensors = [
            torch.from_numpy(np.require(inputs[name], None, ["C", "W"])) for name in names["inputs"]
        ]
        with torch.no_grad():
            found = module(*tensors)
        found = found if isinstance(found, (tuple, list)) else (found,)
        return {name: each.numpy() for name, each in zip(names["outputs"], found, strict=True)}

    return predict


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Parameters, buffers, constants in one piece: name -> (file, offset, nbytes, numpy dtype)."""
    with zipfile.ZipFile(directory / FILE) as archive:
        return {
            name: (FILE, *_place(archive, folder, meta))
            for folder in ("weights", "constants")
            for name, meta in _payloads(archive, folder)
            if _contiguous(meta["tensor_meta"])
        }


def card(inputs: list[str], outputs: list[str]) -> str:
    arguments = ", ".join(f'torch.from_numpy(example["input.{name}"])' for name in inputs)
    return (
        "import numpy, torch\n"
        'example = numpy.load("examples/one.npz")\n'
        f'predict = torch.export.load("{FILE}").module()\n'
        "with torch.no_grad():\n"
        f"    outputs = predict({arguments})"
    )


def capture(model: "nn.Module", inputs: Arrays, outputs: list[str]) -> "ExportedProgram":
    """One program for every number of rows; ValueError in one line when there is none.

    RuntimeError is what all of torch's tracing errors are; a model that ran before has no other
    cause for it.
    """
    import torch

    if any(module.training for module in model.modules()):
        raise ValueError("torch_export: found the model in training mode, expected model.eval()")
    rows = torch.export.Dim("batch", min=0)
    shapes = tuple({0: rows} for _ in inputs)
    examples = tuple(
        torch.from_numpy(np.resize(each, (EXAMPLE_ROWS, *each.shape[1:])))
        for each in inputs.values()
    )
    try:
        program = torch.export.export(model, examples, dynamic_shapes=shapes)
    except RuntimeError as error:
        raise ValueError(
            f"torch_export: this model cannot be traced: {in_one_line(error)}"
        ) from error
    _check_outputs(program, outputs)
    _check_operators(program)
    return program


def in_one_line(error: BaseException) -> str:
    """What torch says about its cause, and the line of the model that it blames."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reasons = [line for line in lines[1:] if line.startswith("- ")]
    marks = [n for n, line in enumerate(lines) if line.startswith("The following call raised")]
    blamed = lines[marks[0] + 1 : marks[0] + 3] if marks else []
    return " ".join([*lines[:1], *reasons, *blamed]) or type(error).__name__


def _check_outputs(program: "ExportedProgram", outputs: list[str]) -> None:
    from torch.export.graph_signature import TensorArgument

    tree = program.call_spec.out_spec
    flat = tree.is_leaf() or (
        tree.type in (tuple, list) and all(c.is_leaf() for c in tree.children())
    )
    kinds = [type(spec.arg) for spec in program.graph_signature.output_specs if _is_answer(spec)]
    if not flat or len(kinds) != len(outputs) or set(kinds) != {TensorArgument}:
        found = f"{len(kinds)} values as {tree}".replace("\n", " ")
        raise ValueError(
            f"torch_export: forward returned {found}, expected one tensor each for {outputs}"
        )


def _is_answer(spec: Any) -> bool:
    return bool(spec.kind.name == "USER_OUTPUT")


def _check_operators(program: "ExportedProgram") -> None:
    from torch._ops import OpOverload

    for node in _nodes(program):
        if isinstance(node.target, OpOverload) and node.target.namespace not in ("aten", "prims"):
            raise ValueError(
                f"torch_export: operator {node.target} is not PyTorch's own and needs its "
                "library to load; write it with torch functions or leave this format out"
            )


def _nodes(program: "ExportedProgram") -> Iterator[Any]:
    from torch.fx import GraphModule

    for module in program.graph_module.modules():
        if isinstance(module, GraphModule):
            yield from module.graph.nodes


def _strip(program: "ExportedProgram") -> None:
    """Leaves the shapes alone: the rest is stack traces, source lines and class names."""
    for node in _nodes(program):
        node.meta = {key: value for key, value in node.meta.items() if key == "val"}
    program._example_inputs = None  # written as 0 bytes, where it would be a pickle


def refuse_code(path: Path) -> None:
    """ValueError unless every member is plain data, and every name and expression in it inert."""
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path}: not a .pt2 archive; export it again")
    with zipfile.ZipFile(path) as archive:
        _check_members(archive, path)
        for info in archive.infolist():
            content = _json(archive, info)
            if info.filename.endswith("_config.json"):
                _check_payloads(content["config"], f"{path}: {info.filename}")
            elif "/models/" in info.filename:
                _check_program(content, f"{path}: {info.filename}")


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    """torch and zipfile must see the same: stored members, each once, nothing before or after."""
    infos = archive.infolist()
    matches = [MEMBER.fullmatch(info.orig_filename) for info in infos]
    roots = {match["root"] for match in matches if match}
    for info, match in zip(infos, matches, strict=True):
        pickled = "/sample_inputs/" in info.filename and info.file_size > 0
        if match is None or pickled or info.compress_type != zipfile.ZIP_STORED:
            raise ValueError(
                f"{path}: member {info.orig_filename!r} may hold a pickle or code, expected plain "
                "tensors and JSON; do not load it"
            )
    twice = len(set(archive.namelist())) < len(infos)
    hidden = archive.comment or min((info.header_offset for info in infos), default=1) > 0
    if twice or hidden or len(roots) != 1:
        raise ValueError(
            f"{path}: malformed archive, expected one root folder and each member once"
        )


def _json(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    return json.loads(archive.read(info)) if info.filename.endswith(".json") else None


def _check_payloads(config: dict[str, Any], where: str) -> None:
    for name, meta in config.items():
        if meta["use_pickle"] is not False or not PAYLOAD.fullmatch(meta["path_name"]):
            raise ValueError(
                f"{where}: {name!r} is stored as a pickle, expected raw bytes; do not load it"
            )


def _check_program(value: Any, where: str, key: str = "") -> None:
    """Walks a program's JSON: every string in it must be inert where torch will use it."""
    if isinstance(value, dict):
        for name, each in value.items():
            _check_text(name, "", where)
            _check_program(each, where, name)
    elif isinstance(value, list):
        for each in value:
            _check_program(each, where, key)
    elif isinstance(value, str):
        _check_text(value, key, where)


def _check_text(text: str, key: str, where: str) -> None:
    if key in ("as_string", "as_strings", "torch_version"):
        return  # reach operators as values only
    if key in ("target", "as_operator"):
        inert = OPERATOR.fullmatch(text) is not None
    elif key == "expr_str":
        inert = _symbolic(text)
    elif key == "guards_code":
        inert = GUARD.fullmatch(text) is not None
    elif key in ("in_spec", "out_spec"):
        inert = TREE.fullmatch(text) is not None and "__" not in text
    else:
        inert = PLAIN.fullmatch(text) is not None
    if not inert:
        raise ValueError(
            f"{where}: {key or 'name'} {text!r} could run code, expected torch's own operators and "
            "plain names; do not load it"
        )


def _symbolic(text: str) -> bool:
    """Whether a shape expression is of numbers, symbols and SYMBOLIC alone: sympy evaluates it."""
    try:
        tree = ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    harmless = (
        ast.Expression,
        ast.Load,
        ast.keyword,
        ast.BinOp,
        ast.UnaryOp,
        ast.operator,
        ast.unaryop,
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            fine = isinstance(node.func, ast.Name) and node.func.id in SYMBOLIC
        elif isinstance(node, ast.Name):
            fine = node.id in SYMBOLIC or INERT_NAME.fullmatch(node.id) is not None
        elif isinstance(node, ast.Constant):
            fine = not isinstance(node.value, str) or INERT_NAME.fullmatch(node.value) is not None
        else:
            fine = isinstance(node, harmless)
        if not fine:
            return False
    return True


def _read(archive: zipfile.ZipFile, member: str) -> bytes:
    root = archive.namelist()[0].split("/")[0]
    return archive.read(f"{root}/{member}")


def _payloads(archive: zipfile.ZipFile, folder: str) -> list[tuple[str, dict[str, Any]]]:
    config = json.loads(_read(archive, f"data/{folder}/{PROGRAM}_{folder}_config.json"))["config"]
    return list(config.items())


def _contiguous(tensor: dict[str, Any]) -> bool:
    expected = 1
    for size, stride in zip(reversed(tensor["sizes"]), reversed(tensor["strides"]), strict=True):
        if size["as_int"] != 1 and stride["as_int"] != expected:
            return False
        expected *= size["as_int"]
    return True


def _place(archive: zipfile.ZipFile, folder: str, meta: dict[str, Any]) -> tuple[int, int, str]:
    """Data lies behind a local header: 30 bytes, then name and padding of the lengths it gives."""
    root = archive.namelist()[0].split("/")[0]
    info = archive.getinfo(f"{root}/data/{folder}/{meta['path_name']}")
    assert archive.fp is not None
    archive.fp.seek(info.header_offset + 26)
    start = info.header_offset + 30 + sum(struct.unpack("<HH", archive.fp.read(4)))
    tensor = meta["tensor_meta"]
    dtype = np.dtype(DTYPES.get(tensor["dtype"], "uint8"))
    count = int(np.prod([size["as_int"] for size in tensor["sizes"]], dtype=np.int64))
    return (
        start + tensor["storage_offset"]["as_int"] * dtype.itemsize,
        count * dtype.itemsize,
        dtype.name,
    )
