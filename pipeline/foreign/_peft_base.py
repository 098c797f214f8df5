"""The net that an adapter of peft was trained in: most bases were saved as another class, without
the head of the task or with another one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import _hugging_face_nets as nets
from . import _hugging_face_weights as files
from . import _lora, hugging_face
from .lazy_mapping import LazyMapping

TASKS = {
    "SEQ_CLS": "FOR_SEQUENCE_CLASSIFICATION_MAPPING",
    "TOKEN_CLS": "FOR_TOKEN_CLASSIFICATION_MAPPING",
    "QUESTION_ANS": "FOR_QUESTION_ANSWERING_MAPPING",
    "CAUSAL_LM": "FOR_CAUSAL_LM_MAPPING",
    "SEQ_2_SEQ_LM": "FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING",
    "FEATURE_EXTRACTION": "MAPPING",
}
"""peft's task_type -> what transformers calls its table of the classes for that task, after
`MODEL_`."""


@dataclass(frozen=True)
class Base:
    """The weights of a base, by the names that its adapter knows them by."""

    weights: Mapping[str, Any]
    config: Mapping[str, Any] | None = None
    """What config.json has to say in the place of the base's own; None where that is right."""
    said: Mapping[str, str] = field(default_factory=dict)
    """What is known of the change, in words."""


def fitting(config: Mapping[str, Any], state: Mapping[str, Any], base: Path, weights: Any) -> Base:
    """Returns the base as the class that the adapter was trained in, which its configuration names
    or its task does; of a file without a configuration with the names that the adapter has.

    Raises DataError, one line, where transformers builds no such class of it, and ValueError where
    it has none.
    """
    layers, plain = _lora.parts(state)
    if _fits(layers, plain, state, weights):
        return Base(weights)
    is_folder = hugging_face.recognizes(base)
    described = files.config(base) if is_folder else {}
    architecture = _class_of(config, described) if is_folder else None
    if architecture is None:
        prefix = _prefix([f"{layer}.weight" for layer in layers], weights)
        names = {f"{prefix}{name}": name for name in weights}
        return Base(LazyMapping(names, weights.__getitem__))
    return _as_class(architecture, described, base, {name: state[key] for name, key in plain})


def _fits(layers: Any, plain: Any, state: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    alike = (
        (own := _lora.own_name(name, weights)) and weights[own].shape == state[key].shape
        for name, key in plain
    )
    return all(_lora.own_name(f"{layer}.weight", weights) for layer in layers) and all(alike)


def _class_of(config: Mapping[str, Any], described: Mapping[str, Any]) -> str | None:
    """Returns the name of the class that the adapter says it was trained in; None where it says
    none that transformers has."""
    mapping = config.get("auto_mapping")
    if isinstance(mapping, dict) and isinstance(mapping.get("base_model_class"), str):
        return str(mapping["base_model_class"])
    table = TASKS.get(str(config.get("task_type")))
    if table is None:
        return None
    try:
        import transformers
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    except ImportError:
        return None  # reading the base has said so
    kind = described.get("model_type")
    if kind not in CONFIG_MAPPING:
        return None
    classes: Mapping[Any, Any] = getattr(transformers, f"MODEL_{table}")
    described_by = CONFIG_MAPPING[kind]
    if described_by not in classes:
        raise ValueError(
            f"task_type is {config['task_type']}, for which transformers has no class of the "
            f"base's model_type {kind}"
        )
    named = classes[described_by]
    return str((named[0] if isinstance(named, tuple) else named).__name__)


def _as_class(
    architecture: str, described: Mapping[str, Any], base: Path, plain: Mapping[str, Any]
) -> Base:
    """Returns what is in the folder `base` as a class of transformers, with as many labels as the
    adapter's own head has."""
    changed = {**described, "architectures": [architecture]}
    net = nets.outline(base, architecture, hugging_face.settings(changed))
    for count in _counts_of_labels(net, plain):
        labels = {str(n): f"LABEL_{n}" for n in range(count)}
        with_labels = {
            **{key: value for key, value in changed.items() if key != "num_labels"},
            "id2label": labels,
            "label2id": {name: int(n) for n, name in labels.items()},
        }
        other = nets.outline(base, architecture, hugging_face.settings(with_labels))
        if not _misshapen(other, plain):
            changed, net = with_labels, other
            break
    notes: list[str] = []
    weights = files.weights(base, notes)
    names = nets.own_names(base, net, weights)
    wanted = net.state_dict()
    left = [name for name in names if name not in wanted]
    said = {"class": architecture} | ({"left_of_base": ", ".join(left)[:500]} if left else {})
    of_the_class = {name: own for name, own in names.items() if name in wanted}
    return Base(LazyMapping(of_the_class, weights.__getitem__), changed, said)


def _misshapen(net: Any, plain: Mapping[str, Any]) -> list[str]:
    own = net.state_dict()
    return [name for name in plain if name in own and own[name].shape != plain[name].shape]


def _counts_of_labels(net: Any, plain: Mapping[str, Any]) -> list[int]:
    """Returns how many labels the net may have: what a head that does not fit begins with."""
    sizes = [tuple(plain[name].shape) for name in _misshapen(net, plain)]
    return sorted({size[0] for size in sizes if size and 0 < size[0] <= nets.MOST_LAYERS})


def _prefix(wanted: list[str], weights: Mapping[str, Any]) -> str:
    """Returns what stands before all of the base's names in the adapter's: `bert.` where the
    base is the net without a head; nothing where no one prefix does."""
    common: set[str] | None = None
    for name in wanted:
        parts = name.split(".")
        starts = range(len(parts))
        fitting = {
            ".".join(parts[:n]) + "." * bool(n) for n in starts if ".".join(parts[n:]) in weights
        }
        common = fitting if common is None else common & fitting
    return min(common or {""}, key=len)


def write_config(base: Base, folder: Path) -> None:
    """Writes config.json where the base's own describes another class."""
    if base.config is not None:
        (folder / "config.json").write_text(json.dumps(base.config, indent=2) + "\n")
