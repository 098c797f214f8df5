"""Complete models that carry programs in other languages."""

import dataclasses
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import formats, runtimes
from pipeline.complete_model import running
from pipeline.config.params import Limits, Tolerance
from pipeline.runtimes.contract import FOLDER, NotHere
from pipeline.verification.comparison import compare
from testing.linear import Linear, faults

QUICK = Limits(memory_gib=4, minutes=1, file_gib=1)
PATIENT = Limits(memory_gib=4, minutes=8, file_gib=1)
"""For compilers on a busy machine."""


def demand(name: str) -> None:
    """Skips a test of a runtime that is not here, and fails it in CI."""
    try:
        runtimes.program(name).find()
    except NotHere as lacking:
        if os.environ.get("NOTHING_SKIPPED"):
            pytest.fail(str(lacking))
        pytest.skip(str(lacking))


def command(
    name: str, words: str, folder: Path, **environment: str
) -> "subprocess.CompletedProcess[str]":
    """Runs words that a person types, who has the runtime and no Python of ours."""
    found = {"PATH": "/usr/bin:/bin", **runtimes.program(name).find().environment, **environment}
    return subprocess.run(words, shell=True, cwd=folder, env=found, capture_output=True, text=True)


def follow_card(name: str, model: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Does what the model's card says of the runtime."""
    return command(name, runtimes.program(name).card(model), model, **environment)


def write(name: str, directory: Path, schema: Mapping[str, Any]) -> Path:
    """Writes the program as the export does."""
    folder = directory / FOLDER / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in runtimes.program(name).files(directory, schema).items():
        (folder / file).write_text(text)
    return folder


def carry(linear: Linear, name: str, required: bool = True) -> Path:
    """Makes the linear model carry a program; returns its folder."""
    folder = write(name, linear.complete_model, json.loads(schema_of(linear).read_text()))
    listed = {"held": [name], "required": [name] if required else [], "refused": {}}
    trains = [taken] if (taken := runtimes.trains(name, linear.complete_model)) else []
    formats = {"held": ["onnx", *trains], "trains": trains, "refused": {}, FOLDER: listed}
    (linear.complete_model / "formats.json").write_text(json.dumps(formats))
    linear.seal()
    return folder


def schema_of(linear: Linear) -> Path:
    return linear.complete_model / "schema.json"


def save(path: Path, inputs: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]) -> None:
    """Writes a batch as those of the reference are."""
    path.parent.mkdir(exist_ok=True)
    arrays = {f"input.{name}": array for name, array in inputs.items()}
    np.savez(path, **arrays, **{f"output.{name}": array for name, array in outputs.items()})


def described(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """Returns them as schema.json does."""
    return {
        name: {
            "dtype": "string" if array.dtype.kind == "U" else str(array.dtype),
            "shape": list(array.shape[1:]),
        }
        for name, array in arrays.items()
    }


def answer(name: str, directory: Path, *batches: str) -> running.Ran:
    """Runs the program on batches of examples/."""
    files = {each: directory / f"examples/{each}.npz" for each in batches or ("one", "seven")}
    return running.answer(name, directory, files, QUICK, 1, timed=False)


def difference(name: str, directory: Path, batches: Mapping[str, Path]) -> float:
    """Returns how far its answers are off at most; verify would find no fault with them."""
    ran = running.answer(name, directory, batches, PATIENT, 1, timed=False)
    assert (ran.missing, ran.fault) == ("", "")
    expected = {batch: outputs_of(path) for batch, path in batches.items()}
    promised = formats.declared(runtimes.declared(name).format).tolerance
    atol, rtol = runtimes.tolerance(name, promised.atol, promised.rtol)
    compared = compare(ran.outputs, expected, Tolerance(atol=atol, rtol=rtol))
    assert compared.faults == [] and compared.values > 0
    return compared.max_abs


def outputs_of(path: Path) -> dict[str, np.ndarray]:
    """Returns the answers in a batch."""
    with np.load(path) as arrays:
        names = [each for each in arrays.files if each.startswith("output.")]
        return {each.removeprefix("output."): arrays[each] for each in names}


def judged(name: str, linear: Linear) -> list[str]:
    """Runs the program on all batches of the reference, and returns what `verify` says of it."""
    evidence = linear.evidence(answered=False)
    paths = {each: linear.checkpoint / f"reference/{each}.npz" for each in evidence.baseline}
    ran = {name: running.answer(name, linear.complete_model, paths, QUICK, 1, timed=False)}
    return faults("runtimes", dataclasses.replace(evidence, ran=ran))
