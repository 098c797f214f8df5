"""`onnx_train/`: a whole training step as plain ONNX, for runtimes that know no autograd.

`step.onnx` takes every tensor of the state, the learning rates, the model's inputs and the target;
it answers with the loss and with the state after forward, loss, backward, clipping and the
optimizer's update. `predict.onnx` takes the weights and the inputs. `state.json` says what the
state is and where it lies at the start: in `model.pt2` and `optimizer.pt` where they hold it byte
for byte, else in `state.bin`.

torch.export holds the model in training mode to any number of rows; what it captured is run under
make_fx, which writes down what autograd does. Gradients are thus those of torch itself, whatever
detaches, and what ONNX cannot say (batch norm in training, a convolution's gradient) is spelt out.
torch.onnx.export on a model in training mode would write batch norm for inference without a word,
so the first two steps of the graph are compared with the source's before it stands.
"""

import copy
import json
import logging
import math
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._onnx_export import TORCHVISION, reason, silenced, write
from .._onnx_proto import DTYPES
from .._onnx_screen import check_file
from .._protobuf import Message

Arrays = dict[str, np.ndarray]

FOLDER = "onnx_train"
FILE = f"{FOLDER}/state.json"
STEP, PREDICT = f"{FOLDER}/step.onnx", f"{FOLDER}/predict.onnx"
OWN = f"{FOLDER}/state.bin"
SOURCES = {"net": "model.pt2", "optimizer": "optimizer.pt", "constant": "model.pt2"}
EPOCHS = 100  # for so many epochs ahead the learning rates are written down
ALIGNED = 64
TINY = 1024  # bytes: larger constants are left to be computed
EXAMPLE_ROWS = 11  # none of CHECKED_ROWS, so that a fixed number of rows shows
CHECKED_ROWS = (5, 3)  # of the steps that are compared with the source's
RTOL = 1e-3  # by how much they may differ, of a tensor's largest value


def export(
    model: Any,
    inputs: Arrays,
    outputs: list[str],
    directory: Path,
    training: Any = None,
    target: np.ndarray | None = None,
    seed: int = 0,
) -> None:
    """Writes the step after which `training` stands, which stays as it is; ValueError in one line.

    `training` has net (which is `model`), loss, optimizer, scheduler and clip_norm. `seed` is not
    used: no network that draws random numbers is taken.
    """
    import torch

    if any(module.training for module in model.modules()):
        raise ValueError("onnx_train: found the model in training mode, expected model.eval()")
    if training is None or target is None:
        raise ValueError(
            "onnx_train: holds a training step and nothing else; set export.train=true"
        )
    _check_names([*inputs], outputs)
    source, given = _copy(training), [*inputs.values(), target]
    folder = directory / FOLDER
    folder.mkdir()
    try:
        with torch.random.fork_rng(devices=[]):
            expected = list(_eager_steps(_copy(source), given))
        described: dict[str, Any] = {
            "inputs": [*inputs],
            "outputs": outputs,
            "rows": _least_rows(source, given),
        }
        rates = _rates(_copy(source))
        described |= {"scheduled": source.scheduler is not None, "learning_rates": rates}
        held = _step(source, [*inputs], given, expected[0], directory / STEP)
        _predict(source.net.eval(), [*inputs], outputs, given[:-1], directory / PREDICT)
        described["states"] = [entry for entry, _ in held]
        _place(described["states"], [array for _, array in held], directory)
        _write(directory, described)
        _compare(Trainer(directory), inputs, target, expected, max(map(max, rates)))
    except ValueError:
        shutil.rmtree(folder)
        raise


def load(directory: Path) -> Callable[[Arrays], Arrays]:
    """onnxruntime runs the operators it knows; the state is read from three files and no others."""
    return Trainer(directory).predict


def load_training(directory: Path) -> "Trainer":
    if not (directory / STEP).is_file():
        raise ValueError(f"onnx_train: {directory} holds no training step")
    return Trainer(directory)


def weights(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    return {
        each["name"].partition("/")[2]: (
            each["file"],
            each["offset"],
            each["nbytes"],
            each["dtype"],
        )
        for each in _read(directory)["states"]
        if not each["name"].startswith("optimizer/")
    }


def optimizer_state(directory: Path) -> dict[str, tuple[str, int, int, str]]:
    return {
        each["name"]: (each["file"], each["offset"], each["nbytes"], each["dtype"])
        for each in _read(directory)["states"]
        if each["name"].startswith("optimizer/")
    }


def card(inputs: list[str], outputs: list[str]) -> str:
    feed = "".join(f'feed["{name}"] = example["input.{name}"]\n' for name in inputs)
    first = "[0]" if len(outputs) == 1 else ""
    return (
        "import json, numpy, onnxruntime\n"
        'example = numpy.load("examples/one.npz")\n'
        f'session = onnxruntime.InferenceSession("{PREDICT}")\n'
        + _READ
        + "feed = {each.name: state[each.name] for each in session.get_inputs() "
        "if each.name in state}\n"
        f"{feed}outputs = session.run(None, feed){first}"
    )


_READ = f"""described = json.load(open("{FILE}"))
state = {{}}
for each in described["states"]:
    size = each["nbytes"] // numpy.dtype(each["dtype"]).itemsize
    read = numpy.fromfile(each["file"], each["dtype"], size, offset=each["offset"])
    state[each["input"]] = read.reshape(each["shape"])
"""


def training_card(inputs: list[str], outputs: list[str], directory: Path) -> str:
    """Learning rates of later epochs only where they differ."""
    scheduled = _read(directory)["scheduled"]
    feed = "".join(f', "{name}": data["input.{name}"][rows]' for name in inputs)
    given = "".join(f', "{name}": data["input.{name}"]' for name in inputs)
    lines = [
        "import json, numpy, onnxruntime",
        'data = numpy.load("examples/training.npz")',
        *_READ.splitlines(),
        f'step = onnxruntime.InferenceSession("{STEP}")',
        "taken, given = ([e.name for e in s] for s in (step.get_inputs(), step.get_outputs()))",
        *(["epoch = 0"] if scheduled else []),
        'for k, recorded in enumerate(data["loss"]):',
        '    rows = data["step"] == k',
        f'    rates = described["learning_rates"][{"epoch" if scheduled else 0}]',
        f'    feed = {{**state, "target": data["target"][rows]{feed}}}',
        '    feed |= {f"lr/{n}": numpy.array(rate) for n, rate in enumerate(rates)}',
        "    found = dict(zip(given, step.run(None, {name: feed[name] for name in taken})))",
        "    print(f\"loss {found.pop('loss'):.6f}, with the source {recorded:.6f}\")",
        '    state |= {name.removeprefix("new/"): array for name, array in found.items()}',
        *(['    epoch += int(data["ends_epoch"][k])'] if scheduled else []),
        'numpy.savez("trained.npz", **state)',
        "",
        f'predict = onnxruntime.InferenceSession("{PREDICT}")',
        f'feed = {{**numpy.load("trained.npz"){given}}}',
        "taken = [each.name for each in predict.get_inputs()]",
        "outputs = predict.run(None, {name: feed[name] for name in taken})"
        + ("[0]" if len(outputs) == 1 else ""),
    ]
    return "\n".join(lines)


class Trainer:
    """The state as numpy arrays, and the two graphs that it goes through."""

    def __init__(self, directory: Path):
        screen(directory)
        self.directory = directory
        self.described = _read(directory)
        states = self.described["states"]
        self.values = {each["input"]: _load(directory, each) for each in states}
        self.rates = self.described["learning_rates"]
        self.sessions: dict[str, Any] = {}

    def step(self, inputs: Arrays, target: np.ndarray) -> np.ndarray:
        """ValueError for fewer rows than the source could train on, one where it has batch norm."""
        least = self.described["rows"]
        if len(target) < least:
            raise ValueError(f"onnx_train: found {len(target)} rows, expected at least {least}")
        rates = {f"lr/{n}": np.asarray(rate) for n, rate in enumerate(self.rates[0])}
        found = self._run(STEP, {**inputs, **rates, "target": target})
        for each in self.described["states"]:
            if each["output"] is not None:
                self.values[each["input"]] = found[each["output"]]
        return found["loss"]

    def end_epoch(self) -> None:
        if not self.described["scheduled"]:
            return
        if len(self.rates) == 1:
            raise ValueError("onnx_train: the learning rates written down end here; export anew")
        self.rates = self.rates[1:]

    def predict(self, inputs: Arrays) -> Arrays:
        """No rows never reach onnxruntime, which some of its operators do not survive."""
        if min(len(inputs[name]) for name in self.described["inputs"]):
            return self._run(PREDICT, inputs)
        ones = {name: np.zeros((1, *each.shape[1:]), each.dtype) for name, each in inputs.items()}
        return {name: each[:0] for name, each in self._run(PREDICT, ones).items()}

    def state(self) -> Arrays:
        return {
            each["name"]: self.values[each["input"]].copy()
            for each in self.described["states"]
            if not each["name"].startswith("constant/")
        }

    def save(self, directory: Path) -> None:
        (directory / FOLDER).mkdir(exist_ok=True)
        for file in (STEP, PREDICT):
            shutil.copyfile(self.directory / file, directory / file)
        entries = [dict(each) for each in self.described["states"]]
        arrays = [self.values[each["input"]] for each in entries]
        _place(entries, arrays, directory)
        _write(directory, self.described | {"learning_rates": self.rates, "states": entries})

    def _run(self, file: str, given: Arrays) -> Arrays:
        if file not in self.sessions:
            self.sessions[file] = _session(self.directory / file)
        session = self.sessions[file]
        values = self.values | given
        names = [each.name for each in session.get_outputs()]
        found = session.run(names, {each.name: values[each.name] for each in session.get_inputs()})
        return dict(zip(names, found, strict=True))


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _read(directory: Path) -> dict[str, Any]:
    """ValueError where a state lies in a file that it has no business in."""
    found: dict[str, Any] = _checked(_check_states, FILE, directory)
    return found


def _load(directory: Path, entry: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(entry["dtype"])
    count = entry["nbytes"] // dtype.itemsize
    found = np.fromfile(directory / entry["file"], dtype, count, offset=entry["offset"])
    return found.reshape(entry["shape"])


def _write(directory: Path, described: dict[str, Any]) -> None:
    (directory / FILE).write_text(json.dumps(described, indent=1) + "\n")


def _place(entries: list[dict[str, Any]], arrays: list[np.ndarray], directory: Path) -> None:
    """Says in each entry where its array lies; OWN gets what lies nowhere yet."""
    index = {file: _members(directory / file) for file in set(SOURCES.values())}
    rest = bytearray()
    for entry, array in zip(entries, arrays, strict=True):
        data, file = array.tobytes(), SOURCES[entry["name"].partition("/")[0]]
        offset = index[file].get((len(data), zlib.crc32(data)))
        if offset is None or not _lies_at(directory / file, offset, data):
            rest += bytes(-len(rest) % ALIGNED)
            file, offset = OWN, len(rest)
            rest += data
        entry |= {"file": file, "offset": offset, "nbytes": len(data)}
    if rest:
        (directory / OWN).write_bytes(rest)


def _members(path: Path) -> dict[tuple[int, int], int]:
    """(size, crc32) -> offset of each member's data: behind header, name and padding."""
    if not path.is_file():
        return {}
    index: dict[tuple[int, int], int] = {}
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        for info in archive.infolist():
            file.seek(info.header_offset + 26)
            start = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
            if info.compress_type == zipfile.ZIP_STORED:
                index.setdefault((info.file_size, info.CRC), start)
    return index


def _lies_at(path: Path, offset: int, data: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(len(data)) == data


def _copy(training: Any) -> Any:
    """In training mode, with an optimizer and a scheduler of its own. A copy has no hooks."""
    from types import SimpleNamespace

    import torch

    optimizer = training.optimizer
    if type(optimizer) not in (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW):
        found = type(optimizer).__name__
        raise ValueError(f"onnx_train: found the optimizer {found}, expected SGD, Adam or AdamW")
    for name, each in training.net.state_dict().items():
        if each.dtype == torch.bfloat16:
            raise ValueError(f"onnx_train: {name} is bfloat16, which numpy does not have")
    hooked = [optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks]
    hooked += [each._backward_hooks for each in training.net.parameters()]
    hooked += [each._post_accumulate_grad_hooks for each in training.net.parameters()]
    if any(hooked):
        raise ValueError("onnx_train: found hooks on the optimizer or a parameter's gradient")
    parts = (training.net, training.loss, optimizer, training.scheduler)
    try:
        net, loss, optimizer, scheduler = copy.deepcopy(parts)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"onnx_train: cannot be copied: {reason(error)}") from error
    net.train()
    return SimpleNamespace(
        net=net, loss=loss, optimizer=optimizer, scheduler=scheduler, clip_norm=training.clip_norm
    )


def _check_names(inputs: list[str], outputs: list[str]) -> None:
    for name in (*inputs, *outputs):
        if name in ("target", "loss") or "/" in name:
            raise ValueError(f"onnx_train: {name!r} is a name of the training step's own")


def _capture(net: Any, loss: Any, given: list[np.ndarray]) -> Any:
    """`net`, and `loss` on what it answers where there is one, for any number of rows."""
    import torch

    class Called(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.loss = net, loss

        def forward(self, *given: Any) -> Any:
            return self.loss(self.net(*given[:-1]), given[-1]) if self.loss else self.net(*given)

    rows = torch.export.Dim("batch", min=1)
    shapes = (tuple({0: rows} for _ in given),)
    with _told("model"):
        return torch.export.export(Called(), _rows(given, EXAMPLE_ROWS), dynamic_shapes=shapes)


def _least_rows(source: Any, given: list[np.ndarray]) -> int:
    """Batch norm refuses a single row, and what is captured would not."""
    import torch

    net = copy.deepcopy(source.net)
    try:
        with torch.no_grad():
            net(*_rows(given[:-1], 1))
    except (ValueError, RuntimeError):
        return 2
    return 1


def _refuse_random(program: Any, graph: Any) -> None:
    """`graph` is what `program` comes to: in it, dropout with a probability of 0 is no more."""
    import torch

    def draws(node: Any) -> bool:
        return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())

    if any(map(draws, graph.graph.nodes)):
        found = [
            f"{node.target} in {next(reversed(node.meta['nn_module_stack'].values()))[0]}"
            for node in filter(draws, program.graph.nodes)
        ]
        raise ValueError(
            f"onnx_train: {', '.join(found)} draws random numbers while training, which no other "
            "runtime can follow"
        )


def _eager_steps(source: Any, given: list[np.ndarray]) -> Iterator[tuple[float, Arrays, list[str]]]:
    """Loss, state and the names of the weights with a gradient, after steps on the examples."""
    import torch

    names = {parameter: name for name, parameter in source.net.named_parameters()}
    held = {each for group in source.optimizer.param_groups for each in group["params"]}
    for rows in CHECKED_ROWS:
        *inputs, target = _rows(given, rows)
        loss = source.loss(source.net(*inputs), target)
        source.optimizer.zero_grad()
        loss.backward()
        trained = [names[each] for each in names if each.grad is not None]
        idle = [names[each] for each in names if each.grad is not None and each not in held]
        if source.clip_norm is not None:
            if idle:
                raise ValueError(
                    f"onnx_train: {idle[0]} is clipped with but is not the optimizer's"
                )
            torch.nn.utils.clip_grad_norm_(source.net.parameters(), source.clip_norm)
        source.optimizer.step()
        yield loss.item(), _state(source), [name for name in trained if name not in idle]


def _state(source: Any) -> Arrays:
    import torch

    found = {f"net/{name}": each for name, each in source.net.state_dict().items()}
    for name, parameter in source.net.named_parameters():
        for slot, value in source.optimizer.state.get(parameter, {}).items():
            found[f"optimizer/{name}/{slot}"] = torch.as_tensor(value)
    return {name: each.detach().cpu().numpy().copy() for name, each in found.items()}


def _rates(source: Any) -> list[list[float]]:
    """Each group's learning rate in this epoch and those to come; nothing else may change."""

    def settings(group: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in group.items() if k not in ("params", "lr")}

    groups = source.optimizer.param_groups
    before = [settings(group) for group in groups]
    rates = [[float(group["lr"]) for group in groups]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no step was taken before
        while source.scheduler is not None and len(rates) < EPOCHS:
            try:
                source.scheduler.step()
            except ValueError:  # at its end
                break
            rates.append([float(group["lr"]) for group in groups])
            if [settings(group) for group in groups] != before:
                name = type(source.scheduler).__name__
                raise ValueError(f"onnx_train: {name} changes more than the learning rate")
    return rates


def _step(
    source: Any,
    inputs: list[str],
    given: list[np.ndarray],
    first: tuple[float, Arrays, list[str]],
    path: Path,
) -> list[tuple[dict[str, Any], np.ndarray]]:
    """Writes step.onnx; what state.json says of each tensor but its place, and the tensor."""
    import torch
    from torch.fx.experimental.proxy_tensor import make_fx

    program = _capture(source.net, source.loss, given)
    order, state = _tensors(source.net, program)
    state |= _slots(source, first[1])
    groups = source.optimizer.param_groups
    rates = {f"lr/{n}": torch.zeros((), dtype=torch.float64) for n in range(len(groups))}
    names = [*state, *rates, *inputs, "target"]

    def step(*flat: Any) -> list[Any]:
        values = dict(zip(names, flat, strict=True))
        values |= {name: values[name].clone() for name in state}
        leaves = {name: values[f"net/{name}"].detach().requires_grad_() for name in first[2]}
        called = values | {f"net/{name}": leaf for name, leaf in leaves.items()}
        (loss,) = program.graph_module(*(called[name] for name in (*order, *inputs, "target")))
        found = torch.autograd.grad(loss, [*leaves.values()])
        with torch.no_grad():
            gradients = _clipped(dict(zip(leaves, found, strict=True)), source.clip_norm)
            values |= _updated(source, gradients, values)
        return [loss.detach(), *(values[name] for name in state)]

    tensors = [*state.values(), *rates.values(), *_rows(given, EXAMPLE_ROWS)]
    fakes = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"]
    fixed = [fakes[0].fake_mode.from_tensor(each) for each in tensors[: -len(given)]]
    plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with _told("training step"), plain, torch.backends.mkldnn.flags(enabled=False):
        traced = make_fx(step, decomposition_table=_spelt_out(), tracing_mode="symbolic")
        graph = traced(*fixed, *fakes[-len(given) :])
    _refuse_random(program, graph)
    answers = ["loss", *(f"new/{name}" for name in state)]
    changed = _write_graph(graph, [*range(len(names))], tensors, len(given), names, answers, path)
    held = []
    for name, same in ({name: name for name in state} | _same(source.net)).items():
        entry: dict[str, Any] = {"name": name, "input": same}
        entry["output"] = f"new/{same}" if f"new/{same}" in changed else None
        array = state[same].numpy()
        held.append((entry | {"dtype": array.dtype.name, "shape": [*array.shape]}, array))
    return held


def _same(net: Any) -> dict[str, str]:
    """Every name of the net's state, and the first of those that its tensor goes by."""
    first: dict[int, str] = {}
    kept = net.state_dict(keep_vars=True)
    return {f"net/{name}": first.setdefault(id(each), f"net/{name}") for name, each in kept.items()}


def _tensors(net: Any, program: Any) -> tuple[list[str], dict[str, Any]]:
    """The names of what the program takes before its inputs, in order, and each tensor once."""
    same, values = _same(net), program.state_dict | program.constants
    order, found = [], {}
    for spec in program.graph_signature.input_specs:
        if spec.kind.name != "USER_INPUT":
            name = same.get(f"net/{spec.target.removeprefix('net.')}", f"constant/{spec.target}")
            order.append(name)
            found[name] = values[spec.target].detach()
    return order, found


def _slots(source: Any, after: Arrays) -> dict[str, Any]:
    """The optimizer's state: zeros where no step was taken yet."""
    import torch

    before = _state(source)
    found = {}
    for name, array in after.items():
        if name.startswith("optimizer/"):
            fresh = name not in before
            if fresh and any(group.get("dampening") for group in source.optimizer.param_groups):
                raise ValueError("onnx_train: SGD does not dampen its first step; take one first")
            found[name] = torch.from_numpy(np.zeros_like(array) if fresh else before[name])
    return found


def _clipped(gradients: dict[str, Any], norm: float | None) -> dict[str, Any]:
    """As torch.nn.utils.clip_grad_norm_ does."""
    import torch

    if norm is None:
        return gradients
    each = torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients.values()])
    factor = torch.clamp(norm / (torch.linalg.vector_norm(each) + 1e-6), max=1.0)
    return {name: gradient * factor for name, gradient in gradients.items()}


def _updated(source: Any, gradients: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    import torch

    names = {parameter: name for name, parameter in source.net.named_parameters()}
    update = _sgd if type(source.optimizer) is torch.optim.SGD else _adam
    found: dict[str, Any] = {}
    for n, group in enumerate(source.optimizer.param_groups):
        for name in (names[each] for each in group["params"]):
            if name not in gradients:
                continue
            prefix = f"optimizer/{name}/"
            slots = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
            sign = -1 if group["maximize"] else 1
            weight, slots = update(
                group,
                values[f"lr/{n}"],
                values[f"net/{name}"],
                sign * gradients[name],
                slots,
            )
            found |= {f"net/{name}": weight, **{prefix + k: v for k, v in slots.items()}}
    return found


def _sgd(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Any) -> Any:
    """As torch.optim.SGD."""
    gradient = gradient + group["weight_decay"] * weight if group["weight_decay"] else gradient
    momentum = group["momentum"]
    if momentum:
        buffer = momentum * slots["momentum_buffer"] + (1 - group["dampening"]) * gradient
        gradient = gradient + momentum * buffer if group["nesterov"] else buffer
        slots = {"momentum_buffer": buffer}
    return weight - rate.to(weight.dtype) * gradient, slots


def _adam(group: dict[str, Any], rate: Any, weight: Any, gradient: Any, slots: Any) -> Any:
    """As torch.optim.Adam and AdamW; the bias is corrected in float64, as Python does there."""
    import torch

    (first, second), decay = map(float, group["betas"]), group["weight_decay"]
    if decay and group["decoupled_weight_decay"]:
        weight = weight * (1 - rate * decay).to(weight.dtype)
    elif decay:
        gradient = gradient + decay * weight
    found = {"step": slots["step"] + 1}
    found["exp_avg"] = slots["exp_avg"] + (1 - first) * (gradient - slots["exp_avg"])
    found["exp_avg_sq"] = second * slots["exp_avg_sq"] + (1 - second) * gradient * gradient
    largest = found["exp_avg_sq"]
    if group["amsgrad"]:
        largest = found["max_exp_avg_sq"] = torch.maximum(slots["max_exp_avg_sq"], largest)
    count = found["step"].double()
    size = (rate / (1 - torch.pow(first, count))).to(weight.dtype)
    scale = (1 - torch.pow(second, count)).sqrt().to(weight.dtype)
    return weight - size * (found["exp_avg"] / (largest.sqrt() / scale + group["eps"])), found


def _spelt_out() -> dict[Any, Callable[..., Any]]:
    """What ONNX has no operator for while training."""
    import torch

    found = dict(torch.export.default_decompositions())
    for operator, written in torch._decomp.decomposition_table.items():
        if "backward" in str(operator) or "batch_norm" in str(operator):
            found[operator] = written
    found[torch.ops.aten.convolution_backward.default] = _convolution_backward
    return found


def _convolution_backward(
    gradient: Any,
    values: Any,
    weight: Any,
    bias_sizes: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    output_mask: list[bool],
) -> tuple[Any, Any, Any]:
    """The gradients of values, weight and bias, as convolutions: ONNX has those."""
    import torch

    def convolve(values: Any, weight: Any, stride: Any, dilation: Any, *how: Any) -> Any:
        return torch.ops.aten.convolution.default(
            values, weight, None, stride, padding, dilation, *how, groups
        )

    def of_weight(values: Any, gradient: Any) -> Any:
        """Channels take the rows' place, and stride and dilation each other's."""
        axes = range(3, values.dim() + 1)
        values, gradient = (
            each.reshape(each.shape[0], groups, each.shape[1] // groups, *each.shape[2:])
            for each in (values, gradient)
        )
        values = values.permute(2, 1, 0, *axes).flatten(1, 2)
        gradient = gradient.permute(1, 2, 0, *axes).flatten(0, 1)
        found = convolve(values, gradient, dilation, stride, False, nothing)
        for axis, size in enumerate(weight.shape[2:], 2):
            found = found.narrow(axis, 0, size)
        return found.transpose(0, 1)

    nothing, sizes = [0] * len(stride), range(len(stride))
    if transposed:
        of_values = convolve(gradient, weight, stride, dilation, False, nothing)
        pair = (gradient, values)
    else:
        reached = [
            (gradient.shape[n + 2] - 1) * stride[n]
            - 2 * padding[n]
            + dilation[n] * (weight.shape[n + 2] - 1)
            + 1
            for n in sizes
        ]
        left = [values.shape[n + 2] - reached[n] for n in sizes]
        of_values = convolve(gradient, weight, stride, dilation, True, left)
        pair = (values, gradient)
    of_bias = gradient.sum([0, *range(2, gradient.dim())]) if output_mask[2] else None
    return of_values, of_weight(*pair), of_bias


def _predict(
    net: Any, inputs: list[str], outputs: list[str], given: list[np.ndarray], path: Path
) -> None:
    """Writes predict.onnx: the weights are inputs."""
    program = _capture(net, None, given)
    found = len(program.graph_signature.user_outputs)
    if found != len(outputs):
        raise ValueError(f"onnx_train: forward returned {found} values, expected {outputs}")
    order, state = _tensors(net, program)
    names = [*state, *inputs]
    places = [names.index(name) for name in (*order, *inputs)]
    tensors = [*state.values(), *_rows(given, EXAMPLE_ROWS)]
    _write_graph(program.graph_module, places, tensors, len(given), names, outputs, path)


def _write_graph(
    graph: Any,
    places: list[int],
    tensors: list[Any],
    batches: int,
    inputs: list[str],
    outputs: list[str],
    path: Path,
) -> set[str]:
    """The outputs that are no inputs as they came. `places` are those of the graph's arguments
    among the inputs, of which the last `batches` have rows."""
    import onnxscript.optimizer
    import torch

    class Placed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = graph

        def forward(self, *given: Any) -> Any:
            return self.graph(*(given[n] for n in places))

    batch, fixed = torch.export.Dim("batch", min=1), len(tensors) - batches
    shapes = tuple({0: batch} if n >= fixed else {} for n in range(len(tensors)))
    with _told("graph"):
        program = torch.export.export(Placed(), tuple(tensors), dynamic_shapes=(shapes,))
        translated = torch.onnx.export(
            program,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(tuple({0: "batch"} if each else {} for each in shapes),),
            dynamo=True,
            optimize=False,  # it takes an epsilon of 1e-8 for 0 and leaves it out
            verbose=False,
        )
    assert translated is not None  # with dynamo=True it never is
    onnxscript.optimizer.fold_constants(
        translated.model, input_size_limit=TINY, output_size_limit=TINY
    )
    onnxscript.optimizer.remove_unused_nodes(translated.model)
    found = translated.model.graph
    came = {id(each) for each in found.inputs}
    found.outputs[:] = [each for each in found.outputs if not _unchanged(each, came)]
    write(translated.model, path)
    return {str(each.name) for each in found.outputs}


def _unchanged(value: Any, came: set[int]) -> bool:
    node = value.producer()
    return id(value) in came or (node.op_type == "Identity" and id(node.inputs[0]) in came)


def _compare(
    trainer: Trainer,
    inputs: Arrays,
    target: np.ndarray,
    expected: list[tuple[float, Arrays, list[str]]],
    rate: float,
) -> None:
    """ValueError where the graph's steps are not the source's. Where a gradient is nothing but
    rounding Adam may go the other way, and so twice the learning rate apart."""
    for n, (loss, after, _) in enumerate(expected, 1):
        rows = CHECKED_ROWS[n - 1]
        batch = {name: np.resize(each, (rows, *each.shape[1:])) for name, each in inputs.items()}
        found = trainer.step(batch, np.resize(target, (rows, *target.shape[1:])))
        state = trainer.state() | {"loss": found}
        after = after | {"loss": np.asarray(loss)}
        if set(state) != set(after):
            raise ValueError(f"onnx_train: the state differs in {sorted(set(state) ^ set(after))}")
        adam = any(name.endswith("/exp_avg") for name in after)
        for name, array in after.items():
            slot = name.rpartition("/")[2] if name.startswith("optimizer/") else name
            alike = [each for other, each in after.items() if other.endswith(slot)]
            most = RTOL * _largest([array]) + 1e-5 * _largest(alike) + 1e-6 * (slot == name)
            most += 2 * n * rate if adam and name.startswith("net/") else 0
            if not np.allclose(state[name], array, 0, most):
                raise ValueError(
                    f"onnx_train: after step {n} onnxruntime's {name} differs from PyTorch's by "
                    f"{np.abs(state[name] - array).max():.3g}"
                )


def _largest(arrays: list[np.ndarray]) -> float:
    return max(float(np.abs(each).max(initial=0)) for each in arrays)


def _rows(arrays: list[np.ndarray], rows: int) -> tuple[Any, ...]:
    import torch

    return tuple(torch.from_numpy(np.resize(each, (rows, *each.shape[1:]))) for each in arrays)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """torch's complaints as a ValueError of one line; its warnings not at all."""
    import torch

    try:
        with silenced(logging.ERROR, TORCHVISION), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (RuntimeError, torch.onnx.OnnxExporterError) as error:
        raise ValueError(f"onnx_train: no ONNX of this {what}: {reason(error)}") from error


DOMAINS = {"", "ai.onnx"}
LARGEST_JSON, MOST_BRACKETS = 1 << 25, 1_000_000


def screen(directory: Path) -> None:
    """ValueError unless both graphs are of ONNX' own operators with all constants in them, and each
    state lies, whole, in one of the files that hold states here."""
    for file, check in ((FILE, _check_states), (STEP, _check_graph), (PREDICT, _check_graph)):
        _checked(check, file, directory)


def _checked(check: Callable[[Path, Path], Any], file: str, directory: Path) -> Any:
    path = directory / file
    try:
        return check(path, directory)
    except (LookupError, TypeError, AttributeError, RecursionError, OSError, ValueError) as error:
        raise ValueError(f"onnx_train: {path}: {' '.join(str(error).split())[:400]}") from error


def _check_graph(path: Path, _: Path) -> None:
    check_file(path, DOMAINS, _refuse_external)


def _refuse_external(name: str, entries: list[Message], size: int) -> None:
    raise ValueError(f"{name!r} lies in another file; do not load it")


def _check_states(path: Path, directory: Path) -> Any:
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError("larger than it can be; do not load it")
    text = path.read_text()
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        raise ValueError("nested or long beyond reason; do not load it")
    described = json.loads(text)
    if {type(each) for rates in described["learning_rates"] for each in rates} - {int, float}:
        raise ValueError("its learning rates are no numbers; do not load it")
    for each in described["states"]:
        name, file = each["name"], each["file"]
        if file not in {OWN, *SOURCES.values()}:
            raise ValueError(f"{name} lies in {file}; do not load it")
        if (directory / file).is_symlink() or not (directory / file).is_file():
            raise ValueError(f"{name} lies in {file}, which is no plain file; do not load it")
        numbers = [*each["shape"], each["offset"], each["nbytes"]]
        sized = all(type(n) is int and 0 <= n < 1 << 62 for n in numbers)
        size = np.dtype(each["dtype"]).itemsize if each["dtype"] in DTYPES.values() else 0
        within = sized and each["offset"] + each["nbytes"] <= (directory / file).stat().st_size
        if not size or not within or math.prod(each["shape"]) * size != each["nbytes"]:
            raise ValueError(f"{name} is not whole in {file}; do not load it")
    return described
