"""What transformers itself knows of a net: how its tensors are called now, and which of its
parameters decay."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor, nn

LARGEST = 1 << 31
MOST_LAYERS = 10_000
SLACK = 64 << 20
"""Elements that a net may have more than twice those of its weights: a new head's, or buffers."""
IGNORED = "_keys_to_ignore_on_load_unexpected"
"""An attribute of transformers' classes: names of what older files hold beside the weights."""
REFUSALS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, OSError),
    *(RuntimeError, TypeError, ValueError),
)
"""What transformers raises for a configuration that it cannot build a net of."""
NO_DECAY = ("bias", "layernorm", "rmsnorm", r"(?:^|\.)norm(?:$|\.)", r"_norm(?:$|\.)")
"""Names of parameters that the Trainer of transformers does not decay, as its own rule says."""


def outline(path: Path, architecture: str, config: Mapping[str, Any]) -> "nn.Module":
    """Returns the net without any values. Raises DataError, one line."""
    import torch

    _demand_small(path, config)
    try:
        import transformers
        from huggingface_hub.errors import StrictDataclassError
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING
    except ImportError:
        raise DataError(
            f"{path}: a model of transformers, which is not installed; install the extra "
            "transformers"
        ) from None
    kind = config.get("model_type")
    named: Any = getattr(transformers, architecture, None)
    is_net = isinstance(named, type) and issubclass(named, transformers.PreTrainedModel)
    if kind not in CONFIG_MAPPING or not is_net:
        raise DataError(
            f"{path / 'config.json'}: {architecture} of model_type {kind}, which transformers "
            f"{transformers.__version__} does not have; install one that has, or write the class "
            "in models/ and adopt the file of weights"
        )
    settings = {key: value for key, value in config.items() if key != "model_type"}
    try:
        with torch.device("meta"):
            net: nn.Module = named(CONFIG_MAPPING[kind].from_dict(settings))
    except (*REFUSALS, StrictDataclassError) as fault:
        raise DataError(
            f"{path / 'config.json'}: transformers builds no {architecture} of it: "
            f"{' '.join(str(fault).split())[:300]}; correct it"
        ) from None
    return net


def _demand_small(path: Path, value: Any, key: str = "") -> None:
    """Raises DataError for a number that no net has, with which building it would not end."""
    if isinstance(value, Mapping):
        for name, each in value.items():
            _demand_small(path, each, str(name))
    elif isinstance(value, list):
        for each in value:
            _demand_small(path, each, key)
    elif type(value) is int:
        most = MOST_LAYERS if "layer" in key or key.startswith(("num_h", "n_h")) else LARGEST
        if key.endswith(("size", "dim", "id")):
            most = LARGEST
        if abs(value) > most:
            raise DataError(
                f"{path / 'config.json'}: {key[:100]} is {value:.3g}, expected at most {most}; "
                "correct it"
            )


def own_names(path: Path, net: "nn.Module", weights: Mapping[str, "Tensor"]) -> dict[str, str]:
    """Returns what transformers calls each tensor of a file today -> how it is called there.

    Raises DataError, one line, where transformers computes with tensors that are made of several.
    """
    import re

    from transformers.conversion_mapping import get_model_conversion_mapping
    from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key

    expected: dict[str, Any] = dict(net.state_dict())
    _demand_alike(path, expected, weights)
    changes = get_model_conversion_mapping(net)
    renamings = [each for each in changes if isinstance(each, WeightRenaming)]
    converters = [each for each in changes if isinstance(each, WeightConverter)]
    prefix = getattr(net, "base_model_prefix", None)
    ignored = getattr(net, IGNORED, None) or ()
    names: dict[str, str] = {}
    for name in weights:
        own, converted = rename_source_key(name, renamings, converters, prefix, expected)
        if converted is not None:
            raise DataError(
                f"{path}: {name} is one of several tensors that transformers makes one of; load it "
                "with transformers, torch.save(model.state_dict(), …), and adopt that file"
            )
        if own in names:
            raise DataError(f"{path}: {names[own]} and {name} are both transformers' {own}")
        if own in expected or not any(re.search(each, own) for each in ignored):
            names[own] = name
    return names


def _demand_alike(path: Path, expected: Mapping[str, Any], weights: Mapping[str, Any]) -> None:
    wanted = sum(each.numel() for each in expected.values())
    there = sum(each.numel() for each in weights.values())
    if wanted > 2 * there + SLACK:
        raise DataError(
            f"{path / 'config.json'}: describes a net of {wanted} numbers, but the weights are "
            f"{there}; correct it"
        )


def groups(net: "nn.Module") -> tuple[list[str], list[str]]:
    """Returns the names of the parameters that the Trainer of transformers decays, and of those
    that it does not, each in the order of its groups."""
    from torch import nn
    from transformers.trainer_pt_utils import get_parameter_names

    decayed = set(get_parameter_names(net, [nn.LayerNorm], list(NO_DECAY)))
    names = [name for name, each in net.named_parameters() if each.requires_grad]
    return [n for n in names if n in decayed], [n for n in names if n not in decayed]
