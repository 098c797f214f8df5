"""Goes on with the training that was exported; the loaded endpoints do all of the work."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .._arrays import decoded
from ..contract import Arrays, Place
from ._files import DATA, FOLDER, INDEX, MEMBERS, read_signature
from ._index import VALUE, entry, key, places, table
from .load import predictor, tensors
from .screen import screen


def load_training(directory: Path) -> "Trainer":
    """Refuses what `load` refuses, and a model that was exported to predict only."""
    screen(directory)
    if "training" not in read_signature(directory):
        raise ValueError(
            f"saved_model: {directory / FOLDER} holds no training program; export it with one"
        )
    return Trainer(directory)


def optimizer_state(directory: Path) -> dict[str, Place]:
    """Returns where the optimizer's variables lie; none where no training was exported."""
    return places(directory, "optimizer")


class Trainer:
    """A training that goes on where it stood; formats/contract.py says what its methods do."""

    def __init__(self, directory: Path):
        import tensorflow as tf

        folder = directory / FOLDER
        self._signature = read_signature(directory)
        self._model = tf.saved_model.load(str(folder))
        self._averages = "averages" in self._signature["training"]
        names = ["weights", "optimizer", "epochs", "train_step", "end_epoch", "evaluate"]
        for name in [*names, *(("trained", "average_steps") if self._averages else ())]:
            if not hasattr(self._model, name):
                raise ValueError(f"saved_model: {folder} lacks {name}; export it again")
        self._predict = predictor(self._model, self._signature)
        self._files = {name: (folder / name).read_bytes() for name in MEMBERS - {INDEX, DATA}}
        self._trained = self._model.trained if self._averages else self._model.weights
        self._entries = _entries(folder, set(self._variables()))

    def seed(self, value: int) -> None:
        """Gives each generator of random numbers a state of its own."""
        for index, name in enumerate(self._signature["training"]["seeds"]):
            drawn = np.random.SeedSequence([value, index]).generate_state(1)[0]
            self._trained[name].assign(np.array([drawn >> 1, 0]))

    def set_learning_rate(self, value: float) -> None:
        """Raises ValueError where a schedule sets it."""
        rates = [name for name in self._model.optimizer if name.endswith("/learning_rate")]
        if self._signature["training"]["schedule"] or not rates:
            raise ValueError("the schedule of the model sets it")
        for name in rates:
            self._model.optimizer[name].assign(value)

    def step(self, inputs: Arrays, targets: Arrays) -> np.ndarray:
        """Returns the loss before the step, a scalar."""
        loss = self._model.train_step(*self._arguments(inputs, targets))
        return np.asarray(loss.numpy())

    def end_epoch(self, val_loss: float = float("nan")) -> None:
        """Brings the learning rate to that of the next epoch."""
        self._model.end_epoch()

    def predict(self, inputs: Arrays) -> Arrays:
        """Answers in evaluation mode, with the weights as they are now."""
        return self._predict(inputs)

    def predictor(self) -> None:
        """Returns no program: other formats are made from the Keras model."""

    def evaluate(self, inputs: Arrays, targets: Arrays) -> tuple[Arrays, np.ndarray]:
        """Returns answers in evaluation mode, and their loss, a scalar."""
        values, loss = self._model.evaluate(*self._arguments(inputs, targets))
        answers = {name: decoded(values[name].numpy()) for name in self._signature["outputs"]}
        return answers, np.asarray(loss.numpy())

    def state(self) -> Arrays:
        """Returns net/<path> of every weight and seed, optimizer/<path> of its variables."""
        return dict(self.views())

    def views(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yields the same, a copy of one variable at a time."""
        groups = {"net": self._model.weights, "optimizer": self._model.optimizer}
        groups |= {"trained": self._trained} if self._averages else {}
        if self._averages:
            yield "average/steps", np.asarray(self._model.average_steps)
        for group, variables in groups.items():
            for name, variable in variables.items():
                yield f"{group}/{name}", variable.numpy()

    def set_weights(self, weights: Arrays) -> None:
        """Sets variables named net/<path>."""
        for name, value in weights.items():
            self._model.weights[name.removeprefix("net/")].assign(value)

    def save(self, directory: Path) -> None:
        """Writes the graph as it was loaded, the variables as they are; same state, same bytes."""
        import tensorflow as tf

        folder = directory / FOLDER
        for name, content in self._files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        variables = self._variables()
        tf.raw_ops.SaveV2(
            prefix=_prefix(folder),
            tensor_names=list(self._entries),
            shape_and_slices=[""] * len(self._entries),
            tensors=[
                variables[name].read_value() if value is None else value
                for name, value in self._entries.items()
            ],
        )

    def _arguments(self, inputs: Arrays, targets: Arrays) -> list[Any]:
        # Before targets had names there was one, whatever it is called since.
        names = self._signature["training"].get("targets", list(targets))
        of_targets = [tensors(targets, names)] if names else []
        return [tensors(inputs, self._signature["inputs"]), *of_targets]

    def _variables(self) -> dict[str, Any]:
        """Returns them by the names that they have in the file."""
        model = self._model
        variables = {key("weights", name): each for name, each in model.weights.items()}
        variables |= {key("optimizer", name): each for name, each in model.optimizer.items()}
        if self._averages:
            variables |= {key("trained", name): each for name, each in model.trained.items()}
            variables["average_steps" + VALUE] = model.average_steps
        return variables | {"epochs" + VALUE: model.epochs}


def _entries(folder: Path, variables: set[str]) -> dict[str, Any]:
    """Returns what the file of variables holds, in its order: None for a variable, else a value."""
    import tensorflow as tf

    stored = {name.decode(): entry(value) for name, value in table(folder / INDEX) if name}
    entries: dict[str, Any] = {}
    for name in sorted(stored, key=lambda name: stored[name].offset):
        entries[name] = None
        if name not in variables:
            (entries[name],) = tf.raw_ops.RestoreV2(
                prefix=_prefix(folder),
                tensor_names=[name],
                shape_and_slices=[""],
                dtypes=[tf.as_dtype(stored[name].dtype)],
            )
    return entries


def _prefix(folder: Path) -> str:
    """Returns how TensorFlow names index and data together."""
    return str(folder / INDEX.removesuffix(".index"))
