"""A PyTorch training that several processes take each step of: every rank has its own rows, and DDP
or FSDP2 makes one gradient of theirs.

Without a process group it is the one process that looks at what they wrote.
"""

import copy
import datetime
import gc
import hashlib
import operator
from collections.abc import Callable, Mapping
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous

from . import _pytorch_batch_norm, _pytorch_shards, _pytorch_steps, pytorch
from . import _pytorch_demands as demands
from ._pytorch_own_step import demand_no_own_backward
from ._pytorch_training import Training

Arrays = Mapping[str, np.ndarray]
BEGINNING = datetime.timedelta(minutes=5)
"""That ranks wait for each other to have imported and built what they train."""


class _Loss(nn.Module):
    """The loss of a step as a module, which is what DDP is about."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self.net = training.net
        self._training = [training]

    def forward(self, inputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        return _pytorch_steps.judged(self._training[0], inputs, targets)[1]


class Ranks:
    """The framework of a training over ranks."""

    SUFFIX = ".dcp"
    TRAINS = True
    FAULTS: tuple[type[Exception], ...] = ()

    adapt = staticmethod(pytorch.adapt)
    end_epoch = staticmethod(pytorch.end_epoch)
    evaluate = staticmethod(pytorch.evaluate)
    sources = staticmethod(pytorch.sources)
    randomness = staticmethod(pytorch.randomness)
    set_randomness = staticmethod(pytorch.set_randomness)
    set_weights = staticmethod(pytorch.set_weights)
    state = staticmethod(pytorch.state)
    views = staticmethod(pytorch.views)

    def __init__(self, strategy: str) -> None:
        self.strategy = strategy
        self.asked: Callable[[], bool] = lambda: False
        """Whether this rank was asked to end."""
        self.end: Callable[[], None] = lambda: None
        """Is called on every rank after the same step, once any of them was asked to end."""
        self._loss: nn.Module | None = None
        self._counts = True
        self._writing: Any = None

    @property
    def rank(self) -> int:
        return distributed.get_rank() if distributed.is_initialized() else 0

    @property
    def world(self) -> int:
        return distributed.get_world_size() if distributed.is_initialized() else 1

    def meet(self, timeout: float) -> None:
        """Brings the ranks together, of which torchrun's variables tell. What is written has calls
        of its own, for it is written while training goes on."""
        wait = datetime.timedelta(seconds=timeout)
        store, rank, world = next(rendezvous("env://", timeout=BEGINNING))
        store.set(f"begun/{rank}", "")
        store.wait([f"begun/{each}" for each in range(world)], BEGINNING)
        given: dict[str, Any] = {"store": store, "rank": rank, "world_size": world}
        distributed.init_process_group("gloo", timeout=wait, **given)
        self._writing = distributed.new_group(backend="gloo", timeout=wait)

    def part(self) -> None:
        """Ends what `meet` began. DDP goes first: the last to hold a group would wait for the
        group's threads, with the lock that one of them may need to end."""
        self._loss = None
        gc.collect()
        distributed.destroy_process_group()

    def spread(self, training: Training) -> None:
        """Has the ranks share the training, which all have built alike. Raises ValueError, one
        line, for what they cannot."""
        _pytorch_batch_norm.join(training.net, lambda: self._counts)
        loss = _Loss(training)
        if self.strategy == "fsdp":
            from ._pytorch_fsdp import shard

            shard(training)
            self._loss = loss
            return
        # Buckets that are made anew after a first step would sum otherwise in a resumed training.
        self._loss = nn.parallel.DistributedDataParallel(
            loss,
            forward_sync_buffers=False,
            find_unused_parameters=True,
            gradient_as_bucket_view=True,
        )

    def seed(self, value: int, training: Training | None = None) -> None:
        """Seeds the generators: those of each rank otherwise."""
        own = int(np.random.SeedSequence([value, self.rank]).generate_state(1)[0])
        pytorch.seed(own if self.world > 1 else value, training)

    def step(self, training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray) -> Tensor:
        """Takes one step on the rows of these numbers, of which this rank reads its own; returns
        the loss of all of them."""
        gradient = partial(self._gradient, training, inputs, targets, rows)
        return _pytorch_steps.step(training, gradient)

    def _gradient(
        self, training: Training, inputs: Arrays, targets: Arrays, rows: np.ndarray
    ) -> Tensor:
        losses: list[Tensor] = []
        batches = list(training.accumulation.batches_of(len(rows)))
        for number, batch in enumerate(batches):
            self._sync(number == len(batches) - 1)
            own = np.array_split(rows[batch], self.world)[self.rank]
            self._counts = len(own) > 0
            read = own if self._counts else rows[batch][:1]
            part = (pytorch.tensors(training, arrays, read) for arrays in (inputs, targets))
            assert self._loss is not None, "a training that was spread"
            with training.autocast():
                loss = self._loss(*part)
            if training.own_step is not None and not losses:
                demand_no_own_backward(training.net)
            demands.demand_one_number(loss)
            share = len(own) / len(rows)
            (loss * (share * self.world)).backward()  # the ranks' gradients are averaged
            losses.append(loss.detach().double() * share)
        return self._of_all(reduce(operator.add, losses))

    def _sync(self, last: bool) -> None:
        """Has the gradient of several batches summed over ranks once, with the last."""
        if isinstance(self._loss, nn.parallel.DistributedDataParallel):
            self._loss.require_backward_grad_sync = last

    def _of_all(self, loss: Tensor) -> Tensor:
        """Returns the sum of the ranks' losses; all end when one is asked to."""
        both = torch.stack([loss.reshape(()), torch.tensor(float(self.asked())).double()])
        distributed.all_reduce(both)
        if both[1] > 0:
            self.end()
        return both[0]

    def gathered(self, value: Any) -> list[Any] | None:
        """Returns the ranks' values to rank 0, and None to the others."""
        values: list[Any] | None = [None] * self.world if self.rank == 0 else None
        distributed.gather_object(value, values)
        return values

    def of_first(self, value: Any) -> Any:
        """Returns the value that rank 0 has."""
        values = [value]
        distributed.broadcast_object_list(values, src=0)
        return values[0]

    def wait(self) -> None:
        """Returns when all ranks have come here."""
        distributed.barrier()

    def buffers_apart(self, training: Training) -> list[str]:
        """Returns the names of buffers that have other values on other ranks."""
        buffers = {name: pytorch.array(each) for name, each in training.net.named_buffers()}
        digests = {name: hashlib.sha256(each.tobytes()).digest() for name, each in buffers.items()}
        every = self.gathered(digests)
        apart = [n for n in digests if len({each[n] for each in every}) > 1] if every else []
        names: list[str] = self.of_first(apart)
        return names

    def save(self, training: Training, path: Path) -> None:
        """Writes this rank's part; ends when all have written theirs."""
        saved = _pytorch_shards.state(training)
        _pytorch_shards.write(saved, path, self.rank == 0, self._writing)

    def snapshot(self, training: Training) -> Callable[[Path], None]:
        """Returns what writes a copy of this rank's part, from another thread and later."""
        saved = copy.deepcopy(_pytorch_shards.state(training))
        return lambda path: _pytorch_shards.write(saved, path, self.rank == 0, self._writing)

    def load(self, training: Training, path: Path) -> None:
        """Reads what any number of ranks wrote. Raises ValueError for another net's folder."""
        _pytorch_shards.read(training, path)
