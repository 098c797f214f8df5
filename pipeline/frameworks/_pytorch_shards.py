"""A PyTorch training in a folder of torch.distributed.checkpoint, to which each rank writes its own
shards; the same state on as many ranks gives the same bytes.

Tensors lie under torch's usual names, model.<name> and optimizer.state.<parameter>.<slot>, with the
optimizer's groups for whoever else reads them; here what is no tensor is read from a file beside
them, so that no pickle of theirs is. Of an adapter's training there is what a step may change;
where averages predict, they are the model, and what a step changes lies under trained.<name>.
"""

import os
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import Metadata, StorageMeta, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.storage import WriteResult

from . import _pytorch_adapter
from ._pytorch_groups import NAMES
from ._pytorch_training import Training

REST = "rest.pt"
METADATA = ".metadata"
NAMED = {
    "torch.distributed.checkpoint.metadata": {
        *("Metadata", "TensorStorageMetadata", "BytesStorageMetadata", "TensorProperties"),
        *("ChunkStorageMetadata", "MetadataIndex", "StorageMeta", "_MEM_FORMAT_ENCODING"),
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo", "StorageMeta"},
    "torch._utils": {"_get_dtype_from_pickle"},
    "torch": {"Size", "device"},
    "torch.serialization": {"_get_layout"},
    "collections": {"OrderedDict"},
}
"""What the metadata may name; all else is no metadata."""


class _Writer(FileSystemWriter):
    """Writes metadata that hold no random number and no path, and are the same bytes for the same
    values: a pickle says otherwise which of its strings are one object."""

    def storage_meta(self) -> StorageMeta | None:
        return StorageMeta()

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        super().finish(metadata, results)
        with (Path(self.path) / METADATA).open("wb") as file:
            pickler = pickle.Pickler(file, protocol=4)
            pickler.fast = True
            pickler.dump(metadata)
            file.flush()
            os.fsync(file.fileno())


class _Unpickler(pickle.Unpickler):
    """Makes what the metadata is made of, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if name in NAMED.get(module, ()) or (module == "torch" and _is_dtype(name)):
            return super().find_class(module, name)
        raise ValueError(f"the metadata names {module}.{name}, which is none of its parts")


class _Reader(FileSystemReader):
    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        with (Path(self.path) / METADATA).open("rb") as file:
            metadata: Metadata = _Unpickler(file).load()
        metadata.storage_meta = StorageMeta()
        metadata.storage_meta.load_id = self.load_id
        return metadata


def _is_dtype(name: str) -> bool:
    return isinstance(getattr(torch, name, None), torch.dtype)


def state(training: Training) -> dict[str, Any]:
    """Returns the tensors by name, of which each rank has its part, and the rest."""
    weights = dict(training.net.named_parameters())
    held = {name: training.optimizer.state.get(each, {}) for name, each in weights.items()}
    slots = {name: dict(sorted(each.items())) for name, each in held.items()}  # as read, as made
    tensors = {n: {k: v for k, v in s.items() if isinstance(v, Tensor)} for n, s in slots.items()}
    others = {
        n: {k: v for k, v in s.items() if not isinstance(v, Tensor)} for n, s in slots.items()
    }
    names = {id(each): name for name, each in weights.items()}
    groups = [
        {**{k: v for k, v in group.items() if k not in ("params", NAMES)}, NAMES: held}
        for group in training.optimizer.param_groups
        for held in [[names[id(each)] for each in group["params"]]]
    ]
    average = training.average
    return {
        **_nets(training),
        "optimizer": {
            "state": {name: each for name, each in tensors.items() if each},
            "param_groups": [{**_without_names(g), "params": g[NAMES]} for g in groups],
        },
        "rest": {
            "loss": training.loss.state_dict(),
            "scheduler": training.scheduler.state_dict() if training.scheduler else None,
            "groups": groups,
            "slots": {name: each for name, each in others.items() if each},
            "average": {"epochs": average.epochs, "steps": average.steps} if average else None,
        },
    }


def _nets(training: Training) -> dict[str, dict[str, Any]]:
    """Returns the tensors of the nets, that training then has when they are read into them."""
    if training.adapter is not None:
        return {"model": _pytorch_adapter.changing(training.net)}
    if training.average is None:
        return {"model": dict(training.net.state_dict())}
    both = {"model": training.average.net, "trained": training.net}
    return {name: dict(net.state_dict()) for name, net in both.items()}


def write(saved: Mapping[str, Any], folder: Path, leads: bool, group: Any) -> None:
    """Writes what `state` returned; ends when all ranks have written theirs."""
    tensors = {name: each for name, each in saved.items() if name != "rest"}
    if leads:
        folder.mkdir(exist_ok=True)
        with (folder / REST).open("wb") as file:
            torch.save(saved["rest"], file)
    alone = not torch.distributed.is_initialized()
    save(tensors, storage_writer=_Writer(folder), process_group=group, no_dist=alone)


def read(training: Training, folder: Path) -> None:
    """Brings the training to where it was when `write` wrote the folder, whoever holds which part
    of it now. Raises ValueError, one line, for another net's."""
    try:
        rest = torch.load(folder / REST, map_location="cpu", weights_only=True)
        reader = _Reader(folder)
        wanted: dict[str, Any] = _nets(training)
        training.optimizer.state.clear()  # what it held is not there beside what it will
        wanted["optimizer"] = {"state": _slots(training, reader.read_metadata())}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.distributed is disabled")
            load(wanted, storage_reader=reader, no_dist=not torch.distributed.is_initialized())
        training.loss.load_state_dict(rest["loss"])
        _set_optimizer(training, wanted["optimizer"]["state"], rest)
        if training.average is not None:
            training.average.epochs, training.average.steps = rest["average"].values()
    except (RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as fault:
        raise ValueError(f"{folder}: of another model: {' '.join(str(fault).split())}") from None
    if training.scheduler is not None:
        training.scheduler.load_state_dict(rest["scheduler"])


def _slots(training: Training, metadata: Metadata) -> dict[str, dict[str, Tensor]]:
    """Returns room for what the optimizer holds of each parameter, in shards like it."""
    slots: dict[str, dict[str, Tensor]] = {}
    weights = dict(training.net.named_parameters())
    for key, described in metadata.state_dict_metadata.items():
        if not key.startswith("optimizer.state."):
            continue
        assert isinstance(described, TensorStorageMetadata), key
        name, _, slot = key.removeprefix("optimizer.state.").rpartition(".")
        slots.setdefault(name, {})[slot] = _room(weights[name], described)
    return slots


def _room(weight: nn.Parameter, described: TensorStorageMetadata) -> Tensor:
    dtype = described.properties.dtype
    if described.size == weight.shape and weight.ndim:
        return torch.empty_like(weight, dtype=dtype, requires_grad=False)
    return torch.empty(described.size, dtype=dtype)


def _set_optimizer(
    training: Training, slots: Mapping[str, Mapping[str, Tensor]], rest: Mapping[str, Any]
) -> None:
    weights = dict(training.net.named_parameters())
    training.optimizer.param_groups[:] = [
        {"params": [weights[name] for name in group[NAMES]], **_without_names(group)}
        for group in rest["groups"]
    ]
    training.optimizer.state.clear()
    for name, each in _merged(slots, rest["slots"]):
        training.optimizer.state[weights[name]] = each


def _without_names(group: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in group.items() if key != NAMES}


def _merged(
    tensors: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in dict.fromkeys([*tensors, *others]):
        yield name, {**tensors.get(name, {}), **others.get(name, {})}
