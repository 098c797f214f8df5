"""A file of torch.save that holds a state_dict, bare or with what a script saves beside it."""

import re
import struct
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.formats.torch_export import foreign as programs
from pipeline.text import escaped

from . import _torch_file
from ._averages import EXTRA, TRAINED, sets_beside
from ._brought import Brought
from ._contents import contents, is_tensor, made_in, mapping
from ._pickle import Made
from ._plain import Plain
from ._tensors import said_places
from ._torch_file import UNREADABLE, TorchFile
from .contract import Foreign

TITLE = "state_dict of torch.save"
GIVES = "weights"
LIGHTNING = "pytorch-lightning_version"
"""The key by which Lightning's files are known, which are a kind of their own."""
FIRST = re.compile(r"[^/]+/(data\.pkl|data/\d+|version|byteorder|\.format_version)")
"""The first member of an archive of torch.save."""
TARRED = (b"sys_info", b"pickle", b"tensors", b"storages")
"""Members of what torch before 0.1.10 wrote."""
DEEPSPEED = frozenset({"ds_config", "ds_version", "param_shapes", "zero_stage"})
MOST = 1_000_000
"""Values of an optimizer's state: a few for each parameter."""
FLAT = "flat_param"
"""What FSDP calls the part of all parameters that a process holds."""


def recognizes(path: Path) -> bool:
    """Returns whether it is a file of torch.save with weights in it, or a damaged one of which
    nobody can say; what holds whole objects in their place is a kind of its own, as Lightning's
    file is."""
    if not path.is_file() or programs.is_program(programs.members_of(path)):
        return False  # a program that is cut off ends in an archive of torch.save, its examples
    pickle = _torch_file.unpickled(path)
    if pickle is None:
        return _looks_damaged(path)
    value = mapping(pickle.value)
    if LIGHTNING in value or not value:
        return False
    try:
        return contents(value) is not None or all(map(is_tensor, made_in(value)))
    except UNREADABLE:
        return False


def read(path: Path) -> Foreign:
    """Opens it. Raises DataError, one line."""
    _demand_not_older(path)
    with _torch_file.reading(path, TITLE):
        return _read(_opened(path))


def _opened(path: Path) -> TorchFile:
    try:
        return _torch_file.opened(path)
    except ValueError as fault:
        if "TorchScript" not in str(fault):
            raise
        raise DataError(
            f"{path}: a program of TorchScript, expected a state_dict; write one with "
            "torch.save(torch.jit.load(…).state_dict(), …)"
        ) from None


def _read(file: TorchFile) -> Foreign:
    path = file.path
    _demand_whole(path, mapping(file.pickle.value))
    content = contents(file.pickle.value)
    if content is None:
        raise _without_weights(path, file.pickle.value)
    if flat := [name for name in content.weights if FLAT in name.split(".")[-1]]:
        raise DataError(
            f"{path}: {escaped(flat[0])[:200]} is one process' part of all parameters (FSDP), "
            "expected the whole; save it with torch.distributed.checkpoint, or as a full state_dict"
        )
    brought = Brought(file)
    extra = [name for name in content.weights if name.endswith(EXTRA)]
    weights = {name: each for name, each in content.weights.items() if name not in extra}
    notes = [*content.notes, *(f"{name} is no tensor, and is left" for name in extra)]
    others = sets_beside(content.others, weights, brought, notes)
    return Foreign(
        framework="pytorch",
        weights=brought.all_of(weights),
        others=others,
        optimizer_of=TRAINED if TRAINED in others else None,
        optimizer=_state("optimizer", content.optimizer, brought, notes),
        scheduler=_state("schedule", content.scheduler, brought, notes),
        epoch=content.epoch,
        versions=content.versions,
        hyperparameters=content.hyperparameters,
        notes=tuple(map(escaped, [*notes, *said_places(brought.places)])),
    )


def _state(what: str, state: Any, brought: Brought, notes: list[str]) -> Any:
    """Returns it with its tensors; None, with a note, where it holds an object: none is made."""
    if state is None:
        return None
    if sum(1 for _ in islice(_all_within(state), MOST + 1)) > MOST:
        raise ValueError(f"its {what} holds more than {MOST} values")
    state = _without_counters(state)
    if odd := next((each for each in made_in(state) if not is_tensor(each)), None):
        notes.append(
            f"its {what} holds an object ({odd.name[:100] or 'a call'}), which is not made, and is "
            "left"
        )
        return None
    return brought.state(state)


def state_of(path: Path, what: str) -> tuple[Any, list[str]]:
    """Returns the state of an optimizer or a schedule that a file holds alone, and notes; None
    where it holds objects. Raises DataError, one line."""
    notes: list[str] = []
    with _torch_file.reading(path, f"state of the {what}"):
        file = _opened(path)
        if not isinstance(file.pickle.value, dict):
            raise ValueError(f"a {type(file.pickle.value).__name__} in the place of a dict")
        return _state(what, file.pickle.value, Brought(file), notes), notes


def _without_counters(value: Any) -> Any:
    """Returns a state with numbers in place of numpy's, and with dicts in place of Counters."""
    if isinstance(value, Made) and value.name == "collections.Counter":
        return dict(value.args[0]) if value.args else {}
    if isinstance(value, Made) and value.name.endswith("multiarray.scalar"):
        return Plain().of(value)
    if isinstance(value, dict):
        return {key: _without_counters(each) for key, each in value.items()}
    return [_without_counters(e) for e in value] if isinstance(value, list) else value


def _all_within(value: Any) -> Iterator[Any]:
    """Yields all that a walk through the value meets, as often as it meets it."""
    waiting = [value]
    while waiting:
        yield (each := waiting.pop())
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list | tuple):
            waiting += each


def _without_weights(path: Path, value: Any) -> DataError:
    objects = sorted({each.name for each in made_in(value) if not is_tensor(each)})
    if objects:
        return DataError(
            f"{path}: holds objects in the place of weights ({escaped(', '.join(objects))[:200]}), "
            "and no code of a checkpoint is run; save its state_dict(), or adopt it with "
            "--trust-pickle if you trust who made it"
        )
    keys = escaped(", ".join(map(str, mapping(value))))[:200] or type(value).__name__
    return DataError(
        f"{path}: found {keys}, expected the tensors of a net by name; save its state_dict()"
    )


def _demand_whole(path: Path, value: Any) -> None:
    if DEEPSPEED & set(map(str, value)):
        raise DataError(
            f"{path}: one process' part of what DeepSpeed wrote, expected the whole; run the "
            "zero_to_fp32.py beside it, and adopt what that writes"
        )


def _demand_not_older(path: Path) -> None:
    with path.open("rb") as file:
        name = file.read(100).rstrip(b"\0").removeprefix(b"./")
    if name in TARRED:
        raise DataError(
            f"{path}: written by torch before 0.1.10 as a tar archive, expected a newer one; load "
            "it with torch.load where you trust it, and save its state_dict() again"
        )


def _looks_damaged(path: Path) -> bool:
    """Returns whether it begins as torch.save's files do, of whichever age."""
    with path.open("rb") as file:
        head = file.read(1024)
    if head[:100].rstrip(b"\0").removeprefix(b"./") in TARRED:
        return True
    if head[:4] != b"PK\3\4":
        return _torch_file.looks_so(path)
    length = struct.unpack_from("<H", head, 26)[0] if len(head) >= 30 else 0
    name = head[30 : 30 + length].decode(errors="replace")
    return FIRST.fullmatch(name) is not None
