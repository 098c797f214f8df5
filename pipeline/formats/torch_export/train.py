"""Trains the programs on, from where the optimizer and the random numbers stood."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .._torch import array, predict, set_values, tensors
from .._zip import data_offset
from ..contract import Arrays, Place
from . import _adapter, _archive, _average
from ._gradient import gradient
from ._judging import judging
from ._names import LOSS, MODEL, OPTIMIZER, TRAIN
from ._optimizer import advance, restore, scaler_of
from ._programs import programs
from ._write import write, write_optimizer
from .screen import screen

if TYPE_CHECKING:
    from torch import nn


def load_training(directory: Path) -> "Trainer":
    """Returns a trainer, and seeds torch as the source would have before its next step.

    Nothing but PyTorch's own operators runs. Raises ValueError when there is no program to train.
    """
    screen(directory)
    if not (directory / OPTIMIZER).is_file():
        raise ValueError(f"{directory}: has no {OPTIMIZER}: exported to predict, not to train on")
    return Trainer(directory)


def optimizer_state(directory: Path) -> dict[str, Place]:
    """Returns where its tensors lie, by their number: only torch can tell their names."""
    if not (directory / OPTIMIZER).is_file():
        return {}
    with zipfile.ZipFile(directory / OPTIMIZER) as archive:
        return {
            name.partition("/")[2]: (OPTIMIZER, data_offset(archive, info), info.file_size, "uint8")
            for name, info in archive.NameToInfo.items()
            if "/data/" in name
        }


class Trainer:
    """A training that goes on from the files, and carries its state from step to step."""

    def __init__(self, directory: Path):
        import torch

        self.saved = torch.load(directory / OPTIMIZER, weights_only=True, mmap=True)
        self.stepping = self.saved.get("stepping", {})
        self.averaging = self.stepping.get("averaging")
        self.adapter = self.stepping.get("adapter")
        self.programs = programs(directory, apart=bool(self.averaging or self.adapter))
        self.signature = _archive.signature(directory)
        self.targets = self.signature.get("targets", ["target"])
        self.model, self.train, self.loss = (
            self.programs[each].module() for each in (MODEL, TRAIN, LOSS)
        )
        self._merged_of: tuple[int, ...] = ()
        self.weights = dict(self.train.named_parameters())
        self.optimizer, self.scheduler = restore(self.saved, self.weights)
        self.scaler = scaler_of(self.stepping)
        self.seed(self.saved["seed"])

    def seed(self, value: int) -> None:
        """Seeds the random numbers from here on; `save` writes the value for the next training."""
        import torch

        self.saved["seed"] = value
        torch.manual_seed(value)

    def step(self, inputs: Arrays, targets: Arrays) -> np.ndarray:
        """Makes one step and returns its loss, shape ()."""
        import torch

        names = [*self.signature["inputs"], *self.targets]
        self.train.zero_grad()
        loss = gradient(
            self.train,
            tensors({**inputs, **self._named(targets)}, names),
            self.stepping,
            self.scaler,
        )
        if self.scaler is not None:
            self.scaler.unscale_(self.optimizer)
        if self.saved["clip_norm"] is not None:
            torch.nn.utils.clip_grad_norm_(self.weights.values(), self.saved["clip_norm"])
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        if self.averaging is not None:
            _average.add(self.averaging, self.model, self.train)
        if "schedule_by" in self.stepping:
            advance(self.scheduler)
        return np.asarray(loss)

    def end_epoch(self, val_loss: float = float("nan")) -> None:
        """Brings the learning rate to that of the next epoch."""
        if self.averaging is not None:
            self.averaging["epochs"] += 1
        if "schedule_by" not in self.stepping:
            advance(self.scheduler, val_loss)

    def set_learning_rate(self, value: float) -> None:
        """Sets that of every group. Raises ValueError where a schedule sets it."""
        if self.scheduler is not None:
            raise ValueError(f"the schedule {self.saved['scheduler']['class']} sets it")
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def predict(self, inputs: Arrays) -> Arrays:
        """Returns answers with the weights as they are now."""
        self._share_weights()
        return predict(self.model, inputs, self.signature)

    def evaluate(self, inputs: Arrays, targets: Arrays) -> tuple[Arrays, np.ndarray]:
        """Returns answers in evaluation mode, and their loss, shape ()."""
        import torch

        answers = self.predict(inputs)
        names = self.signature.get("loss", [*self.signature["outputs"], *self.targets])
        with torch.no_grad(), judging("own" in self.signature):
            loss = self.loss(*tensors({**inputs, **answers, **self._named(targets)}, names))
        return answers, np.asarray(loss)

    def _named(self, targets: Arrays) -> Arrays:
        """Returns them as the programs call them: before targets had names there was one."""
        if "targets" in self.signature:
            return targets
        return dict(zip(self.targets, targets.values(), strict=True))

    def predictor(self) -> "nn.Module":
        """Returns the program that predicts, as a module in evaluation mode."""
        self._share_weights()
        for module in self.model.modules():
            module.training = False  # baked in; eval() of an exported program raises
        predictor: nn.Module = self.model
        return predictor

    def state(self) -> Arrays:
        """Returns net/<name> of every weight and buffer, loss/<name> of the loss' own, and
        optimizer/<parameter>/<slot>."""
        return {name: values.copy() for name, values in self.views()}

    def views(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the same, over the training's own memory."""
        import torch

        self._share_weights()
        state = {f"net/{name}": each for name, each in self.model.state_dict().items()}
        for name, each in self.train.state_dict().items():
            if _adapter.belongs(name, self.adapter):
                state[f"trained/{name}"] = each
            elif f"net/{name}" not in state:
                state[f"loss/{name.partition('.')[2]}"] = each
        for name, weight in self.weights.items():
            slots = self.optimizer.state.get(weight, {})
            state |= {f"optimizer/{name}/{k}": torch.as_tensor(v) for k, v in slots.items()}
        if self.averaging is not None:
            trained = self.train.state_dict().items()
            state |= {f"trained/{name}": each for name, each in trained if f"net/{name}" in state}
            state["average/steps"] = torch.tensor(self.averaging["steps"])
        if self.scaler is not None:
            scaling = self.scaler.state_dict().items()
            state |= {f"scaling/{name}": torch.tensor(value) for name, value in scaling}
        return ((name, array(each)) for name, each in state.items())

    def set_weights(self, weights: Arrays) -> None:
        """Sets weights and buffers named net/<name>, in each program that has them; of those that
        have an adapter, until the next step, what predicts alone."""
        self._share_weights()
        for program in (self.model, *([] if self._averages else [self.train])):
            own = program.state_dict()
            named = {name.removeprefix("net/"): values for name, values in weights.items()}
            apart = self._merged if program is self.train else set()
            for name in (named.keys() & own.keys()) - apart:
                set_values(own[name], named[name])

    def save(self, directory: Path) -> None:
        """Writes both files anew, from which loading goes on as this training would."""
        self._share_weights()
        saved = self.saved | {"state": self.optimizer.state_dict()}
        if self.scheduler is not None:
            saved["scheduler"] = self.saved["scheduler"] | {"state": self.scheduler.state_dict()}
        if self.scaler is not None:
            saved["stepping"] = self.stepping | {"scaling": self.scaler.state_dict()}
        write_optimizer(directory, saved)
        write(directory, self.programs, self.signature)

    def _share_weights(self) -> None:
        """Hands the trained weights to the other programs, or their averages to that of the loss.
        That which trains lacks second names of a weight, the others what they have no use for."""
        apart = self._merged
        weights = {n: each for n, each in self.train.state_dict().items() if n not in apart}
        if not self._averages:
            self.model.load_state_dict(weights, strict=False)
        if self.adapter is not None:
            changes = _adapter.changes(self.adapter, self.train)
            if changes != self._merged_of:
                _adapter.merge(self.adapter, self.model, self.train)
                self._merged_of = changes
        self.loss.load_state_dict({**weights, **self.model.state_dict()}, strict=False)

    @property
    def _merged(self) -> set[str]:
        """Returns the names of the weights that are merged with an adapter in what predicts."""
        return {name for name, _ in _adapter.names(self.adapter)} if self.adapter else set()

    @property
    def _averages(self) -> bool:
        """Returns whether the program that predicts has averages by now."""
        return self.averaging is not None and self.averaging["steps"] > 0
