"""The average of the weights that are trained, which the program that predicts holds."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn


def add(settings: dict[str, Any], predicts: "nn.Module", trains: "nn.Module") -> None:
    """Takes in the weights as they are after a step, as the source does, and counts it."""
    if settings["epochs"] + 1 < settings["start"]:
        return
    steps = settings["steps"]
    share = 1 - settings["decay"] if settings["kind"] == "ema" and steps else 1 / (steps + 1)
    averages = predicts.state_dict()
    for name, trained in trains.state_dict().items():
        if name in averages and steps and trained.is_floating_point():
            averages[name].lerp_(trained, share)
        elif name in averages:
            averages[name].copy_(trained)
    settings["steps"] += 1
