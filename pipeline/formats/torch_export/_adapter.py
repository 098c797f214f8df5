"""The adapter that is trained, which the weights of the program that predicts are merged with."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "adapter"


def names(settings: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the name of each weight that has an adapter, and the beginning of those of its
    parts."""
    paths = [f"{path}." if path else "" for path in settings["layers"]]
    return [(f"{path}weight", f"{path}{NAME}.") for path in paths]


def belongs(name: str, settings: "dict[str, Any] | None") -> bool:
    """Returns whether the tensor of this name is a part of an adapter."""
    return settings is not None and name.startswith(tuple(begin for _, begin in names(settings)))


def changes(settings: dict[str, Any], trains: "nn.Module") -> tuple[int, ...]:
    """Returns counts that are others once a weight or a part of its adapter has changed."""
    state = trains.state_dict(keep_vars=True)
    parts = [
        each for name, begin in names(settings) for each in (name, f"{begin}left", f"{begin}right")
    ]
    return tuple(state[each]._version for each in parts)


def merge(settings: dict[str, Any], predicts: "nn.Module", trains: "nn.Module") -> None:
    """Sets the weights of the program that predicts to those that answer as the trained ones with
    their adapters, as the source does."""
    merged, state = predicts.state_dict(), trains.state_dict()
    for name, begin in names(settings):
        weight: Tensor = state[name]
        added = state[f"{begin}left"] @ state[f"{begin}right"].flatten(1)
        added = added.reshape(weight.shape) * settings["scale"]
        merged[name].copy_((weight + added).to(weight.dtype))
