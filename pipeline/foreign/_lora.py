"""The arithmetic of adapters of low rank as peft writes them: W + B·A·alpha/r.

Facts of the format: https://huggingface.co/docs/peft/developer_guides/checkpoint.
"""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.text import escaped

if TYPE_CHECKING:
    from torch import Tensor

BEGIN = "base_model.model."
FACTORS = re.compile(r"(?P<layer>.+)\.(?P<part>lora_(?:embedding_)?[AB])(?:\.weight)?")
WRAPPED = re.compile(r"\.(?:modules_to_save|base_layer)(?=\.)")
PLAIN = re.compile(r"[\w.-]+")
RANKS = frozenset({"r", "lora_alpha", "use_rslora", "fan_in_fan_out", "alpha_pattern"})
"""Keys of the configuration that the sum depends on; what the rank is, the tensors say."""
SAID = frozenset(
    {"target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "bias"}
    | {"modules_to_save", "rank_pattern", "task_type", "auto_mapping", "inference_mode", "revision"}
    | {"base_model_name_or_path", "peft_type", "peft_version", "lora_dropout", "megatron_core"}
    | {"qalora_group_size", "runtime_config", "ensure_weight_tying", "loftq_config", "eva_config"}
)
"""Keys that say how it was trained, or what the tensors say themselves."""
INITIAL = (True, False, None, "gaussian", "orthogonal", "eva")
"""Of init_lora_weights, what leaves the base as it is."""


def demand_known(config: Mapping[str, Any]) -> None:
    """Raises ValueError for what is another sum than this one."""
    if config.get("peft_type") != "LORA":
        raise ValueError(f"of the kind {str(config.get('peft_type'))[:50]}, expected LORA")
    if (initial := config.get("init_lora_weights")) not in INITIAL:
        raise ValueError(f"init_lora_weights is {str(initial)[:50]}, which changes its base")
    known = {*RANKS, *SAID, "init_lora_weights"}
    if odd := [key for key, value in config.items() if value and key not in known]:
        raise ValueError(f"{escaped(str(odd[0]))[:50]} is set, which is no plain LoRA")
    for key in ("r", "lora_alpha"):
        value = config.get(key, 8)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
            raise ValueError(f"{key} is {str(value)[:50]}, expected a number")
    patterns = config.get("alpha_pattern") or {}
    if not isinstance(patterns, dict) or not all(map(PLAIN.fullmatch, patterns)):
        raise ValueError("alpha_pattern holds patterns, expected names of layers")


def parts(state: Mapping[str, Any]) -> tuple[dict[str, dict[str, str]], list[tuple[str, str]]]:
    """Returns layer -> which factor -> what the file calls it, and the name and the file's name of
    each tensor that takes the place of one of the base. Raises ValueError for any other."""
    layers: dict[str, dict[str, str]] = {}
    plain = []
    for key in state:
        name = key.removeprefix(BEGIN)
        if factor := FACTORS.fullmatch(name):
            layers.setdefault(factor["layer"], {})[factor["part"]] = key
        elif "lora_" in name or "token_adapter" in name:
            raise ValueError(f"holds {escaped(name)[:200]}, which is no plain LoRA")
        else:
            plain.append((WRAPPED.sub("", name), key))
    return layers, plain


def merged(
    state: Mapping[str, Any], config: Mapping[str, Any], base: Mapping[str, Any]
) -> dict[str, Callable[[], "Tensor"]]:
    """Returns the tensors of the base by name, each brought when it is called, with the adapter
    added. Raises ValueError for a tensor of the adapter that belongs to none."""
    layers, plain = parts(state)
    result: dict[str, Callable[[], Tensor]] = {name: _of(base, name) for name in base}
    result |= {own_name(name, base) or name: _of(state, key) for name, key in plain}
    for layer, keys in layers.items():
        own = own_name(f"{layer}.weight", base)
        if own is None:
            raise ValueError(f"{escaped(layer)[:200]}.weight is not in the base, or there twice")
        a, b = _pair(layer, keys)
        changed = _Sum(base, own, state, a, b, config, layer)
        changed.demand_fitting()
        result[own] = changed
    return result


def _of(tensors: Mapping[str, Any], name: str) -> Callable[[], "Tensor"]:
    return lambda: tensors[name]


def own_name(name: str, base: Mapping[str, Any]) -> str | None:
    """Returns what the base calls a tensor, which may have a prefix there."""
    if name in base:
        return name
    ending = [each for each in base if each.endswith(f".{name}")]
    return ending[0] if len(ending) == 1 else None


def _pair(layer: str, keys: Mapping[str, str]) -> tuple[str, str]:
    for kind in ("lora_", "lora_embedding_"):
        if keys.keys() == {f"{kind}A", f"{kind}B"}:
            return keys[f"{kind}A"], keys[f"{kind}B"]
    raise ValueError(f"holds one of the two factors of {escaped(layer)[:200]} alone")


class _Sum:
    """A weight of the base with the product of two factors added."""

    def __init__(
        self,
        base: Mapping[str, Any],
        own: str,
        state: Mapping[str, Any],
        a: str,
        b: str,
        config: Mapping[str, Any],
        layer: str,
    ) -> None:
        self._weight, self._a, self._b = _of(base, own), _of(state, a), _of(state, b)
        rank, alpha = self._a().shape[0], config.get("lora_alpha", 8)
        for name, value in (config.get("alpha_pattern") or {}).items():
            if layer == name or layer.endswith(f".{name}"):
                alpha = value
                break
        self._scaling = alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)
        embedding = "lora_embedding_" in a
        self._turned = embedding or bool(config.get("fan_in_fan_out"))
        self._layer = layer

    def demand_fitting(self) -> None:
        """Raises ValueError where the product has not the weight's shape."""
        weight, a, b = (each().shape for each in (self._weight, self._a, self._b))
        shape = (b[0], *a[1:])
        shape = shape[::-1] if self._turned else shape
        if len(a) < 2 or a[0] != b[1] or any(n != 1 for n in b[2:]) or tuple(weight) != shape:
            raise ValueError(
                f"{escaped(self._layer)[:200]}: factors of {list(b)} and {list(a)} for a weight of "
                f"{list(weight)}"
            )

    def __call__(self) -> "Tensor":
        import torch

        narrow = (torch.float16, torch.bfloat16)
        a, b = self._a(), self._b()
        if a.dtype in narrow:
            a, b = a.float(), b.float()
        product = (b.flatten(1) @ a.flatten(1)).reshape(b.shape[0], *a.shape[1:])
        product = (product.T if self._turned else product) * self._scaling
        return self._weight().clone().add_(product)
