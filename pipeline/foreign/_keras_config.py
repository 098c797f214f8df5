"""What a Keras file says of its training: its configuration is read as JSON, to tell of it, and
nothing is made of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

CODE = ("Lambda", "__lambda__")
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Compiled:
    """What the model was compiled with."""

    optimizer: str | None = None
    """The optimizer's class."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the optimizer, those that are numbers and texts."""
    loss: str | None = None
    metrics: Any = None

    @property
    def hyperparameters(self) -> dict[str, Any]:
        """Returns what is known of the training, JSON's values."""
        settings = {f"optimizer.{key}": value for key, value in self.settings.items()}
        named = {"optimizer": self.optimizer, "loss": self.loss, **settings}
        return {key: value for key, value in named.items() if value is not None}

    @property
    def notes(self) -> list[str]:
        """Returns a sentence on what the file says of its training and what is not taken."""
        if self.loss is None:
            return []
        return [
            f"the file was compiled with the loss {self.loss}; the loss that counts is model.loss"
        ]


def compiled(config: Any) -> Compiled:
    """Returns what `compile_config` of a `.keras` file or `training_config` of an `.h5` says; it
    may be anything."""
    if not isinstance(config, dict):
        return Compiled()
    optimizer = config.get("optimizer_config", config.get("optimizer"))
    kind, settings = _name(optimizer), {}
    if isinstance(optimizer, dict) and isinstance(optimizer.get("config"), dict):
        settings = {
            key: value
            for key, value in optimizer["config"].items()
            if isinstance(key, str) and isinstance(value, PLAIN) and key != "name"
        }
    return Compiled(kind, settings, _name(config.get("loss")), config.get("metrics"))


def code_notes(config: Any) -> list[str]:
    """Returns a sentence where the configuration holds code, which stays where it is."""
    if any(each.get("class_name") in CODE for each in _dicts(config)):
        return ["the file holds code of a Lambda layer, which was not read: model.net is the net"]
    return []


def _name(entry: Any) -> str | None:
    """Returns the name of a class or function, which stands by itself or in an entry, with or
    without the package that it is registered under."""
    if isinstance(entry, dict):
        inner = entry.get("config")
        entry = inner if entry.get("class_name") == "function" else entry.get("class_name")
    return entry.rpartition(">")[2][:200] if isinstance(entry, str) else None


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
        if isinstance(each, dict | list):
            waiting += each.values() if isinstance(each, dict) else each
