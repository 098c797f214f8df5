"""Run alone, `python -I worker.py job.json`: a format answers, or trains on, where no source
can be had.

Nothing of ours is imported but a copy of the formats that lies alone. job.json has
  task        answer, go_on to train, or screen to look at the files and load nothing
  formats     a directory in which nothing lies but a copy of the package formats
  format      the format's name
  directory   the complete model
  copy        where a perturbed copy of it may be written; null for none
  reference   batch -> .npz whose arrays "input.<name>" are given to the model
  training    .npz with the rows of the steps to take, "step", "target" and "ends_epoch"
  test        input -> .npy with the rows of the test split; empty for none
  score       the output that is kept of the test split
  rows        the batch size for the test split
  threads     of the arithmetic
  refuse      top-level packages that cannot be imported here; empty only with `source`
  repository  a directory that is taken off the import path
  source      null, or the directory that modules may be imported from
  answers     .npz to write: outputs|again|reloaded|perturbed/<batch>/<output>, and test; or
              losses/<step>, state/<name> and answers/<output>
  report      .json to write; "error" is null or one line, "at" what was being done then
"""

import gc
import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.abc import MetaPathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Place = tuple[str, int, int, str]

LONGEST = 400
CHUNK = 1 << 20


class Refusal(MetaPathFinder):
    """Asked before any other finder; what it refuses cannot be imported from anywhere."""

    def __init__(self, packages: Iterable[str]):
        self.packages = frozenset(packages)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"{name} is refused: the model's source", name=name)


def main(job: Mapping[str, Any]) -> None:
    """An exception becomes a line of the report, and what was answered before it is kept."""
    found: dict[str, Any] = {"at": "refuse", "error": None, "proofs": {}, "timing": {}}
    arrays: Arrays = {}

    def leave(kind: type[BaseException], value: BaseException, _: Any) -> None:
        found["error"] = placeless(f"{kind.__name__}: {' '.join(str(value).split())}", job)
        write(job, found, arrays)

    sys.excepthook = leave
    isolate(job)
    found["proofs"] = prove(job["refuse"])
    {"answer": answer, "go_on": go_on, "screen": screen}[job["task"]](job, found, arrays)
    again = prove(job["refuse"])
    found["proofs"] = {name: text and again[name] for name, text in found["proofs"].items()}
    found["at"] = "done"
    write(job, found, arrays)


def placeless(text: str, job: Mapping[str, Any]) -> str:
    """Without what tells where on this machine anything lies, which is nobody's business."""
    places = [job["copy"], job["directory"], job["repository"], str(Path.cwd()), sys.prefix]
    for place in sorted(filter(None, places), key=len, reverse=True):
        text = text.replace(place, Path(place).name)
    return text[:LONGEST]


def isolate(job: Mapping[str, Any]) -> None:
    sys.meta_path.insert(0, Refusal(job["refuse"]))
    repository = Path(job["repository"]).resolve()
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != repository]
    if job["source"]:
        sys.path.insert(0, job["source"])


def prove(packages: Iterable[str]) -> dict[str, str | None]:
    """Package -> the error on importing it; None where that, alas, went well."""
    found: dict[str, str | None] = {}
    for name in packages:
        try:
            importlib.import_module(name)
            found[name] = None
        except ImportError as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def answer(job: Mapping[str, Any], found: dict[str, Any], arrays: Arrays) -> None:
    """Fills `found` and `arrays` as it goes, so that both hold when an exception ends it."""
    batches = {batch: inputs(Path(path)) for batch, path in job["reference"].items()}
    directory = Path(job["directory"])
    timing: dict[str, float] = found["timing"]

    def load(at: str, source: Path = directory) -> Callable[[Arrays], Arrays]:
        found["at"], start = at, time.perf_counter()
        predict: Callable[[Arrays], Arrays] = loader.load(source)
        timing[f"{at}_seconds"] = time.perf_counter() - start
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(job["threads"])
        return predict

    def call(at: str, predict: Callable[[Arrays], Arrays]) -> None:
        for batch, given in batches.items():
            found["at"], start = f"{at}: {batch}", time.perf_counter()
            outputs = predict(dict(given))
            timing.setdefault("first_call_seconds", time.perf_counter() - start)
            arrays.update({f"{at}/{batch}/{k}": plain(k, v) for k, v in outputs.items()})

    found["at"] = "import"
    loader = formats(job).loader(job["format"])
    gc.disable()  # what a framework makes on import stays: a fifth of the time went looking at it
    predict = load("first_load")
    gc.enable()
    call("outputs", predict)
    call("again", predict)
    if job["test"]:
        found["at"] = "test"
        arrays["test"] = predict_test(job, predict)
    timing["peak_mib"] = peak_mib()
    del predict
    call("reloaded", load("load"))
    if job["copy"] is None:
        return
    found["at"] = "weights"
    places = {name: tuple(place) for name, place in loader.weights(directory).items()}
    found |= {
        "file": formats(job).declared(job["format"]).file,
        "places": sorted({place[:3] for place in places.values()}),
    }
    found["weight"] = perturb(places, directory, Path(job["copy"]))
    call("perturbed", load("perturbed", Path(job["copy"])))


def go_on(job: Mapping[str, Any], found: dict[str, Any], arrays: Arrays) -> None:
    """Takes the steps of the reference, and answers the batch `seven` after them."""
    directory, timing = Path(job["directory"]), found["timing"]
    with np.load(job["training"]) as every:
        data = {name: every[name] for name in every}
    found["at"] = "import"
    loader = formats(job).training_loader(job["format"])
    found["at"], start = "loading it", time.perf_counter()
    gc.disable()
    trainer = loader.load_training(directory)
    gc.enable()
    timing["first_load_seconds"] = time.perf_counter() - start
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(job["threads"])
    start = time.perf_counter()
    for step, ends_epoch in enumerate(data["ends_epoch"]):
        found["at"], rows = f"step {step}", data["step"] == step
        given = {k.removeprefix("input."): v[rows] for k, v in data.items() if "input." in k}
        arrays[f"losses/{step}"] = plain("loss", trainer.step(given, data["target"][rows]))
        if ends_epoch:
            trainer.end_epoch()
    timing["steps_seconds"] = time.perf_counter() - start
    found["at"] = "state"
    arrays.update({f"state/{name}": plain(name, each) for name, each in trainer.state().items()})
    found["at"] = "answers"
    answers = trainer.predict(inputs(Path(job["reference"]["seven"])))
    arrays.update({f"answers/{name}": plain(name, each) for name, each in answers.items()})
    timing["peak_mib"] = peak_mib()
    places = loader.optimizer_state(directory).values()
    found["places"] = sorted({tuple(place[:3]) for place in places})


def screen(job: Mapping[str, Any], found: dict[str, Any], arrays: Arrays) -> None:
    """The format's own look at its files, which raises ValueError for what it would not load."""
    found["at"] = "screen"
    formats(job).screen(job["format"]).screen(Path(job["directory"]))


def formats(job: Mapping[str, Any]) -> ModuleType:
    """The copy of the package. No bytecode is written beside it."""
    sys.dont_write_bytecode = True
    if job["formats"] not in sys.path:
        sys.path.insert(0, job["formats"])
    return importlib.import_module("formats")


def inputs(path: Path) -> Arrays:
    with np.load(path) as arrays:
        return {k.removeprefix("input."): arrays[k] for k in arrays if k.startswith("input.")}


def plain(name: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.hasobject:
        raise TypeError(f"output {name}: found Python objects, expected an array")
    return array


def predict_test(job: Mapping[str, Any], predict: Callable[[Arrays], Arrays]) -> np.ndarray:
    """The scored output for the test split, which is never in memory as a whole."""
    test = {name: np.load(path, mmap_mode="r") for name, path in job["test"].items()}
    count, rows = min(map(len, test.values())), job["rows"]
    parts = []
    for start in range(0, count, rows):
        outputs = predict({k: np.array(v[start : start + rows]) for k, v in test.items()})
        parts.append(plain(job["score"], outputs[job["score"]]))
    return np.concatenate(parts)


def peak_mib() -> float:
    """Of this program alone: getrusage would count its parent's memory before the exec as well."""
    status = Path("/proc/self/status")
    if status.is_file():
        fields = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return int(fields["VmHWM"].split()[0]) / 1024
    import resource

    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def perturb(places: Mapping[str, Any], directory: Path, copy: Path) -> str:
    """Copies the model and changes its largest floating weight by one percent; the weight's name.

    Values go up and down in turn, as a normalisation would undo a common factor. A weight that
    numpy knows only as integers (bfloat16, quantised) gets its last bit flipped.
    """
    by_size = {k: (np.dtype(v[3]).kind in "fc", v[2], k) for k, v in places.items() if v[2] > 0}
    if not by_size:
        raise ValueError("weights() names none, so nothing can be perturbed")
    name = max(by_size, key=lambda each: by_size[each])
    file, offset, size, dtype = places[name]
    copied(directory, copy)
    kind = np.dtype(dtype)
    values = np.memmap(copy / file, kind, "r+", offset, (size // kind.itemsize,))
    for start in range(0, len(values), CHUNK):
        values[start : start + CHUNK] = changed(np.array(values[start : start + CHUNK]))
    values.flush()
    return name


def copied(directory: Path, copy: Path) -> None:
    """Content alone: a confined process may set no modes and no times."""
    copy.mkdir(parents=True)
    for path in sorted(directory.rglob("*")):
        if path.is_dir():
            (copy / path.relative_to(directory)).mkdir()
        else:
            shutil.copyfile(path, copy / path.relative_to(directory))


def changed(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "fc":
        return ~values if values.dtype.kind == "b" else values ^ 1
    zeros = values == 0
    values[0::2] *= 1.01
    values[1::2] *= 0.99
    values[zeros] = 1e-3
    return values


def write(job: Mapping[str, Any], found: Mapping[str, Any], arrays: Arrays) -> None:
    np.savez(job["answers"], **arrays)  # type: ignore[arg-type]
    Path(job["report"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
    os._exit(0)  # everything is written; a framework would take another second to come down
