"""Writes two files: the programs over one copy of the weights, and `optimizer.pt`."""

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._names import FILE, OPTIMIZER, SIGNATURE
from .screen import screen

if TYPE_CHECKING:
    from torch.export import ExportedProgram

Payloads = dict[str, Any]
"""What the archive says of each tensor, by weights/<name> or constants/<name>."""


def write(
    directory: Path,
    programs: dict[str, "ExportedProgram"],
    signature: dict[str, list[str]],
) -> None:
    """Writes the programs beside the optimizer, if there is one, or raises ValueError and leaves
    neither, where the screen would refuse them.

    Written by path, the archive's root is named after FILE.
    """
    from torch.export.pt2_archive import PT2ArchiveWriter

    (directory / FILE).unlink(missing_ok=True)
    with PT2ArchiveWriter(str(directory / FILE)) as archive:
        _write_programs(archive, programs)
        archive.write_string(f"extra/{SIGNATURE}", json.dumps(signature))
    try:
        screen(directory)
    except ValueError as error:
        (directory / FILE).unlink()
        (directory / OPTIMIZER).unlink(missing_ok=True)
        raise ValueError(
            f"torch_export: this model cannot be held as plain data: {error}"
        ) from error


def write_optimizer(directory: Path, saved: dict[str, Any]) -> None:
    """Writes what it takes to make the optimizer again; what is mapped is not written over."""
    import torch

    (directory / OPTIMIZER).unlink(missing_ok=True)
    with (directory / OPTIMIZER).open("wb") as file:  # a path would put its name into it
        torch.save(saved, file)


def _write_programs(archive: Any, programs: dict[str, "ExportedProgram"]) -> None:
    written: Payloads = {}
    tensors: dict[str, Any] = {}
    for name, program in programs.items():
        own = _tensors(program)
        # By value alone two zeros would become one tensor.
        same = [key for key in own if key in tensors and _same(own[key], tensors[key])]
        written |= _write_program(archive, name, program, {key: written[key] for key in same})
        tensors |= own


def _tensors(program: "ExportedProgram") -> dict[str, Any]:
    weights = {f"weights/{name}": each for name, each in program.state_dict.items()}
    return weights | {f"constants/{name}": each for name, each in program.constants.items()}


def _same(one: Any, other: Any) -> bool:
    import torch

    if one is other:
        return True
    alike = (one.dtype, one.stride(), one.requires_grad) == (
        other.dtype,
        other.stride(),
        other.requires_grad,
    )
    return alike and torch.equal(one, other)


def _write_program(
    archive: Any, name: str, program: "ExportedProgram", shared: Payloads
) -> Payloads:
    """Writes a program and those of its tensors that are not `shared`, and returns all it has.

    torch's package_pt2 does the same, and would write the shared ones again.
    """
    from torch._export.serde.serialize import serialize
    from torch.export.pt2_archive import _package

    rest = copy.copy(program)
    rest._state_dict = {k: v for k, v in program.state_dict.items() if f"weights/{k}" not in shared}
    rest._constants = {k: v for k, v in program.constants.items() if f"constants/{k}" not in shared}
    payloads: Payloads = {}
    for kind, package in (
        ("weights", _package._package_state_dict),
        ("constants", _package._package_constants),
    ):
        config = package(name, rest, archive)
        known = {k: v for k, v in shared.items() if k.startswith(f"{kind}/")}
        payloads |= known | {f"{kind}/{each}": meta for each, meta in config.config.items()}
        config.config |= {key.partition("/")[2]: meta for key, meta in known.items()}
        file = f"data/{kind}/{name}_{kind}_config.json"
        _package._package_payload_config(archive, config, file)
    plain = serialize(program, serialize_state_dict=False, serialize_constants=False)
    archive.write_bytes(f"models/{name}.json", plain.exported_program)
    archive.write_bytes(f"data/sample_inputs/{name}.pt", b"")  # would be a pickle
    return payloads
