"""The state as numpy arrays, and the two graphs that it goes through."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import at_least_one_row
from .._onnxruntime import names, session
from ..contract import Arrays
from . import _masks, _states
from ._files import FOLDER, PREDICT, STEP
from ._masks import MASKS
from .screen import screen


class Trainer:
    """A training that goes on where its directory says."""

    def __init__(self, directory: Path):
        screen(directory)
        self.directory = directory
        self.described = _states.read(directory)
        self.entries: list[_states.Entry] = self.described["states"]
        self.values = {each["input"]: _states.load_array(directory, each) for each in self.entries}
        self.rates: list[list[float]] = self.described["learning_rates"]
        self.masks: list[_masks.Mask] = self.described.get(MASKS, [])
        self.generator = _masks.Generator(self.described["generator"]) if self.masks else None
        self._sessions: dict[str, Any] = {}

    def step(self, inputs: Arrays, targets: Arrays) -> np.ndarray:
        """Raises ValueError for fewer rows than the source could train on, one where it has batch
        norm."""
        least = self.described["rows"]
        rows = len(next(iter(inputs.values())))
        if rows < least:
            raise ValueError(f"onnx_train: found {rows} rows, expected at least {least}")
        rates = {f"lr/{n}": np.asarray(rate) for n, rate in enumerate(self.rates[0])}
        given = {**inputs, **targets}
        if self.generator is not None:
            rates[MASKS] = self.generator.all(self.masks, given)
        answers = self._run(STEP, given | rates)
        for each in self.entries:
            if each["output"] is not None:
                self.values[each["input"]] = answers[each["output"]]
        return answers["loss"]

    def end_epoch(self, val_loss: float = float("nan")) -> None:
        if not self.described["scheduled"]:
            return
        if len(self.rates) == 1:
            raise ValueError("onnx_train: the learning rates written down end here; export anew")
        self.rates = self.rates[1:]

    def predict(self, inputs: Arrays) -> Arrays:
        """Returns the answers. A batch without rows never reaches onnxruntime, some of whose
        operators do not survive it."""
        if min(len(inputs[name]) for name in self.described["inputs"]):
            return self._run(PREDICT, inputs)
        ones = {name: at_least_one_row(each) for name, each in inputs.items()}
        return {name: each[:0] for name, each in self._run(PREDICT, ones).items()}

    def state(self) -> Arrays:
        return {name: values.copy() for name, values in self.views()}

    def views(self) -> Iterator[tuple[str, np.ndarray]]:
        for each in self.entries:
            if not each["name"].startswith("constant/"):
                yield each["name"], self.values[each["input"]]

    def save(self, directory: Path) -> None:
        (directory / FOLDER).mkdir(exist_ok=True)
        for file in (STEP, PREDICT):
            shutil.copyfile(self.directory / file, directory / file)
        entries = [dict(each) for each in self.entries]
        _states.locate(entries, [self.values[each["input"]] for each in entries], directory)
        changed: dict[str, Any] = {"learning_rates": self.rates, "states": entries}
        if self.generator is not None:
            changed["generator"] = self.generator.described()
        _states.write(directory, self.described | changed)

    def _run(self, file: str, given: Arrays) -> Arrays:
        if file not in self._sessions:
            self._sessions[file] = session(self.directory / file)
        graph, values = self._sessions[file], self.values | given
        wanted = names(graph.get_outputs())
        answers = graph.run(wanted, {name: values[name] for name in names(graph.get_inputs())})
        return dict(zip(wanted, answers, strict=True))
