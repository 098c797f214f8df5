"""Low-rank adapters (LoRA, Hu et al. 2021) in a PyTorch net: what is trained is the net with an
adapter in some of its layers, and what predicts is one like it with the two merged."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._adapting import Adapting
from ._freezing import fitting

NAME = "adapter"
"""Of the module that a layer gets."""
KINDS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d)
TARGETS = "train.adapter.targets"


class LowRank(nn.Module):
    """What a layer's answer gets added to it; it is nothing before the first step."""

    def __init__(self, layer: Any, how: Adapting):
        super().__init__()
        weight: Tensor = layer.weight
        rows, columns = weight.shape[0], weight.shape[1:]
        # Narrow weights have adapters that small steps still change.
        like: dict[str, Any] = {"device": weight.device}
        like["dtype"] = torch.promote_types(weight.dtype, torch.float32)
        self.left = nn.Parameter(torch.zeros(rows, how.r, **like))
        self.right = nn.Parameter(torch.zeros(how.r, *columns, **like))
        if isinstance(layer, nn.Embedding):
            nn.init.normal_(self.right)
        else:
            nn.init.kaiming_uniform_(self.right, a=5**0.5)
        self.dropout = nn.Dropout(how.dropout)
        self.scale = how.scale

    def forward(self, layer: Any, values: Tensor) -> Tensor:
        """Returns the addition in its own dtype."""
        if isinstance(layer, nn.Embedding):
            added = functional.embedding(values, self.left, layer.padding_idx) @ self.right
            return added * self.scale
        values = self.dropout(values.to(self.right.dtype))
        if isinstance(layer, nn.Linear):
            added = functional.linear(functional.linear(values, self.right), self.left)
            return added * self.scale
        one = isinstance(layer, nn.Conv1d)
        convolve: Any = functional.conv1d if one else functional.conv2d
        inner = convolve(values, self.right, None, layer.stride, layer.padding, layer.dilation)
        left = self.left.reshape(*self.left.shape, *(1,) * (1 if one else 2))
        result: Tensor = convolve(inner, left) * self.scale
        return result

    def merged(self, weight: Tensor) -> Tensor:
        """Returns the weight that answers as the layer with its adapter, in its own dtype."""
        added = (self.left @ self.right.flatten(1)).reshape(weight.shape) * self.scale
        return (weight + added).to(weight.dtype)


def _add(layer: Any, inputs: Any, named: Any, output: Tensor) -> Tensor:
    values = next(iter((*inputs, *named.values())))
    added: Tensor = getattr(layer, NAME)(layer, values)
    return output + added.to(output.dtype)


@dataclass
class Adapter:
    """The adapters of a net, and the net that predicts: it has no part of an adapter, and shares
    every tensor but the weights that are merged with one."""

    how: Adapting
    layers: tuple[str, ...]
    """Paths of the layers that have one."""
    still: frozenset[str]
    """Names of weights and buffers that are the checkpoint's."""
    net: nn.Module
    merged_of: tuple[int, ...] = ()
    """Counts of the changes that the tensors had when they were merged."""

    def merge(self, trained: nn.Module) -> nn.Module:
        """Returns the net that predicts as the trained one does now."""
        layers: list[Any] = [trained.get_submodule(path) for path in self.layers]
        parts = [(each.weight, each.adapter.left, each.adapter.right) for each in layers]
        counts = tuple(tensor._version for each in parts for tensor in each)
        with torch.no_grad():
            if counts != self.merged_of:
                for path, layer in zip(self.layers, layers, strict=True):
                    mine: Any = self.net.get_submodule(path)
                    mine.weight.copy_(layer.adapter.merged(layer.weight))
                self.merged_of = counts
            own = dict(self.net.named_buffers(remove_duplicate=False))
            for name, buffer in trained.named_buffers(remove_duplicate=False):
                if own[name] is not buffer:  # a net may assign a buffer anew
                    own[name].copy_(buffer)
        return self.net

    @property
    def settings(self) -> dict[str, Any]:
        """Returns what merges it, in plain values."""
        return {"scale": self.how.scale, "layers": list(self.layers)}


def adapt(net: nn.Module, how: Adapting) -> Adapter:
    """Adds the adapters, and takes the gradient from every other weight but the new ones. Raises
    ValueError, one line."""
    weights = dict(net.named_parameters(remove_duplicate=False))
    buffers = dict(net.named_buffers(remove_duplicate=False))
    names = [*weights, *buffers]
    new = fitting(how.new, names, ".", "train.new_weights") if how.new else set()
    paths = tuple(_layers(net, how, {id(weights[name]) for name in new & weights.keys()}))
    for weight in weights.values():
        weight.requires_grad_(False)
    for name in new & weights.keys():
        weights[name].requires_grad_(True)
    shared = {id(each): each for each in (*net.parameters(), *net.buffers())}
    try:
        predicts = copy.deepcopy(net, shared)
    except (RuntimeError, TypeError) as fault:
        reason = " ".join(str(fault).split())
        raise ValueError(f"train.adapter: the net cannot be copied: {reason}") from None
    for path in paths:
        layer, mine = net.get_submodule(path), predicts.get_submodule(path)
        merged = weights[f"{path}.weight" if path else "weight"].detach().clone()
        mine.weight = nn.Parameter(merged, requires_grad=False)
        layer.add_module(NAME, LowRank(layer, how))
        layer.register_forward_hook(_add, with_kwargs=True)
    return Adapter(how, paths, frozenset({*names} - new), predicts)


def _layers(net: nn.Module, how: Adapting, new: set[int]) -> Iterator[str]:
    """Yields the paths of what gets an adapter: layers of the known kinds that a target fits, and
    that are not trained as they are."""
    kinds = {
        path: module
        for path, module in net.named_modules()
        if any(True for _ in module.named_parameters(recurse=False))
    }
    chosen = fitting(how.targets, kinds, ".", TARGETS, "layer")
    fit = [path for path in kinds if path in chosen and id(_weight(kinds[path])) not in new]
    refusals = {path: _refusal(kinds[path]) for path in fit}
    taken = [path for path in fit if not refusals[path]]
    for target in how.targets:
        own = [path for path in fitting([target], kinds, ".", TARGETS, "layer") if path in fit]
        if own and all(refusals[path] for path in own):
            first = min(own)
            raise ValueError(f"{TARGETS}: found {target!r}: {first} {refusals[first]}")
    if not taken:
        raise ValueError(
            f"{TARGETS}: {list(how.targets)} fit new weights alone, which are trained as they are; "
            "name layers that train.start has weights of"
        )
    yield from taken


def _weight(layer: nn.Module) -> Any:
    return getattr(layer, "weight", None)


def _refusal(layer: Any) -> str:
    """Returns why a layer gets no adapter, or nothing where it does."""
    kinds = ", ".join(kind.__name__ for kind in KINDS)
    if type(layer) not in KINDS:
        return f"is a {type(layer).__name__}, and an adapter takes {kinds}"
    if hasattr(layer, NAME):
        return f"has a part named {NAME}; rename it"
    if getattr(layer, "groups", 1) != 1 or getattr(layer, "padding_mode", "zeros") != "zeros":
        return "has groups, or pads with more than zeros, which no adapter merges with"
    if isinstance(layer, nn.Embedding) and (layer.max_norm is not None or layer.sparse):
        return "has a max_norm, or sparse gradients, which no adapter merges with"
    if not layer.weight.is_floating_point():
        return f"has weights of {layer.weight.dtype}"
    return ""


def of_adapters(adapter: Adapter) -> tuple[str, ...]:
    """Returns the beginnings of the names that tensors of adapters have."""
    return tuple(f"{path}.{NAME}." if path else f"{NAME}." for path in adapter.layers)


def trained(adapter: Adapter, net: nn.Module) -> dict[str, Tensor]:
    """Returns the adapters' tensors by name."""
    begins = of_adapters(adapter)
    return {n: tensor for n, tensor in net.state_dict().items() if n.startswith(begins)}


def changing(net: nn.Module) -> dict[str, Tensor]:
    """Returns those tensors of a state_dict that a step may change."""
    named = net.named_parameters(remove_duplicate=False)
    still = {name for name, weight in named if not weight.requires_grad}
    return {name: each for name, each in net.state_dict().items() if name not in still}


def load(net: nn.Module, state: Mapping[str, Any]) -> None:
    """Sets the tensors of a whole state, or of what `changing` gave. Raises RuntimeError for other
    names."""
    held = set(net.state_dict())
    expected = held if state.keys() >= held else set(changing(net))
    if state.keys() != expected:
        differing = ", ".join(sorted(state.keys() ^ expected)[:5])
        raise RuntimeError(f"has other adapters: {differing}")
    net.load_state_dict(state, strict=False)
