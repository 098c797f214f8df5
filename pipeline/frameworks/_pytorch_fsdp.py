"""FSDP2 leaves each rank its part of every weight, and of what the optimizer holds of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import Shard, distribute_tensor

from ._freed_memory import give_back
from ._pytorch_training import Training

Slots = dict[str, Any]


def shard(training: Training) -> None:
    """Leaves each rank its part of every weight; the optimizer then holds those, with what it held
    of the whole. Raises ValueError for a state of another shape."""
    states = _demand_divisible(training)
    optimizer, mesh = training.optimizer, init_device_mesh("cpu", (_world(),))
    names = {id(each): name for name, each in training.net.named_parameters()}
    groups = [[names[id(each)] for each in g["params"]] for g in optimizer.param_groups]
    for group in optimizer.param_groups:  # whoever holds a whole weight would keep it
        group["params"] = []
    optimizer.state.clear()
    _shard_net(training.net, training, mesh)
    if training.average is not None:
        _shard_net(training.average.net, training, mesh)
    weights = dict(training.net.named_parameters())
    for group, held in zip(optimizer.param_groups, groups, strict=True):
        group["params"] = [weights[name] for name in held]
    while states:
        name, slots = states.popitem()
        optimizer.state[weights[name]] = _part_of(slots, weights[name], mesh)
    give_back()


def _shard_net(net: nn.Module, training: Training, mesh: DeviceMesh) -> None:
    for part in _parts(net):
        fully_shard(part, mesh=mesh, reshard_after_forward=True)
    fully_shard(net, mesh=mesh, reshard_after_forward=True)
    if training.own_step is not None:
        for name in {training.own_step.step.name, training.own_step.judge.name}:
            register_fsdp_forward_method(net, name)


def _world() -> int:
    return torch.distributed.get_world_size()


def _demand_divisible(training: Training) -> dict[str, Slots]:
    """Returns what the optimizer holds by the weight's name, the last one first. Raises ValueError,
    one line, for what no rank could have a part of."""
    states: dict[str, Slots] = {}
    for name, weight in reversed(list(training.net.named_parameters())):
        if not (slots := training.optimizer.state.get(weight)):
            continue
        for slot, value in slots.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != weight.shape:
                raise ValueError(
                    f"model.optimizer: {type(training.optimizer).__name__} holds a {slot} of shape "
                    f"{list(value.shape)} for {name} of shape {list(weight.shape)}, expected one "
                    "number or the weight's shape with train.distributed.strategy=fsdp; set it to "
                    "ddp, set train.start_with=weights, or choose another optimizer"
                )
        states[name] = slots
    return states


def _part_of(slots: Mapping[str, Any], weight: Tensor, mesh: DeviceMesh) -> Slots:
    """Returns this rank's part of each slot that is as the weight, and the others as they are."""

    def part(value: Any) -> Any:
        if not isinstance(value, Tensor) or value.ndim == 0:
            return value
        # Every rank has the whole, so that none need be sent.
        divided = distribute_tensor(value, mesh, [Shard(0)], src_data_rank=None)
        return type(divided).from_local(
            divided.to_local().clone(), mesh, [Shard(0)], shape=value.shape, stride=value.stride()
        )

    return {slot: part(value) for slot, value in slots.items()}


def _parts(net: nn.Module) -> Iterator[nn.Module]:
    """Yields the layers that are called one after the other, those of lists and sequences; not one
    that has a weight in common with the rest of the net."""
    owners: dict[int, set[int]] = {}
    for module in net.modules():
        for weight in module._parameters.values():
            owners.setdefault(id(weight), set()).add(id(module))
    for layer in _layers(net):
        inside = {id(each) for each in layer.modules()}
        shared = any(not owners[id(weight)] <= inside for weight in layer.parameters())
        if not shared and any(True for _ in layer.parameters()):
            yield layer


def _layers(net: nn.Module) -> Iterator[nn.Module]:
    for child in net.children():
        if isinstance(net, nn.ModuleList | nn.Sequential) and not isinstance(
            child, nn.ModuleList | nn.Sequential | nn.ModuleDict
        ):
            yield child
        else:
            yield from _layers(child)
