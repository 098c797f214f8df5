"""A folder that save_pretrained of peft wrote: an adapter, which is nothing without its base."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.untrusted import documents, limits

from . import _hugging_face_weights as hugging_face
from . import _lora, _peft_base, _torch_file, state_dict
from ._safetensors_file import mapped, places, write
from .contract import Foreign
from .lazy_mapping import LazyMapping

TITLE = "adapter of peft"
GIVES = None
CONFIG = "adapter_config.json"
FILES = ("adapter_model.safetensors", "adapter_model.bin")
WEIGHTS = "model.safetensors"
MERGE = "save merge_and_unload().save_pretrained(…) where peft is, and adopt that"
LARGEST = 64 << 20
"""Bytes of what lies beside the weights of a base, such as a tokenizer."""


def recognizes(path: Path) -> bool:
    """Returns whether it is a folder with an adapter's configuration and no weights of a whole
    net."""
    return path.is_dir() and (path / CONFIG).is_file() and not hugging_face.are_there(path)


def read(path: Path) -> Foreign:
    """Raises DataError, one line that says what to do."""
    raise DataError(
        f"{path}: an adapter of peft, which is a part of a net, expected a whole one; adopt it "
        f"with --base <checkpoint of its base>, or {MERGE}"
    )


def merge(path: Path, base: Path, whole: Foreign, output: Path) -> dict[str, Any]:
    """Makes `output`, a folder like that of the base, with the adapter in its weights; returns what
    the adapter says of itself. Raises DataError, one line; then there is no `output`."""
    if whole.framework != "pytorch" or whole.program is not None:
        raise DataError(f"{base}: expected a checkpoint of PyTorch, which an adapter of peft is of")
    config = _config(path)
    with _torch_file.reading(path, TITLE):
        state = _state(path)
    try:
        _lora.demand_known(config)
        known = _peft_base.fitting(config, state, base, whole.weights)
        tensors = _lora.merged(state, config, known.weights)
    except ValueError as fault:
        raise DataError(f"{path}: {fault}; {MERGE}") from None
    output.mkdir()
    is_folder = base.is_dir() and (base / "config.json").is_file()
    for each in sorted(base.iterdir()) if is_folder else ():
        if each.is_file() and each.suffix in (".json", ".txt", ".model") and _is_beside(each):
            shutil.copyfile(each, output / each.name)
    _peft_base.write_config(known, output)
    write(output / WEIGHTS, tensors)
    shown = ("r", "lora_alpha", "use_rslora", "base_model_name_or_path", "peft_version")
    own = {key: config[key] for key in shown if isinstance(config.get(key), str | int | float)}
    return own | dict(known.said)


def _is_beside(file: Path) -> bool:
    named = file.name.endswith(".index.json") or file.name == "trainer_state.json"
    return not named and file.stat().st_size <= LARGEST


def _config(path: Path) -> Mapping[str, Any]:
    try:
        content = documents.read_json(path / CONFIG, limits.LISTING)
        if not isinstance(content, dict):
            raise ValueError(f"{json.dumps(content)[:50]} in the place of a mapping")
    except (ValueError, OSError) as fault:
        said = " ".join(str(fault).split())[:200]
        raise DataError(f"{path / CONFIG}: damaged ({said}); copy it again") from None
    return content


def _state(path: Path) -> Mapping[str, Any]:
    if (path / FILES[0]).is_file():
        return LazyMapping(places(path / FILES[0])[0], mapped)
    if (path / FILES[1]).is_file():
        return state_dict.read(path / FILES[1]).weights
    raise DataError(f"{path / FILES[0]}: missing, expected the adapter's tensors; copy it, too")
