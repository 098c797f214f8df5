"""A folder that save_pretrained or the Trainer of Hugging Face's transformers wrote: config.json,
weights, and what lies beside them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.errors import DataError

from . import _hugging_face_nets as nets
from . import _hugging_face_trainer as trainer
from . import _hugging_face_weights as files
from . import _torch_file
from .contract import Foreign
from .lazy_mapping import LazyMapping

TITLE = "folder of Hugging Face"
GIVES = "weights"
ADAPTER = "adapter_config.json"
"""What lies beside an adapter of peft, which may have the configuration of its base there, too."""
NET = "models.hugging_face.from_config"
NOT_OF_THE_NET = frozenset(
    {"architectures", "transformers_version", "dtype", "torch_dtype", "_name_or_path"}
    | {"_commit_hash", "_attn_implementation", "_attn_implementation_autoset"}
)
"""Keys of config.json that say how it came about; weights are float32 here in any case."""
OUTPUTS = {"QuestionAnswering": ["start_logits", "end_logits"], "PreTraining": None}
"""What the classes of a task return, where that is not its logits alone; None where it differs."""


def recognizes(path: Path) -> bool:
    """Returns whether it is a folder with config.json that has weights as transformers names them,
    or names a net of transformers."""
    if not path.is_dir() or not (path / "config.json").is_file() or (path / ".metadata").exists():
        return False
    if files.are_there(path):
        return True
    if (path / ADAPTER).is_file():
        return False
    try:
        return not {"model_type", "architectures"}.isdisjoint(files.config(path))
    except DataError:
        return False


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    config = files.config(path)
    architecture, described = _described(path, config)
    notes: list[str] = []
    with _torch_file.reading(path, TITLE):
        weights = files.weights(path, notes)
        net = nets.outline(path, architecture, described)
        names = nets.own_names(path, net, weights)
        optimizer, scheduler = trainer.states(path, net, notes)
        epoch, hyperparameters = trainer.progress(path)
    if renamed := sum(own != name for own, name in names.items()):
        notes.append(f"{renamed} tensors are called otherwise in transformers today.")
    return Foreign(
        framework="pytorch",
        weights=LazyMapping(names, weights.__getitem__),
        optimizer=optimizer,
        scheduler=scheduler,
        epoch=epoch,
        versions=_versions(config),
        hyperparameters=hyperparameters,
        model={
            "net._target_": NET,
            "net.architecture": architecture,
            **{f"net.config.{key}": value for key, value in described.items()},
            **_outputs(architecture),
        },
        notes=(*notes, *_beside(path)),
    )


def _described(path: Path, config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns the class of the net and its settings. Raises DataError, one line."""
    place = path / "config.json"
    if "auto_map" in config:
        raise DataError(
            f"{place}: names code of its own (auto_map), which is never run; write the class in "
            "models/ and adopt the file of weights with it"
        )
    if "quantization_config" in config:
        raise DataError(f"{place}: of a quantized model, expected one in floating point")
    named = config.get("architectures")
    if not isinstance(named, list) or len(named) != 1 or not isinstance(named[0], str):
        raise DataError(f"{place}: architectures is {named!r:.100}, expected the name of one class")
    own = settings(config)
    _demand_plain(place, own)
    return named[0], own


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what config.json says of the net itself."""
    return {key: value for key, value in config.items() if key not in NOT_OF_THE_NET}


def _demand_plain(place: Path, value: Any) -> None:
    """Raises DataError for what would be more than a value in params.yaml."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if re.fullmatch(r"_\w+_", key) or "${" in key or "." in key:
                raise DataError(f"{place}: has a key {key[:100]!r}, which no configuration has")
            _demand_plain(place, each)
    elif isinstance(value, list):
        for each in value:
            _demand_plain(place, each)
    elif isinstance(value, str) and "${" in value:
        raise DataError(f"{place}: has the value {value[:100]!r}, expected a plain one")


def _versions(config: Mapping[str, Any]) -> dict[str, str]:
    version = config.get("transformers_version")
    return {"transformers": version[:50]} if isinstance(version, str) else {}


def _outputs(architecture: str) -> dict[str, Any]:
    task = architecture.partition("For")[2]
    if not task and not architecture.endswith("LMHeadModel"):
        return {"outputs": ["last_hidden_state"]}
    outputs = OUTPUTS.get(task, ["logits"])
    return {"outputs": outputs} if outputs else {}


def _beside(path: Path) -> list[str]:
    """Returns notes on what lies beside the weights and belongs into params.yaml."""
    notes = []
    if (path / "tokenizer.json").is_file():
        notes.append(
            "Its tokenizer is tokenizer.json: copy it to data/, and set "
            "data.inputs.input_ids.tokenizer.file=tokenizer.json."
        )
    if (path / "preprocessor_config.json").is_file():
        notes.append(
            "preprocessor_config.json says how pixels or sounds are brought to numbers; what "
            "data.inputs makes of them has to be the same."
        )
    if (path / "training_args.bin").is_file():
        notes.append("training_args.bin is a pickle of a class, and is not opened.")
    return notes
