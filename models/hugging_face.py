"""Nets of Hugging Face's transformers, described by their configuration alone."""

from collections.abc import Mapping
from typing import Any

from torch import nn


def from_config(architecture: str, config: Mapping[str, Any]) -> nn.Module:
    """Returns transformers' net of a class, as `BertForSequenceClassification` or
    `AutoModelForCausalLM`, and of a configuration as config.json has it; its weights are new.

    Its inputs and outputs are called as transformers calls them. Raises ValueError for what
    transformers itself has not: code of a model's own is never run.
    """
    import transformers
    from transformers.models.auto.auto_factory import _BaseAutoModelClass
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    settings = {key: value for key, value in config.items() if key != "model_type"}
    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING:
        raise ValueError(f"config.model_type: found {kind!r}, which transformers does not have")
    described = CONFIG_MAPPING[kind].from_dict(settings)
    described.use_cache = False  # which would be a further output, for generation alone
    named = getattr(transformers, architecture, None)
    if isinstance(named, type) and issubclass(named, _BaseAutoModelClass):
        return named.from_config(described)
    if not isinstance(named, type) or not issubclass(named, transformers.PreTrainedModel):
        raise ValueError(f"architecture: found {architecture!r}, expected a net of transformers")
    if named.config_class is not None and not isinstance(described, named.config_class):
        raise ValueError(
            f"architecture: found {architecture}, which is not of the model_type {kind!r}"
        )
    return named(described)
