"""Keras 3's tree of weights, `layers/dense/vars/0`: the variables of the optimizer and of metrics
are told from the model's."""

from collections.abc import Mapping
from typing import Any

from pipeline.frameworks._layer_names import public

from ._lazy_array import LazyArray

OLD = "_layer_checkpoint_dependencies"
"""What TensorFlow 2.12 wrote in place of `layers`."""
OPTIMIZER, METRICS = "optimizer/vars/", "metrics/"


def usual(name: str) -> str:
    """Returns a path as Keras 3 writes it; older versions had other separators."""
    name = name.replace("\\", "/")
    return "/".join("layers" if part == OLD else part for part in name.split("/"))


def of_net(arrays: Mapping[str, LazyArray]) -> dict[str, LazyArray]:
    """Returns those of the model."""
    named = {usual(name): array for name, array in arrays.items()}
    own = {k: v for k, v in named.items() if not k.startswith((OPTIMIZER, METRICS))}
    paths = public(list(own))
    return {paths[name]: array for name, array in own.items()}


def naming(root: Any, arrays: Mapping[str, Any], version: str | None) -> str:
    """Returns the framework's word for these names: Keras 2 went through a model in another order.
    Where the version is not known, it is told by what Keras 3 alone writes beside the arrays."""
    if version is not None:
        return "keras_2_saved" if version.startswith("2.") else "keras_saved"
    groups = {name.rpartition("/")[0] for name in arrays}
    named = any("name" in root[group].attrs for group in groups)
    first = any(usual(name).startswith(("layers/", METRICS)) for name in arrays)
    return "keras_2_saved" if first and not named else "keras_saved"


def of_optimizer(
    arrays: Mapping[str, LazyArray], kind: str | None, settings: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Returns the optimizer's state as the framework takes it; None where there is none."""
    usually = {usual(name): array for name, array in arrays.items()}
    own = {k.removeprefix(OPTIMIZER): v for k, v in usually.items() if k.startswith(OPTIMIZER)}
    if not own or not all(key.isdecimal() and len(key) < 10 for key in own):
        return None
    return state([own[key] for key in sorted(own, key=int)], kind, settings)


def state(values: list[Any], kind: str | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an optimizer's state: its variables in order, the count of steps first, its class and
    settings as far as the file says them, and the rate that it was made with."""
    rate = settings.get("learning_rate")
    return {
        "kind": kind,
        "settings": dict(settings),
        "learning_rate": rate if isinstance(rate, float | int) else None,
        "variables": values,
    }
