"""Run alone, `python -I … job.json`, by a process that is confined: unpickles a file, which may run
whatever code it names, and writes of it tensors, names and plain values alone.

It knows nothing of ours. job.json has `path`, `source` (a folder with the user's own packages),
`answer` (a folder to write: weights.safetensors, checkpoint.json) and `report`, a file that
is written last; without it, nothing came of it.
"""

import json
import pickle
import struct
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

WEIGHTS = (
    *("model", "state_dict", "model_state_dict", "net", "network", "module", "weights", "params"),
    *("ema", "model_state", "module_state_dict"),
)
OPTIMIZERS = ("optimizer", "optimizer_state_dict", "optim", "opt", "optimizer_state")
SCHEDULES = ("scheduler", "lr_scheduler", "scheduler_state_dict", "lr_scheduler_state_dict")
DEEPEST, MOST, LONGEST, MOST_SETS = 16, 10_000, 10_000, 20
_NAMES = (
    "float64:F64 float32:F32 float16:F16 bfloat16:BF16 bool:BOOL int64:I64 int32:I32 int16:I16 "
    "int8:I8 uint8:U8 uint16:U16 uint32:U32 uint64:U64"
)
NAMES = dict(each.split(":") for each in _NAMES.split())
"""torch's dtype -> safetensors'."""


def main(place: Path) -> None:
    job = json.loads(place.read_text())
    sys.path[:0] = [job["source"], f"{job['source']}/src"]
    _extract(Path(job["path"]), Path(job["answer"]))
    Path(job["report"]).write_text("{}")


def _extract(path: Path, answer: Path) -> None:
    lacking: dict[tuple[str, str], type] = {}
    value = _loaded(path, lacking)
    taken, weights = _chosen(value)
    if not weights:
        raise ValueError(f"a {type(value).__name__} without tensors by name")
    tensors = {f"weights/{name}": _tensor(each) for name, each in weights.items()}
    beside = value if isinstance(value, Mapping) else {}
    others = _others(beside, taken)
    for number, each in enumerate(others.values()):
        tensors |= {f"others/{number}/{name}": _tensor(tensor) for name, tensor in each.items()}
    content: dict[str, Any] = {
        "optimizer": _tree(_state(beside, OPTIMIZERS), "optimizer", tensors),
        "scheduler": _tree(_state(beside, SCHEDULES), "scheduler", tensors),
        "class": f"{type(value).__module__}.{type(value).__qualname__}",
        "lacking": [".".join(names) for names in lacking][:MOST],
        "others": [str(key) for key in others],
    }
    known = {*WEIGHTS, *OPTIMIZERS, *SCHEDULES, *others, *taken}
    rest = {k: v for k, v in beside.items() if k not in known and not _is_array(v)}
    epoch = rest.pop("epoch", None)
    content["epoch"] = epoch if type(epoch) is int and epoch >= 0 else None
    content["hyperparameters"] = {str(key): _plain(each) for key, each in rest.items()}
    answer.mkdir()
    _write(answer / "weights.safetensors", tensors)
    (answer / "checkpoint.json").write_text(json.dumps(content))


def _loaded(path: Path, lacking: dict[tuple[str, str], type]) -> Any:
    """Loads the pickle. Classes that are nowhere, as those of a script that ran as __main__, are
    stood in for by a module without code: its tensors have the same names."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            try:
                return super().find_class(module, name)
            except (ImportError, AttributeError):
                if (module, name) not in lacking:
                    lacking[module, name] = _stand_in(module, name)
                return lacking[module, name]

    with path.open("rb") as file:
        head = file.read(64)
    if head[:2] == b"PK" or (0x1950A86A20F9469CFC6C).to_bytes(10, "little") in head:
        import torch

        own = types.ModuleType("pickle_with_stand_ins")
        own.__dict__.update({**vars(pickle), "Unpickler": Unpickler})
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=own)
    with path.open("rb") as file:
        return Unpickler(file).load()


def _stand_in(module: str, name: str) -> type:
    import torch

    def begin(self: Any, *_: Any, **__: Any) -> None:
        torch.nn.Module.__init__(self)

    return type(name, (torch.nn.Module,), {"__module__": module, "__init__": begin})


def _chosen(value: Any) -> tuple[list[Any], dict[str, Any]]:
    """Returns the tensors of a net, a mapping or a list, and the keys that they stood under: of
    what holds several the one that people use, or the only net; or all nets, whose names then begin
    with their keys."""
    import torch

    if weights := _weights(value):
        return [], weights
    if not isinstance(value, Mapping):
        return [], {}
    nets = [key for key, each in value.items() if isinstance(each, torch.nn.Module)]
    for key in [key for key in WEIGHTS if key in value] + (nets if len(nets) == 1 else []):
        if weights := _weights(value[key]) or _chosen(value[key])[1]:
            return [key], weights
    named = {f"{key}.{name}": each for key in nets for name, each in _weights(value[key]).items()}
    return nets, named


def _others(beside: Mapping[Any, Any], taken: list[Any]) -> dict[Any, dict[str, Any]]:
    """Returns the nets and state_dicts beside the weights, by their keys."""
    import torch

    left = {k: v for k, v in beside.items() if k not in (*taken, *OPTIMIZERS, *SCHEDULES)}
    kinds = (torch.nn.Module, Mapping)
    sets = {key: _weights(each) for key, each in left.items() if isinstance(each, kinds)}
    return {key: each for key, each in list(sets.items())[:MOST_SETS] if each}


def _weights(value: Any) -> dict[str, Any]:
    """Returns the tensors of a net, a mapping or a list that holds nothing else."""
    import torch

    if isinstance(value, torch.nn.Module):
        state = value.state_dict()
        return {name: each for name, each in state.items() if _is_array(each)}
    if isinstance(value, list | tuple) and value and all(map(_is_array, value)):
        return {str(index): each for index, each in enumerate(value)}
    if isinstance(value, Mapping) and value and all(map(_is_array, value.values())):
        return {str(name): each for name, each in value.items()}
    return {}


def _is_array(value: Any) -> bool:
    import numpy as np
    import torch

    return isinstance(value, torch.Tensor) or (
        isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    )


def _tensor(value: Any) -> Any:
    import numpy as np
    import torch

    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value.astype(value.dtype.newbyteorder("="), order="C"))
    plain = value.detach().cpu()
    if plain.layout is not torch.strided or plain.is_quantized:
        raise ValueError("a tensor that is sparse or quantized")
    return plain.contiguous()


def _state(beside: Mapping[Any, Any], keys: tuple[str, ...]) -> Any:
    value: Any = next((beside[key] for key in keys if key in beside), None)
    return value.state_dict() if hasattr(value, "state_dict") else value


def _tree(value: Any, name: str, tensors: dict[str, Any]) -> Any:
    """Returns the value as JSON has it, each tensor in `tensors` by a name; None for what holds
    anything else, which is left as a whole."""
    try:
        return _branch(value, name, tensors)
    except TypeError:
        for each in [key for key in tensors if key.startswith(f"{name}/")]:
            del tensors[each]
        return None


def _branch(value: Any, name: str, tensors: dict[str, Any]) -> Any:
    if isinstance(value, Mapping):
        pairs = [(key, _branch(each, f"{name}/{key}", tensors)) for key, each in value.items()]
        if not all(isinstance(key, str | int) for key, _ in pairs):
            raise TypeError
        return {"mapping": pairs}
    if isinstance(value, list | tuple):
        parts = [_branch(each, f"{name}/{i}", tensors) for i, each in enumerate(value)]
        return {type(value).__name__ if type(value) is tuple else "list": parts}
    if _is_array(value):
        tensors[name] = _tensor(value)
        return {"tensor": name}
    if value is None or type(value) in (str, int, float, bool):
        return {"value": value}
    raise TypeError


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(k)[:LONGEST]: _plain(v, depth + 1) for k, v in list(value.items())[:MOST]}
    if isinstance(value, list | tuple):
        return [_plain(each, depth + 1) for each in value[:MOST]]
    if value is None or type(value) in (int, float, bool):
        return value
    if depth < DEEPEST and type(value).__name__ == "Namespace":
        return _plain(vars(value), depth + 1)
    return str(value)[:LONGEST] if _says_itself(value) else type(value).__name__


def _says_itself(value: Any) -> bool:
    return isinstance(value, str | Path) or type(value).__module__ == "numpy"


def _write(path: Path, tensors: Mapping[str, Any]) -> None:
    """Writes a file of safetensors: a header, then each tensor's bytes."""
    import torch

    header, at = {}, 0
    for name, each in tensors.items():
        size = each.numel() * each.element_size()
        dtype = NAMES[str(each.dtype).removeprefix("torch.")]
        header[name] = {
            "dtype": dtype,
            "shape": list(each.shape),
            "data_offsets": [at, at + size],
        }
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for each in tensors.values():
            if each.numel():
                file.write(memoryview(each.reshape(-1).view(torch.uint8).numpy()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
