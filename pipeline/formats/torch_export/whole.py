"""`model.pt2`: what `torch.export` makes of a model, with no pickle, path or line of source in it.

Program `model` predicts. Program `train` is forward and loss in training mode, over the same single
copy of the weights and with the same names, and program `loss` the loss of predictions alone;
`optimizer.pt` is what a stock optimizer and a stock scheduler need to go on.

`torch.export.load` trusts its file: it unpickles sample inputs and marked weights, evaluates shape
expressions as Python, looks operators up by any name under `torch`, and writes node names into code
that it compiles. So `load` reads the archive first and refuses what could carry code, and `export`
holds its own result to the same rules.
"""

import ast
import copy
import inspect
import io
import json
import math
import pickle
import pickletools
import re
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._json import LIMIT, parse
from .._zip import Span, data_offset, read_span, spans

if TYPE_CHECKING:
    from torch import nn
    from torch.export import ExportedProgram

Arrays = dict[str, np.ndarray]


FILE = "model.pt2"
OPTIMIZER = "optimizer.pt"
PROGRAM = "model"
TRAIN, LOSS = "train", "loss"
SIGNATURE = "signature.json"
EXAMPLE_ROWS = 3  # neither 0, 1 nor the model's own sizes decide what is traced

MEMBER = re.compile(
    r"(?P<root>[\w-]+)/(archive_format|archive_version|byteorder|\.data/(version|serialization_id)"
    r"|models/\w+\.json|data/sample_inputs/\w+\.pt|extra/[\w.]+"
    r"|data/weights/(weight_\d+|\w+_weights_config\.json)"
    r"|data/constants/(tensor_\d+|\w+_constants_config\.json))"
)
PAYLOAD = re.compile(r"(weight|tensor)_\d+")
# Of torch's own operators those that touch nothing but tensors: none that writes a file (save),
# maps one (from_file) or prints, none that takes bytes for pointers or unchecked indices.
OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!(from_file|save|warn|set_?|set_data|record_stream|data|pin_memory"
    r"|(fbgemm|mkldnn|miopen|cudnn|quantized|q|sparse_\w+_tensor)(_\w+)?)\.)"
    r"([a-z]\w*|__\w+__|_(native_batch_norm|batch_norm|log_softmax|softmax|safe_softmax|assert"
    r"|functional_assert|to_copy|scaled_dot_product|flash_attention|weight_norm|unsafe_view"
    r"|unsafe_index|adaptive_avg|fft|cdist|pdist|embedding_bag|convolution|upsample|trilinear"
    r"|local_scalar_dense|shape_as_tensor|set_grad_enabled|conj|neg_view|reshape_alias"
    r"|euclidean_dist|linalg|prelu|unique|thnn_fused|stack|add_relu|grid_sampler|grouped_mm|is_a"
    r"|lu_with_info|chunk_cat|foreach|fused|int_mm|cast|dim_arange|standard_gamma"
    r"|sample_dirichlet|dirichlet_grad|pad|ctc_loss|logcumsumexp|cummax|cummin|histogramdd|masked"
    r"|aminmax|nnpack|use_cudnn_ctc_loss|cholesky|compute_linear_combination|lstm_mps|rnn"
    r"|index_put_impl|transformer_encoder_layer_fwd|native_multi_head_attention|transform_bias"
    r"|pack_padded_sequence|reshape_copy)\w*)\.\w+"
    r"|torch\.ops\.prims\.[a-z]\w*\.\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|associative_scan"
    r"|wrap_with_set_grad_enabled|wrap_with_autocast|flex_attention)"
    r"|torch\.sym_\w+|torch\._sym_\w+|math\.(ceil|floor|trunc|sqrt|log2)"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|abs"
    r"|eq|ne|lt|le|gt|ge|and_|or_|not_)",
    re.ASCII,
)
GUARD = re.compile(  # no powers but small ones, no shifts: Python would compute them
    r"(L\['\w+'\](\[\d+\])?\.(size|stride)\(\)\[\d+\]|\b(and|or|not|True|False)\b"
    r"|(?<!\d)\d{1,19}(?!\d)|(?<!\*)\*(?!\*)|\*\*[23](?![\d\s*]*\*\*)(?!\d)|<(?!<)|>(?!>)"
    r"|[\s()+\-/%=!])*"
)
PLAIN = re.compile(r"[\w.]*")
INERT_NAME = re.compile(r"z?[su]f?\d+|-?\d+")  # a symbol, or a number as sympy writes it
TREES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
EXPRESSION = (
    *(ast.Expression, ast.Load, ast.keyword, ast.BinOp, ast.UnaryOp),
    *(ast.operator, ast.unaryop),
)
GROWS, POWERS = (ast.Pow, ast.LShift), {"Pow", "PowByNatural", "FloatPow", "LShift"}
POWERS |= {"Float", "RoundDecimal"}  # their digits
LARGEST_POWER, LONGEST = 64, 20_000
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

# Limits of what is read before anything is known of it.
PICKLE_LIMIT = 1 << 24
SAVED = re.compile(
    r"[\w-]+/(data\.pkl|byteorder|version|\.format_version|\.storage_alignment"
    r"|\.data/serialization_id|data/\d+)",
    re.ASCII,
)
OPCODES = frozenset(
    re.findall(
        r"\w+",
        """PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT BINUNICODE
        EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS
        BINGET LONG_BINGET BINPUT LONG_BINPUT GLOBAL REDUCE BINPERSID""",
    )
)
PLAIN_CLASSES = {("collections", kind.__name__): kind for kind in (OrderedDict, Counter)}
STORAGES = {"DoubleStorage": 8, "FloatStorage": 4, "HalfStorage": 2, "BFloat16Storage": 2}
STORAGES |= {"LongStorage": 8, "IntStorage": 4, "ShortStorage": 2, "CharStorage": 1}
STORAGES |= {"ByteStorage": 1, "BoolStorage": 1, "ComplexFloatStorage": 8}
STORAGES |= {"ComplexDoubleStorage": 16}
UNREADABLE = (
    *(pickle.UnpicklingError, EOFError, TypeError, ValueError, AttributeError, IndexError),
    *(KeyError, OverflowError, RecursionError, MemoryError, struct.error),
)


def export(
    model: "nn.Module",
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    target: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Writes program `model` for any number of rows from 0 up; same model, same bytes, anywhere.

    With `training` (net, loss, optimizer, scheduler, clip_norm), whose net is the model, and an
    example of its `target` also programs `train` and `loss` and optimizer.pt; `seed` is of the
    random numbers of its next step. ValueError in one line when the model does not fit.
    """
    programs = {PROGRAM: capture(model, inputs, outputs)}
    saved = None
    if training is not None:
        assert target is not None
        saved = _optimizer(training, seed)
        programs |= _capture_step(training, inputs, target)
    for program in programs.values():
        _strip(program)
    _write(directory, programs, {"inputs": list(inputs), "outputs": outputs}, saved)


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """Runs nothing but PyTorch's own operators; ValueError when the file holds anything else."""
    import torch

    screen(directory)
    with zipfile.ZipFile(directory / FILE) as archive:
        names = json.loads(_read(archive, f"extra/{SIGNATURE}"))
    module = torch.export.load(directory / FILE).module()
    return lambda inputs: _predict(module, inputs, names)


def _predict(module: Any, inputs: Arrays, names: dict[str, list[str]]) -> Arrays:
    import torch

    with torch.no_grad():
        found = module(*_tensors(inputs, names["inputs"]))
    found = found if isinstance(found, (tuple, list)) else (found,)
    return {name: each.numpy() for name, each in zip(names["outputs"], found, strict=True)}


def _tensors(inputs: Arrays, names: list[str]) -> list[Any]:
    return [_tensor(inputs[name]) for name in names]


def _tensor(array: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(np.require(array, None, ["C", "W"]))


class Trainer:
    """Goes on training with what `load_training` found; from step to step it keeps its state."""

    def __init__(self, directory: Path):
        import torch
        from torch.export.pt2_archive._package import load_pt2

        contents = load_pt2(directory / FILE)
        self.programs = contents.exported_programs
        self.names = json.loads(contents.extra_files[SIGNATURE])
        self.model, self.train, self.loss = (
            self.programs[each].module() for each in (PROGRAM, TRAIN, LOSS)
        )
        self.saved = torch.load(directory / OPTIMIZER, weights_only=True)
        self.weights = dict(self.train.named_parameters())
        self.optimizer, self.scheduler = _restore(self.saved, self.weights)
        self.seed(self.saved["seed"])

    def seed(self, value: int) -> None:
        """Of the random numbers from here on; `save` keeps it for the next step after loading."""
        import torch

        self.saved["seed"] = value
        torch.manual_seed(value)

    def step(self, inputs: Arrays, target: np.ndarray) -> np.ndarray:
        """One step from where the one before left it; its loss, shape ()."""
        import torch

        loss = self.train(*_tensors(inputs, self.names["inputs"]), _tensor(target))
        self.train.zero_grad()
        loss.backward()
        if self.saved["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(self.weights.values(), self.saved["clip_norm"])
        self.optimizer.step()
        return np.asarray(loss.detach())

    def end_epoch(self) -> None:
        """Brings the learning rate to that of the next epoch."""
        if self.scheduler is not None:
            self.scheduler.step()

    def set_learning_rate(self, value: float) -> None:
        """Of every group. ValueError where a schedule sets it."""
        if self.scheduler is not None:
            raise ValueError(f"the schedule {self.saved['scheduler']['class']} sets it")
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def predict(self, inputs: Arrays) -> Arrays:
        """With the weights as they are now."""
        self._hand_over()
        return _predict(self.model, inputs, self.names)

    def evaluate(self, inputs: Arrays, target: np.ndarray) -> tuple[Arrays, np.ndarray]:
        """Answers in evaluation mode, and their loss, shape ()."""
        import torch

        answers = self.predict(inputs)
        with torch.no_grad():
            loss = self.loss(*_tensors(answers, self.names["outputs"]), _tensor(target))
        return answers, np.asarray(loss)

    def predictor(self) -> "nn.Module":
        """For formats that are made from a module in evaluation mode."""
        self._hand_over()
        for module in self.model.modules():
            module.training = False  # baked in; eval() of an exported program raises
        return self.model

    def _hand_over(self) -> None:
        """Program `train` lacks second names of a weight, the others what they have no use for."""
        for program in (self.model, self.loss):
            program.load_state_dict(self.train.state_dict(), strict=False)

    def state(self) -> Arrays:
        """net/<name> of every weight and buffer, loss/<name> of the loss' own, and
        optimizer/<parameter>/<slot> of what it keeps."""
        import torch

        self._hand_over()
        found = {f"net/{name}": each for name, each in self.model.state_dict().items()}
        for name, each in self.train.state_dict().items():
            if f"net/{name}" not in found:
                found[f"loss/{name.partition('.')[2]}"] = each
        for name, weight in self.weights.items():
            kept = self.optimizer.state.get(weight, {})
            found |= {f"optimizer/{name}/{k}": torch.as_tensor(v) for k, v in kept.items()}
        return {name: each.detach().numpy().copy() for name, each in found.items()}

    def save(self, directory: Path) -> None:
        """Both files anew, from which `load` and `load_training` go on as this would."""
        self._hand_over()
        saved = self.saved | {"state": self.optimizer.state_dict()}
        if self.scheduler is not None:
            saved["scheduler"] = self.saved["scheduler"] | {"state": self.scheduler.state_dict()}
        _write(directory, self.programs, self.names, saved)


def load_training(directory: Path) -> Trainer:
    """Seeds torch as the source would have before its next step. Runs nothing but PyTorch's own
    operators; ValueError when there is no program to train."""
    screen(directory)
    if not (directory / OPTIMIZER).is_file():
        raise ValueError(f"{directory}: has no {OPTIMIZER}: exported to predict, not to train on")
    return Trainer(directory)


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Parameters, buffers, constants in one piece: name -> (file, offset, nbytes, numpy dtype)."""
    with zipfile.ZipFile(directory / FILE) as archive:
        return {
            name: (FILE, *_place(archive, folder, meta))
            for folder in ("weights", "constants")
            for name, meta in _payloads(archive, folder)
            if _contiguous(meta["tensor_meta"])
        }


def optimizer_state(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    """Where its tensors lie, as weights(); by their number, for only torch can tell their names."""
    if not (directory / OPTIMIZER).is_file():
        return {}
    with zipfile.ZipFile(directory / OPTIMIZER) as archive:
        return {
            name.partition("/")[2]: (OPTIMIZER, data_offset(archive, info), info.file_size, "uint8")
            for name, info in archive.NameToInfo.items()
            if "/data/" in name
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


def training_card(inputs: list[str], outputs: list[str], directory: Path) -> str:
    """Only the lines that this model's optimizer needs."""
    import torch

    saved = torch.load(directory / OPTIMIZER, weights_only=True)
    given = ", ".join(f'torch.from_numpy(data["input.{name}"][rows])' for name in inputs)
    first = ", ".join(f'torch.from_numpy(data["input.{name}"])' for name in inputs)
    lines = [
        "import numpy, torch",
        "from torch.export.pt2_archive._package import load_pt2",
        "",
        'data = numpy.load("examples/training.npz")',
        f'saved = torch.load("{OPTIMIZER}", weights_only=True)',
        f'programs = load_pt2("{FILE}").exported_programs',
        f'train, predict = programs["{TRAIN}"].module(), programs["{PROGRAM}"].module()',
        "weights = dict(train.named_parameters())",
        'groups = [{"params": [weights[n] for n in names]} for names in saved["params"]]',
        f'optimizer = torch.optim.{saved["class"]}(groups, **saved["arguments"])',
    ]
    if saved["scheduler"]:
        kind = f"torch.optim.lr_scheduler.{saved['scheduler']['class']}"
        lines.append(f'scheduler = {kind}(optimizer, **saved["scheduler"]["arguments"])')
        lines.append('scheduler.load_state_dict(saved["scheduler"]["state"])')
    lines += ['optimizer.load_state_dict(saved["state"])', 'torch.manual_seed(saved["seed"])']
    lines += [
        'for step, recorded in enumerate(data["loss"]):',
        '    rows = data["step"] == step',
        f'    loss = train({given}, torch.from_numpy(data["target"][rows]))',
        "    train.zero_grad()",
        "    loss.backward()",
    ]
    if saved["clip_norm"] is not None:
        lines.append(
            '    torch.nn.utils.clip_grad_norm_(weights.values(), saved["clip_norm"])',
        )
    lines.append("    optimizer.step()")
    if saved["scheduler"]:
        lines += ['    if data["ends_epoch"][step]:', "        scheduler.step()"]
    lines += [
        '    print(f"loss {loss.item():.6f}, with the source {recorded:.6f}")',
        "",
        "predict.load_state_dict(train.state_dict(), strict=False)",
        f'torch.export.save(programs["{PROGRAM}"], "trained.pt2")',
        "with torch.no_grad():",
        f'    outputs = torch.export.load("trained.pt2").module()({first})',
    ]
    return "\n".join(lines)


def capture(model: "nn.Module", inputs: Arrays, outputs: list[str]) -> "ExportedProgram":
    """One program for every number of rows; ValueError in one line when there is none."""
    if any(module.training for module in model.modules()):
        raise ValueError("torch_export: found the model in training mode, expected model.eval()")
    shapes = tuple({0: _rows()} for _ in inputs)
    program = _trace(model, list(inputs.values()), shapes, "this model cannot be traced")
    _check_outputs(program, outputs)
    _check_operators(program)
    return program


def _rows() -> Any:
    import torch

    return torch.export.Dim("batch", min=0)


def _trace(
    module: "nn.Module", examples: list[np.ndarray], shapes: tuple[Any, ...], fault: str
) -> "ExportedProgram":
    """RuntimeError is what all of torch's tracing errors are; a model that ran before has no other
    cause for it."""
    import torch

    given = tuple(
        torch.from_numpy(np.resize(each, (EXAMPLE_ROWS, *each.shape[1:]))) for each in examples
    )
    try:
        return torch.export.export(module, given, dynamic_shapes=shapes)
    except RuntimeError as error:
        raise ValueError(f"torch_export: {fault}: {in_one_line(error)}") from error


def _capture_step(
    training: Any, inputs: Arrays, target: np.ndarray
) -> dict[str, "ExportedProgram"]:
    """Forward and loss in training mode, and the loss alone; the net's states keep their names."""
    import torch
    from torch import nn

    net, own = training.net, {name.partition(".")[0] for name in training.net.state_dict()}
    called = "loss"
    while called in own:
        called += "_"

    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module(called, training.loss)

        def forward(self, *arguments: Any) -> Any:
            several = isinstance(answers, tuple | list)
            given = type(answers)(arguments[:-1]) if several else arguments[0]
            return training.loss(given, arguments[-1])

    class Step(Loss):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, *arguments: Any) -> Any:
            return training.loss(net(*arguments[:-1]), arguments[-1])

    with torch.no_grad():
        answers = net(*_tensors(inputs, list(inputs)))
    many = answers if isinstance(answers, tuple | list) else [answers]
    before = {module: module.training for module in net.modules()}
    net.train()
    try:
        step = _trace_any([*inputs.values(), target], Step(), "its training step")
    finally:
        for module, mode in before.items():
            module.training = mode
    _rename(step, lambda name: name.removeprefix("net."))
    _join_tied(step, {id(weight): name for name, weight in net.named_parameters()})
    with torch.no_grad():  # as where a loss is only looked at
        loss = _trace_any([*(each.numpy() for each in many), target], Loss(), "its loss")
    return {TRAIN: step, LOSS: loss}


def _trace_any(given: list[np.ndarray], module: "nn.Module", what: str) -> "ExportedProgram":
    """Of a forward that takes *arguments and gives a loss."""
    shapes = (tuple({0: _rows()} for _ in given),)
    program = _trace(module, given, shapes, f"{what} cannot be traced")
    _check_outputs(program, ["loss"])
    _check_operators(program)
    return program


def _rename(program: "ExportedProgram", rename: Callable[[str], str]) -> None:
    """The states', wherever a program speaks of them."""
    signature = program.graph_signature
    for spec in [*signature.input_specs, *signature.output_specs]:
        if spec.target is not None and spec.kind.name != "USER_INPUT_MUTATION":
            spec.target = rename(spec.target)
    program._state_dict = {rename(name): each for name, each in program.state_dict.items()}
    program._constants = {rename(name): each for name, each in program.constants.items()}


def _join_tied(program: "ExportedProgram", names: dict[int, str]) -> None:
    """A weight with two names gets one: torch would load a parameter for each, trained apart."""
    graph, signature = program.graph_module.graph, program.graph_signature
    nodes = {node.name: node for node in graph.nodes}
    weights = {spec.target: spec for spec in signature.input_specs if spec.kind.name == "PARAMETER"}
    for name, spec in weights.items():
        first = names.get(id(program.state_dict[name]), name)
        if first != name:
            twin = nodes[spec.arg.name]
            twin.replace_all_uses_with(nodes[weights[first].arg.name])
            graph.erase_node(twin)
            signature.input_specs.remove(spec)
            del program.state_dict[name]
    program.graph_module.recompile()


def _optimizer(training: Any, seed: int) -> dict[str, Any]:
    """What optimizer.pt holds. ValueError unless torch makes the same optimizer out of it."""
    optimizer, scheduler = training.optimizer, training.scheduler
    names = {id(weight): name for name, weight in training.net.named_parameters()}
    saved: dict[str, Any] = {
        "class": _stock(optimizer, "torch.optim", "optimizer"),
        "arguments": _arguments(optimizer, optimizer.defaults, "optimizer"),
        "params": [[names[id(w)] for w in group["params"]] for group in optimizer.param_groups],
        "state": optimizer.state_dict(),
        "scheduler": None,
        "clip_norm": training.clip_norm,
        "seed": seed,
    }
    if scheduler is not None:
        known = optimizer.param_groups[0] | vars(scheduler)
        del known["last_epoch"]  # where it is, not what it was made with
        saved["scheduler"] = {
            "class": _stock(scheduler, "torch.optim.lr_scheduler", "scheduler"),
            "arguments": _arguments(scheduler, known, "scheduler"),
            "state": scheduler.state_dict(),
        }
    _check_saved(saved, dict(training.net.named_parameters()))
    return saved


def _stock(found: Any, package: str, kind: str) -> str:
    import importlib

    name = type(found).__name__
    if getattr(importlib.import_module(package), name, None) is not type(found):
        where = f"{type(found).__module__}.{name}"
        raise ValueError(
            f"torch_export: the {kind} {where} is not one of {package}, so that it cannot be made "
            "without its source"
        )
    return name


def _arguments(made: Any, known: dict[str, Any], kind: str) -> dict[str, Any]:
    """What it was made with, but for what it was made over; its class says which it takes."""
    _, *parameters = inspect.signature(type(made)).parameters.values()
    found = {each.name: known[each.name] for each in parameters if each.name in known}
    for each in parameters:
        if each.default is each.empty and each.name not in found:
            raise ValueError(
                f"torch_export: the {kind} {type(made).__name__} does not tell the {each.name} it "
                "was made with, so that it cannot be made again"
            )
    lists = {k: sorted(v.elements()) for k, v in found.items() if isinstance(v, Counter)}
    return found | lists


def _restore(saved: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, Any]:
    """Optimizer and scheduler over `weights`, as they were."""
    import torch

    groups = [{"params": [weights[name] for name in names]} for names in saved["params"]]
    made = _of_torch(saved["class"], torch.optim, torch.optim.Optimizer)
    optimizer = made(groups, **saved["arguments"])
    scheduler = saved["scheduler"]
    if scheduler is not None:
        kinds = torch.optim.lr_scheduler
        made = _of_torch(scheduler["class"], kinds, kinds.LRScheduler)
        state, scheduler = scheduler["state"], made(optimizer, **scheduler["arguments"])
        scheduler.load_state_dict(state)
    optimizer.load_state_dict(saved["state"])
    return optimizer, scheduler


def _of_torch(name: str, package: Any, kind: type) -> Any:
    """The file names a class, so it may name nothing else."""
    found = getattr(package, name, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ValueError(
            f"{OPTIMIZER}: {name!r} is no {kind.__name__} of {package.__name__}; do not load it"
        )
    return found


def _check_saved(saved: dict[str, Any], weights: dict[str, Any]) -> None:
    import pickle

    import torch

    made = f"the optimizer {saved['class']}"
    if saved["scheduler"]:
        made += f" with the scheduler {saved['scheduler']['class']}"
    try:
        read = torch.load(io.BytesIO(_saved(saved)), weights_only=True)
        again = [each.state_dict() for each in _restore(read, weights) if each is not None]
    except (pickle.UnpicklingError, TypeError, ValueError, KeyError) as error:
        reason = in_one_line(error)
        raise ValueError(f"torch_export: {made} cannot be made again: {reason}") from error
    before = [saved["state"], *([saved["scheduler"]["state"]] if saved["scheduler"] else [])]
    if [_saved(each) for each in again] != [_saved(each) for each in before]:
        raise ValueError(f"torch_export: {made}, made again, is not in the state that it was in")


def _saved(content: dict[str, Any]) -> bytes:
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _write(
    directory: Path,
    programs: dict[str, "ExportedProgram"],
    names: dict[str, list[str]],
    saved: dict[str, Any] | None,
) -> None:
    """Both files or none. Written by path, the archive's root is named after FILE."""
    import torch
    from torch.export.pt2_archive import PT2ArchiveWriter

    written: dict[str, Any] = {}
    states: dict[str, Any] = {}
    with PT2ArchiveWriter(str(directory / FILE)) as archive:
        for name, program in programs.items():
            ours = _states(program)
            # By value alone two zeros would become one tensor.
            same = [key for key in ours if key in states and _same(ours[key], states[key])]
            written |= _add(archive, name, program, {key: written[key] for key in same})
            states |= ours
        archive.write_string(f"extra/{SIGNATURE}", json.dumps(names))
    if saved is not None:
        with (directory / OPTIMIZER).open("wb") as file:  # a path would put its name into it
            torch.save(saved, file)
    try:
        screen(directory)
    except ValueError as error:
        (directory / FILE).unlink()
        (directory / OPTIMIZER).unlink(missing_ok=True)
        raise ValueError(
            f"torch_export: this model cannot be held as plain data: {error}"
        ) from error


def _states(program: "ExportedProgram") -> dict[str, Any]:
    found = {f"weights/{name}": each for name, each in program.state_dict.items()}
    return found | {f"constants/{name}": each for name, each in program.constants.items()}


def _same(one: Any, other: Any) -> bool:
    import torch

    if one is other:
        return True
    alike = (one.dtype, one.stride(), one.requires_grad) == (
        other.dtype,
        other.stride(),
        other.requires_grad,
    )
    return alike and torch.equal(one, other)


def _add(
    archive: Any, name: str, program: "ExportedProgram", shared: dict[str, Any]
) -> dict[str, Any]:
    """A program and those of its payloads that are not `shared`; all payloads it has.

    As package_pt2 does, which would write the shared ones again.
    """
    from torch._export.serde.serialize import serialize
    from torch.export.pt2_archive import _package

    rest = copy.copy(program)
    rest._state_dict = {k: v for k, v in program.state_dict.items() if f"weights/{k}" not in shared}
    rest._constants = {k: v for k, v in program.constants.items() if f"constants/{k}" not in shared}
    found: dict[str, Any] = {}
    for kind, package in (
        ("weights", _package._package_state_dict),
        ("constants", _package._package_constants),
    ):
        config = package(name, rest, archive)
        known = {k: v for k, v in shared.items() if k.startswith(f"{kind}/")}
        found |= known | {f"{kind}/{each}": meta for each, meta in config.config.items()}
        config.config |= {key.partition("/")[2]: meta for key, meta in known.items()}
        file = f"data/{kind}/{name}_{kind}_config.json"
        _package._package_payload_config(archive, config, file)
    plain = serialize(program, serialize_state_dict=False, serialize_constants=False)
    archive.write_bytes(f"models/{name}.json", plain.exported_program)
    archive.write_bytes(f"data/sample_inputs/{name}.pt", b"")  # would be a pickle
    return found


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


def screen(directory: Path) -> None:
    """ValueError unless all is plain data, and every name and expression in it inert.

    Reads tables, JSON and a pickle's opcodes; torch is not loaded. What a program made of torch's
    own operators computes, for how long and with how much memory, cannot be told from it.
    """
    for file, check in ((FILE, _check_programs), (OPTIMIZER, _check_optimizer)):
        if file == FILE or (directory / file).exists():
            try:
                check(directory / file)
            except (KeyError, TypeError, AttributeError, IndexError, OSError) as error:
                raise ValueError(
                    f"{directory / file}: not laid out as it is written here "
                    f"({type(error).__name__}: {error}); do not load it"
                ) from error


def _check_programs(path: Path) -> None:
    members = spans(path)
    roots = {name.partition("/")[0] for name in members}
    if len(roots) != 1:
        raise ValueError(f"{path}: malformed archive, expected one root folder; do not load it")
    for name, (_, size) in members.items():
        pickled = "/sample_inputs/" in name and size > 0
        if MEMBER.fullmatch(name) is None or pickled:
            raise ValueError(
                f"{path}: member {name!r} may hold a pickle or code, expected plain tensors and "
                "JSON; do not load it"
            )
    for name, content in _texts(path, members):
        where = f"{path}: {name}"
        if name.endswith("_config.json"):
            folder = name.rpartition("/")[0]
            _check_payloads(content["config"], folder, members, where)
        elif "/models/" in name:
            _check_program(content, where)


def _texts(path: Path, members: dict[str, Span]) -> Iterator[tuple[str, Any]]:
    """Each JSON member, all of them together within the limit for one."""
    left = LIMIT
    for name, span in members.items():
        if name.endswith(".json"):
            left -= span[1]
            if left < 0:
                raise ValueError(f"{path}: over {LIMIT} bytes of JSON; do not load it")
            yield name, parse(read_span(path, span), f"{path}: {name}")


def _check_payloads(
    config: dict[str, Any], folder: str, members: dict[str, Span], where: str
) -> None:
    for name, meta in config.items():
        _check_text(name, "", where)
        if meta["use_pickle"] is not False or not PAYLOAD.fullmatch(meta["path_name"]):
            raise ValueError(
                f"{where}: {name!r} is stored as a pickle, expected raw bytes; do not load it"
            )
        size = members[f"{folder}/{meta['path_name']}"][1]
        tensor = meta["tensor_meta"]
        itemsize = np.dtype(DTYPES.get(tensor["dtype"], "uint8")).itemsize
        shape, strides = ([each["as_int"] for each in tensor[key]] for key in ("sizes", "strides"))
        _check_within(
            shape, strides, tensor["storage_offset"]["as_int"], size // itemsize, f"{where}: {name}"
        )


def _check_within(shape: Any, strides: Any, offset: Any, count: int, where: str) -> None:
    """Of `count` elements that are stored."""
    numbers = [*shape, *strides, offset]
    if any(type(each) is not int or each < 0 for each in numbers) or len(shape) != len(strides):
        raise ValueError(f"{where} has the shape {shape} and strides {strides}; do not load it")
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if 0 not in shape and last >= count:
        raise ValueError(
            f"{where} of shape {shape} reaches to element {last} of the {count} that are stored; "
            "do not load it"
        )


def _check_program(value: Any, where: str, key: str = "") -> None:
    """Walks a program's JSON: every string in it must be inert where torch will use it."""
    if isinstance(value, dict):
        if "strides" in value:
            _check_sizes(value, where)
        for name, each in value.items():
            _check_text(name, "", where)
            _check_program(each, where, name)
    elif isinstance(value, list):
        for each in value:
            _check_program(each, where, key)
    elif isinstance(value, str):
        _check_text(value, key, where)


def _check_sizes(tensor: dict[str, Any], where: str) -> None:
    """Each a number, none negative, or an expression."""
    for each in [*tensor["sizes"], *tensor["strides"], tensor["storage_offset"]]:
        size = each.get("as_int", 0)
        if type(size) is not int or not 0 <= size < 1 << 62:
            raise ValueError(f"{where}: found a tensor with a size of {size}; do not load it")


def _check_text(text: str, key: str, where: str) -> None:
    if key in ("as_string", "as_strings", "torch_version"):
        return  # reach operators as values only
    if key in ("target", "as_operator"):
        inert = OPERATOR.fullmatch(text) is not None
    elif key == "expr_str":
        inert = _symbolic(text)
    elif key == "guards_code":
        inert = len(text) <= LONGEST and GUARD.fullmatch(text) is not None
    elif key in ("in_spec", "out_spec"):
        inert = text == "" or _plain_tree(parse(text.encode(), where))
    elif key in ("name", "as_name"):  # become names in code
        inert = text == "" or text.isidentifier()
    else:
        parts = text.split(".")  # become attributes, one of the other
        inert = PLAIN.fullmatch(text) is not None and not any(p.startswith("__") for p in parts[1:])
        inert &= len(parts) == 1 or not text.startswith("__")
    if not inert:
        raise ValueError(
            f"{where}: {key or 'name'} {text[:200]!r} could run code, expected torch's own "
            "operators and plain names; do not load it"
        )


def _plain_tree(tree: Any) -> bool:
    """Whether it is nested out of TREES alone: other kinds import what they name."""

    def plain(node: Any) -> bool:
        context = json.loads(node["context"] or "null")  # an object in it could name an enum
        labels = context if isinstance(context, list) else [context]
        fine = set(node) == {"type", "context", "children_spec"} and node["type"] in TREES
        fine &= all(each is None or isinstance(each, str | int) for each in labels)
        return fine and all(map(plain, node["children_spec"]))

    return isinstance(tree, list) and len(tree) == 2 and tree[0] == 1 and plain(tree[1])


def _symbolic(text: str) -> bool:
    """Whether a shape expression is of numbers, symbols and SYMBOLIC alone: sympy evaluates it."""
    if len(text) > LONGEST:
        return False
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return _largest_power(tree) <= LARGEST_POWER and all(map(_harmless, ast.walk(tree)))


def _harmless(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id in SYMBOLIC
    if isinstance(node, ast.Name):
        return node.id in SYMBOLIC or INERT_NAME.fullmatch(node.id) is not None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return INERT_NAME.fullmatch(node.value) is not None and len(node.value) < 20
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and abs(node.value) < 1 << 63
    return isinstance(node, EXPRESSION)


def _largest_power(tree: ast.AST) -> float:
    """The product of all exponents and shifts; infinite where one is no plain number."""
    product = 1.0
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, GROWS):
            product *= _number_in(node.right)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in POWERS and node.args:
            product *= _number_in(node.args[-1])
    return product


def _number_in(node: ast.AST) -> float:
    """Of 3, -3 or Integer(3)."""
    if isinstance(node, ast.Call) and len(node.args) == 1:
        return _number_in(node.args[0])
    if isinstance(node, ast.UnaryOp):
        return _number_in(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return max(1.0, abs(node.value))
    return math.inf


def _check_optimizer(path: Path) -> None:
    """A zip of torch's with one pickle in it, which names nothing but tensors and plain values."""
    members = spans(path)
    roots = {name.partition("/")[0] for name in members}
    strange = [name for name in members if not SAVED.fullmatch(name)]
    if strange or len(roots) != 1:
        found = strange or sorted(roots)
        raise ValueError(f"{path}: found {found} in it, expected torch's own; do not load it")
    (root,) = roots
    span = members[f"{root}/data.pkl"]
    if (size := span[1]) > PICKLE_LIMIT:
        raise ValueError(f"{path}: a pickle of {size} bytes, expected at most {PICKLE_LIMIT}")
    sizes = {name.rpartition("/")[2]: n for name, (_, n) in members.items() if "/data/" in name}
    saved = _unpickled(read_span(path, span), sizes, path)
    kinds = [saved["class"], *([saved["scheduler"]["class"]] if saved["scheduler"] else [])]
    for each in kinds:
        if not (isinstance(each, str) and each.isidentifier()):
            raise ValueError(f"{path}: {each!r} is no class of torch.optim; do not load it")


def _unpickled(content: bytes, sizes: dict[str, int], path: Path) -> Any:
    """What it holds, with stand-ins for tensors; ValueError where it names or does anything else.

    torch's own reader (weights_only) also makes what the process has been told to trust.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            remote = opcode.name.endswith(("PUT", "GET")) and int(argument or 0) > len(content)
            if opcode.name not in OPCODES or remote:
                raise ValueError(f"opcode {opcode.name}")
        return _Reader(content, sizes).load()
    except UNREADABLE as error:
        raise ValueError(
            f"{path}: its pickle holds more than tensors and plain values "
            f"({in_one_line(error)[:200]}); do not load it"
        ) from error


class _Reader(pickle.Unpickler):
    """Calls nothing that is not here."""

    def __init__(self, content: bytes, sizes: dict[str, int]):
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self.sizes = sizes

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in PLAIN_CLASSES:
            return PLAIN_CLASSES[module, name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return self.tensor
        if (module, name) == ("torch", "Size"):
            return tuple
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it names {module}.{name}"[:200])

    def persistent_load(self, given: Any) -> int:
        """A storage: how many elements it has."""
        _, kind, key, _, count = given
        stored = self.sizes[key]
        if type(count) is not int or count * STORAGES[kind] != stored:
            raise pickle.UnpicklingError(f"storage {key} of {count} elements has {stored} bytes")
        return count

    @staticmethod
    def tensor(count: int, offset: int, shape: Any, strides: Any, *_: Any) -> None:
        _check_within(shape, strides, offset, count, "a tensor")


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
    root = archive.namelist()[0].split("/")[0]
    start = data_offset(archive, archive.getinfo(f"{root}/data/{folder}/{meta['path_name']}"))
    tensor = meta["tensor_meta"]
    dtype = np.dtype(DTYPES.get(tensor["dtype"], "uint8"))
    count = int(np.prod([size["as_int"] for size in tensor["sizes"]], dtype=np.int64))
    return (
        start + tensor["storage_offset"]["as_int"] * dtype.itemsize,
        count * dtype.itemsize,
        dtype.name,
    )
