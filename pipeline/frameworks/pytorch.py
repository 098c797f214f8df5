"""PyTorch: one training step after the other, and everything that a bitwise resume needs."""

import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from . import _pytorch_adapter, _pytorch_average, _pytorch_state, _pytorch_steps
from . import _pytorch_demands as demands
from ._filling import filled
from ._pytorch_as_traced import answer_as_traced
from ._pytorch_average import average_of
from ._pytorch_building import build as build
from ._pytorch_own_step import judging
from ._pytorch_saving import load as load
from ._pytorch_saving import save as save
from ._pytorch_saving import save_whole as save_whole
from ._pytorch_saving import snapshot as snapshot
from ._pytorch_start import start as start
from ._pytorch_start import weight_specs as weight_specs
from ._pytorch_training import Training as Training
from .contract import RanksModule

SUFFIX = ".pt"
TRAINS = True
BASES = {
    "net": nn.Module,
    "loss": nn.Module,
    "optimizer": torch.optim.Optimizer,
    "scheduler": torch.optim.lr_scheduler.LRScheduler,
    "augment": nn.Module,
}
FAULTS: tuple[type[Exception], ...] = ()
PARTS = {"packages": ("torch.nn", "torch.optim"), "parts": tuple(set(BASES.values()))}
Arrays = Mapping[str, np.ndarray]


def configure(threads: int, replicas: int = 1) -> None:
    """Makes the process deterministic, but for the seed; before anything is built."""
    assert replicas == 1, "several nets are of as many ranks"
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    os.environ["THP_MEM_ALLOC_ENABLE"] = "1"  # huge pages: large tensors come and go
    torch.set_num_threads(threads)
    # As use_deterministic_algorithms(True), which would import torch._inductor (seconds).
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False
    # Attention's fast path answers otherwise by a rounding (8.9e-8) than what is exported of it.
    torch.backends.mha.set_fastpath_enabled(False)
    answer_as_traced()


def seed(value: int, training: Training | None = None) -> None:
    """Seeds every generator that a net may draw from, CUDA's too; a net has none of its own."""
    random.seed(value)
    np.random.seed(value)
    torch.manual_seed(value)


def randomness(_: Any) -> dict[str, np.ndarray]:
    """Returns the states of torch's own generators, by device."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        of_devices = torch.cuda.get_rng_state_all()
        states |= {f"cuda:{index}": state for index, state in enumerate(of_devices)}
    return {name: state.numpy() for name, state in states.items()}


def set_randomness(_: Any, states: Arrays) -> None:
    """Sets the states of torch's own generators."""
    for device, state in states.items():
        if device == "cpu":
            torch.set_rng_state(torch.from_numpy(state))
        else:
            torch.cuda.set_rng_state(torch.from_numpy(state), device)


def over_ranks(strategy: str) -> RanksModule[Training]:
    """Returns what trains over ranks: ddp or fsdp."""
    from ._pytorch_ranks import Ranks

    return Ranks(strategy)


def sources(training: Training) -> list[str]:
    """Returns the top-level packages, other than torch, that the classes of net and loss are of."""
    modules = [*training.predicting.net.modules(), *training.loss.modules()]
    return sorted({type(m).__module__.split(".")[0] for m in modules} - {"torch"})


def adapt(training: Training, inputs: Arrays) -> None:
    """Lets a net with an `adapt` fit its preprocessing to the training rows (memory-mapped)."""
    fit = getattr(training.net, "adapt", None)
    if fit is not None:
        fit(**filled(inputs, training.fills))
    if training.average is not None:
        training.average = average_of(training.net, training.average.averaging)


def step(training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> Tensor:
    """Takes one step on the rows of these numbers; returns its loss, a scalar."""
    batch = tensors(training, inputs, rows), tensors(training, targets, rows)
    return _pytorch_steps.take(training, *batch)


def end_epoch(training: Training, val_loss: float = float("nan")) -> None:
    """Brings the learning rate to that of the next epoch; a schedule that has come to its end stays
    there."""
    if training.average is not None:
        training.average.epochs += 1
    if training.schedule_by == "epoch":
        _pytorch_steps.advance(training.scheduler, val_loss)


def evaluate(
    training: Training, inputs: Arrays, targets: Arrays | None
) -> tuple[dict[str, np.ndarray], float]:
    """Returns the outputs by name in evaluation mode, and the loss (NaN without targets), of one
    batch."""
    training = training.predicting
    training.net.eval()
    batch = tensors(training, inputs, ...)
    with torch.no_grad(), judging(training.own_step, training.device):
        if targets is None:
            outputs, loss = training.answer(batch), float("nan")
            demands.demand_outputs(outputs, len(next(iter(batch.values()))))
        else:
            outputs, total = _pytorch_steps.judged(training, batch, tensors(training, targets, ...))
            loss = total.item() if total.ndim == 0 else float("nan")
    return {name: tensor.detach().cpu().numpy() for name, tensor in outputs.items()}, loss


def loss_of(training: Training, inputs: Arrays, outputs: Arrays, targets: Arrays) -> float | None:
    """Returns the loss of these outputs, whatever the net answers; None where the net computes its
    loss itself."""
    if training.computes_loss:
        return None
    values = {name: np.asarray(array) for name, array in {**inputs, **outputs, **targets}.items()}
    with torch.no_grad():
        return float(training.total(tensors(training, values, ...)))


def state_outside(training: Training) -> dict[str, bytes]:
    """Returns a digest of each value in an attribute of net, loss and their modules."""
    return _pytorch_state.outside({"model.net": training.net, "model.loss": training.loss})


def unmerged(training: Training, inputs: Arrays) -> dict[str, np.ndarray]:
    """Returns the answers of the net with its adapters in it; nothing where it has none."""
    if training.adapter is None:
        return {}
    return evaluate(replace(training, adapter=None), inputs, None)[0]


def predictor(training: Training, inputs: Arrays) -> nn.Module:
    """Returns the net in evaluation mode, or what picks the outputs from all that it returns."""
    return training.predicting.predictor(tensors(training, inputs, ...))


def state(training: Training) -> dict[str, np.ndarray]:
    """Returns net/<name> of every weight and buffer, loss/<name> of the loss' own, and
    optimizer/<parameter>/<slot> of the optimizer's."""
    return {name: array.copy() for name, array in views(training)}


def views(training: Training) -> Iterator[tuple[str, np.ndarray]]:
    """Yields the same, over the training's own memory where that is the CPU's."""
    net = training.predicting.net
    tensors = {f"net/{name}": tensor for name, tensor in net.state_dict().items()}
    tensors |= {f"loss/{name}": tensor for name, tensor in training.loss.state_dict().items()}
    for name, parameter in training.net.named_parameters():
        slots = training.optimizer.state.get(parameter, {})
        tensors |= {f"optimizer/{name}/{slot}": torch.as_tensor(v) for slot, v in slots.items()}
    if training.average is not None:
        tensors |= {
            f"trained/{name}": each for name, each in _pytorch_average.tensors(training.net)
        }
        tensors["average/steps"] = torch.tensor(training.average.steps)
    if training.adapter is not None:
        adapters = _pytorch_adapter.trained(training.adapter, training.net)
        tensors |= {f"trained/{name}": each for name, each in adapters.items()}
    if training.scaler is not None:
        scaling = training.scaler.state_dict()
        tensors |= {f"scaling/{name}": torch.tensor(value) for name, value in scaling.items()}
    return ((name, array(tensor)) for name, tensor in tensors.items())


def array(tensor: Tensor) -> np.ndarray:
    """Returns the tensor's values; a bfloat16, which numpy lacks, as the uint16 of its bits."""
    plain = tensor.detach().cpu()
    return (plain.view(torch.uint16) if plain.dtype == torch.bfloat16 else plain).numpy()


def set_weights(training: Training, weights: Arrays) -> None:
    """Sets weights and buffers of the net, named net/<name>, to what `state` gave or the like."""
    tensors = training.predicting.net.state_dict()
    for name, array in weights.items():
        tensor = tensors[name.removeprefix("net/")]
        values = torch.from_numpy(np.asarray(array, order="C"))  # a scalar stays one
        tensor.copy_(values.view(tensor.dtype) if tensor.dtype == torch.bfloat16 else values)


def tensors(training: Training, arrays: Arrays, rows: Any) -> dict[str, Tensor]:
    """Returns these rows of each on the training's device."""
    device = training.device
    return {
        name: torch.from_numpy(np.array(array[rows])).to(device) for name, array in arrays.items()
    }
